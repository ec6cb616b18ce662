package limits

import (
	"math"
	"math/bits"
)

// meter measures one rate. Times are nanoseconds since the set was made, and
// do not go back. It is used under the set's lock.
type meter interface {
	// when is the earliest time, from now on, at which n more units are within
	// the rate, if nothing else is taken or given back until then.
	when(now, n int64) int64
	// take notes n units taken now; the mark finds them again.
	take(now, n int64) (mark uint64)
	// adjust makes the units taken under a mark more or fewer.
	adjust(now int64, mark uint64, from, to int64)
	// resize gives the rate another capacity. What was taken stays taken.
	resize(now int64, l *Limit)
	// used is how many units count against the capacity.
	used(now int64) float64
	// fresh is from when on, at the earliest, the meter is as good as new.
	fresh(now int64) int64
}

// newMeter is nil for a rate without bound.
func newMeter(l *Limit) meter {
	if math.IsInf(l.Capacity, 1) {
		return nil
	}
	switch l.Algorithm {
	case FixedWindow:
		return &fixedWindow{window: int64(l.Window), capacity: int64(l.Capacity)}
	case TokenBucket, GCRA:
		b := &bucket{}
		b.set(l)
		return b
	case LeakyBucket:
		b := &leakyBucket{}
		b.set(l)
		return b
	default:
		return &slidingWindow{window: int64(l.Window), capacity: int64(l.Capacity)}
	}
}

// slidingWindow is a log of what was taken within the last window: (now-window,
// now].
type slidingWindow struct {
	window, capacity int64
	sum              int64

	log   []taken // a ring
	first int     // where the oldest is
	n     int     // how many there are
	seq   uint64  // mark of the oldest
}

type taken struct{ at, units int64 }

// at is the i-th oldest; the ring's length is a power of two.
func (w *slidingWindow) at(i int) *taken { return &w.log[(w.first+i)&(len(w.log)-1)] }

func (w *slidingWindow) expire(now int64) {
	for w.n > 0 && w.at(0).at <= now-w.window {
		w.sum -= w.at(0).units
		w.first = (w.first + 1) & (len(w.log) - 1)
		w.n--
		w.seq++
	}
}

func (w *slidingWindow) when(now, n int64) int64 {
	w.expire(now)
	over := w.sum + n - w.capacity
	for i := 0; over > 0 && i < w.n; i++ {
		t := w.at(i)
		if over -= t.units; over <= 0 {
			return t.at + w.window
		}
	}
	if over > 0 {
		return math.MaxInt64 // more than the capacity
	}
	return now
}

func (w *slidingWindow) take(now, n int64) uint64 {
	w.expire(now)
	if w.n == len(w.log) {
		grown := make([]taken, max(2*len(w.log), 8))
		for i := range w.n {
			grown[i] = *w.at(i)
		}
		w.log, w.first = grown, 0
	}
	w.n++
	*w.at(w.n - 1) = taken{now, n}
	w.sum += n
	return w.seq + uint64(w.n) - 1
}

func (w *slidingWindow) adjust(now int64, mark uint64, from, to int64) {
	w.expire(now)
	switch {
	case mark >= w.seq:
		w.at(int(mark - w.seq)).units += to - from
		w.sum += to - from
	case to > from: // it has left the window, but what was used beyond has not
		w.take(now, to-from)
	}
}

func (w *slidingWindow) resize(_ int64, l *Limit) { w.capacity = int64(l.Capacity) }

func (w *slidingWindow) used(now int64) float64 {
	w.expire(now)
	return float64(w.sum)
}

func (w *slidingWindow) fresh(now int64) int64 {
	w.expire(now)
	if w.n == 0 {
		return now
	}
	return w.at(w.n-1).at + w.window
}

// fixedWindow counts in windows that follow one another. What was used beyond
// the capacity counts in the next ones.
type fixedWindow struct {
	window, capacity int64
	index            int64 // of the current window
	count            int64
}

func (w *fixedWindow) roll(now int64) {
	index := now / w.window
	passed := index - w.index
	if passed <= 0 {
		return
	}
	w.index = index
	if w.count <= w.capacity || passed > w.count/w.capacity {
		w.count = 0
	} else {
		w.count -= passed * w.capacity
	}
}

func (w *fixedWindow) when(now, n int64) int64 {
	w.roll(now)
	over := w.count + n - w.capacity
	if over <= 0 {
		return now
	}
	if n > w.capacity {
		return math.MaxInt64
	}
	return w.begin(over)
}

// begin is when the window begins in which so many units have gone by.
func (w *fixedWindow) begin(units int64) int64 {
	windows := (units + w.capacity - 1) / w.capacity
	if windows > math.MaxInt64/w.window-w.index {
		return math.MaxInt64
	}
	return (w.index + windows) * w.window
}

func (w *fixedWindow) take(now, n int64) uint64 {
	w.roll(now)
	w.count += n
	return uint64(w.index)
}

func (w *fixedWindow) adjust(now int64, mark uint64, from, to int64) {
	w.roll(now)
	if to > from || mark == uint64(w.index) {
		w.count = max(w.count+to-from, 0)
	}
}

func (w *fixedWindow) resize(now int64, l *Limit) {
	w.roll(now)
	w.capacity = int64(l.Capacity)
}

func (w *fixedWindow) used(now int64) float64 {
	w.roll(now)
	return float64(w.count)
}

