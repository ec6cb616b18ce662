package limits

import "slices"

// bucket is the token bucket and GCRA: the tokens that are missing stand in line.
type bucket struct {
	drain
	burst wide
}

func (b *bucket) clone() meter {
	c := *b
	c.stretches = slices.Clone(b.stretches)
	return &c
}

func newBucket(l *Limit) *bucket {
	b := &bucket{drain: drainOf(l)}
	b.burst = product(parts(l.burst()), b.window)
	return b
}

func (b *bucket) when(now, n int64) int64 {
	b.leak(now)
	if b.level.zero() {
		return now
	}
	size := b.units(n)
	if !b.burst.less(b.level.add(size)) {
		return now
	}
	return max(b.downTo(b.burst.sub(size)), now)
}

func (b *bucket) resize(now int64, l *Limit) {
	b.drain.resize(now, l)
	b.burst = product(parts(l.burst()), b.window)
}

func newTokenBucket(l *Limit, _ int64) meter { return newBucket(l) }
