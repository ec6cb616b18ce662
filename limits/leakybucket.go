package limits

import "slices"

// leakyBucket is a queue with a hole: whoever comes finds it empty.
type leakyBucket struct{ drain }

func (b *leakyBucket) clone() meter {
	c := *b
	c.stretches = slices.Clone(b.stretches)
	return &c
}

func (b *leakyBucket) when(now, _ int64) int64 {
	b.leak(now)
	if b.level.zero() {
		return now
	}
	return max(b.downTo(wide{}), now)
}

func newLeakyBucket(l *Limit, _ int64) meter { return &leakyBucket{drainOf(l)} }