func (w *fixedWindow) fresh(now int64) int64 {
	w.roll(now)
	if w.count == 0 {
		return now
	}
	return w.begin(w.count)
}

// scale is how many parts a unit of capacity is counted in.
const scale = 1_000_000

// pace is how long units take at a rate, exactly: nanoseconds, and a rest in
// parts of the capacity.
type pace struct {
	window   uint64
	capacity uint64 // in parts
	one      moment // how long one unit takes
}

func paceOf(l *Limit) pace {
	p := pace{window: uint64(l.Window), capacity: uint64(math.Round(l.Capacity * scale))}
	p.one = p.of(scale)
	return p
}

// moment is ns + rest/capacity nanoseconds.
type moment struct {
	ns   int64
	rest uint64
}

// of is how long parts of units take.
func (p *pace) of(parts uint64) moment {
	high, low := bits.Mul64(parts, p.window)
	if high >= p.capacity { // more than there is time for
		return moment{ns: math.MaxInt64 / 4}
	}
	ns, rest := bits.Div64(high, low, p.capacity)
	return moment{ns: int64(min(ns, math.MaxInt64/4)), rest: rest}
}

func (p *pace) units(n int64) moment {
	if n == 1 {
		return p.one
	}
	return p.of(uint64(n) * scale)
}

func (p *pace) add(a, b moment) moment {
	sum := moment{min(a.ns+b.ns, math.MaxInt64/2), a.rest + b.rest} // far beyond any time
	if sum.rest >= p.capacity {
		sum.ns, sum.rest = sum.ns+1, sum.rest-p.capacity
	}
	return sum
}

func (p *pace) sub(a, b moment) moment {
	if a.rest < b.rest {
		return moment{a.ns - b.ns - 1, a.rest + p.capacity - b.rest}
	}
	return moment{a.ns - b.ns, a.rest - b.rest}
}

// up is the first whole nanosecond that is not before m.
func (m moment) up() int64 {
	if m.rest > 0 {
		return m.ns + 1
	}
	return m.ns
}

func (m moment) notBefore(now int64) moment {
	if m.ns < now {
		return moment{ns: now}
	}
	return m
}

// move is m for another pace, with the same number of units between now and m.
func (p *pace) move(m moment, now int64, to *pace) moment {
	if m.ns < now {
		return moment{ns: now}
	}
	// The rest is less than a nanosecond, and dropped.
	high, low := bits.Mul64(uint64(m.ns-now), p.capacity)
	parts := uint64(math.MaxUint64)
	if high < p.window {
		parts, _ = bits.Div64(high, low, p.window)
	}
	moved := to.of(parts)
	moved.ns += now
	return moved
}

// usedBy is how many units lie between now and m.
func (p *pace) usedBy(m moment, now int64) float64 {
	if m.ns < now {
		return 0
	}
	return (float64(m.ns-now) + float64(m.rest)/float64(p.capacity)) * float64(p.capacity) / scale / float64(p.window)
}

// bucket is the token bucket and GCRA: full is when the bucket is full again,
// or the theoretical arrival time. It holds Burst tokens, which the tolerance
// says in time.
type bucket struct {
	pace
	full, tolerance moment
}

func (b *bucket) set(l *Limit) {
	b.pace = paceOf(l)
	burst := l.Capacity
	if l.Burst > 0 {
		burst = l.Burst
	}
	b.tolerance = b.of(uint64(math.Round(burst * scale)))
}

func (b *bucket) when(now, n int64) int64 {
	due := b.sub(b.add(b.full.notBefore(now), b.units(n)), b.tolerance)
	return max(due.up(), now)
}

func (b *bucket) take(now, n int64) uint64 {
	b.full = b.add(b.full.notBefore(now), b.units(n))
	return 0
}

func (b *bucket) adjust(now int64, _ uint64, from, to int64) {
	if to >= from {
		b.full = b.add(b.full.notBefore(now), b.units(to-from))
		return
	}
	b.full = b.sub(b.full, b.units(from-to))
}

func (b *bucket) resize(now int64, l *Limit) {
	old := b.pace
	b.set(l)
	b.full = old.move(b.full, now, &b.pace)
}

func (b *bucket) used(now int64) float64 { return b.usedBy(b.full, now) }
func (b *bucket) fresh(now int64) int64  { return max(b.full.up(), now) }

// leakyBucket is a queue with a hole: next is when it has run empty.
type leakyBucket struct {
	pace
	next moment
}

func (b *leakyBucket) set(l *Limit) { b.pace = paceOf(l) }

func (b *leakyBucket) when(now, _ int64) int64 { return max(b.next.up(), now) }

func (b *leakyBucket) take(now, n int64) uint64 {
	b.next = b.add(b.next.notBefore(now), b.units(n))
	return 0
}

func (b *leakyBucket) adjust(now int64, _ uint64, from, to int64) {
	if to >= from {
		b.next = b.add(b.next.notBefore(now), b.units(to-from))
		return
	}
	b.next = b.sub(b.next, b.units(from-to))
}

func (b *leakyBucket) resize(now int64, l *Limit) {
	old := b.pace
	b.set(l)
	b.next = old.move(b.next, now, &b.pace)
}

func (b *leakyBucket) used(now int64) float64 { return b.usedBy(b.next, now) }
func (b *leakyBucket) fresh(now int64) int64  { return max(b.next.up(), now) }
