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
	// take notes n units, taken now by a.
	take(now int64, a *amount, n int64)
	// more notes n more, taken now by one that has taken some.
	more(now int64, a *amount, n int64)
	// back notes that a gives n units back, as far as they still count: what
	// time has given back already is not given back again.
	back(now int64, a *amount, n int64)
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
		return newBucket(l)
	case LeakyBucket:
		return &leakyBucket{drain{pace: paceOf(l)}}
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

func (w *slidingWindow) take(now int64, a *amount, n int64) {
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
	a.mark, a.charged = w.seq+uint64(w.n)-1, n
}

// of is what was taken under a's mark; nil if it has left the window.
func (w *slidingWindow) of(a *amount) *taken {
	if i := a.mark - w.seq; a.mark >= w.seq && i < uint64(w.n) {
		return w.at(int(i))
	}
	return nil
}

func (w *slidingWindow) more(now int64, a *amount, n int64) {
	w.expire(now)
	if t := w.of(a); t != nil && t.at == now {
		t.units += n
		w.sum += n
		a.charged += n
		return
	}
	w.take(now, a, n)
}

func (w *slidingWindow) back(now int64, a *amount, n int64) {
	w.expire(now)
	if t := w.of(a); t != nil {
		n = min(n, a.charged)
		t.units -= n
		w.sum -= n
		a.charged -= n
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

func (w *fixedWindow) take(now int64, a *amount, n int64) {
	w.roll(now)
	w.count += n
	a.mark, a.charged = uint64(w.index), n
}

func (w *fixedWindow) more(now int64, a *amount, n int64) {
	w.roll(now)
	charged := a.charged
	if a.mark != uint64(w.index) {
		charged = 0
	}
	w.take(now, a, n)
	a.charged += charged
}

func (w *fixedWindow) back(now int64, a *amount, n int64) {
	w.roll(now)
	if a.mark == uint64(w.index) {
		n = min(n, a.charged)
		w.count = max(w.count-n, 0)
		a.charged -= n
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

// least is the earlier of two moments.
func least(a, b moment) moment {
	if a.ns < b.ns || a.ns == b.ns && a.rest < b.rest {
		return a
	}
	return b
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

// wholeUnits is how many units go in a time.
func (p *pace) wholeUnits(m moment) int64 {
	high, low := bits.Mul64(uint64(m.ns), p.capacity)
	low, carry := bits.Add64(low, m.rest, 0)
	per := p.window * scale // at most 2^55 · 2^20
	if over, _ := bits.Mul64(p.window, scale); over > 0 || high+carry >= per {
		return 0
	}
	n, _ := bits.Div64(high+carry, low, per)
	return int64(min(n, MostCapacity))
}

// usedBy is how many units lie between now and m.
func (p *pace) usedBy(m moment, now int64) float64 {
	if m.ns < now {
		return 0
	}
	return (float64(m.ns-now) + float64(m.rest)/float64(p.capacity)) * float64(p.capacity) / scale / float64(p.window)
}

// drain is what both buckets are: units that go away at a pace, one after the
// other. A mark is when those have gone that are charged to it.
type drain struct {
	pace
	empty moment // when all have gone
}

func (d *drain) take(now int64, a *amount, n int64) {
	d.empty = d.add(d.empty.notBefore(now), d.units(n))
	a.mark, a.charged = uint64(d.empty.up()), n
}

// left is how long what a has taken needs to go, at most n units of it.
func (d *drain) left(now int64, a *amount, n int64) moment {
	begin := moment{ns: now}
	own := d.sub(moment{ns: int64(a.mark)}.notBefore(now), begin)
	return least(least(d.units(min(n, a.charged)), own), d.sub(d.empty.notBefore(now), begin))
}

// more puts what is left of a behind all others, with the n more.
func (d *drain) more(now int64, a *amount, n int64) {
	left := d.left(now, a, a.charged)
	rest := a.charged
	if left != d.units(rest) {
		rest = min(d.wholeUnits(left), rest)
	}
	d.take(now, a, n)
	a.charged += rest
}

func (d *drain) back(now int64, a *amount, n int64) {
	left := d.left(now, a, n)
	d.empty = d.sub(d.empty.notBefore(now), left)
	a.mark = uint64(d.sub(moment{ns: int64(a.mark)}, left).up())
	a.charged -= min(n, a.charged)
}

func (d *drain) resize(now int64, l *Limit) {
	old := d.pace
	d.pace = paceOf(l)
	d.empty = old.move(d.empty, now, &d.pace)
}

func (d *drain) used(now int64) float64 { return d.usedBy(d.empty, now) }
func (d *drain) fresh(now int64) int64  { return max(d.empty.up(), now) }

// bucket is the token bucket and GCRA: empty is when it is full of tokens again,
// or the theoretical arrival time. It holds Burst tokens, which the tolerance
// says in time.
type bucket struct {
	drain
	tolerance moment
}

func newBucket(l *Limit) *bucket {
	b := &bucket{drain: drain{pace: paceOf(l)}}
	b.tolerate(l)
	return b
}

func (b *bucket) tolerate(l *Limit) {
	burst := l.Capacity
	if l.Burst > 0 {
		burst = l.Burst
	}
	b.tolerance = b.of(uint64(math.Round(burst * scale)))
}

func (b *bucket) when(now, n int64) int64 {
	due := b.sub(b.add(b.empty.notBefore(now), b.units(n)), b.tolerance)
	return max(due.up(), now)
}

func (b *bucket) resize(now int64, l *Limit) {
	b.drain.resize(now, l)
	b.tolerate(l)
}

// leakyBucket is a queue with a hole.
type leakyBucket struct{ drain }

func (b *leakyBucket) when(now, _ int64) int64 { return max(b.empty.up(), now) }
