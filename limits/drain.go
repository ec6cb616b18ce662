package limits

import (
	"encoding/binary"
	"math"
	"slices"
)

// scale is how many parts a unit of capacity is counted in.
const scale = 1_000_000

// drain is the common part of both buckets: a line of units that leave one after the
// other, at the rate's speed.
//
// It counts in grains. A unit is scale·Window of them, and every nanosecond as
// many go as the capacity has parts. Both are whole numbers, and only the second
// changes with a resize: so nothing is ever rounded, and what stands in line
// stays what it is.
//
// A lease gives back what of its own still stands in line. Then the level is at
// every moment what it would be had the lease taken so much less in the first
// place, and so the bucket's promise holds for what was used in the end. What
// left the line meanwhile has made room already, and others may be there.
type drain struct {
	window   uint64
	capacity uint64 // in parts
	unit     wide

	level wide // what stands in line
	at    int64

	// Where a lease stands is told by how many units had come when it had taken
	// its last: its mark. What still stands of it is the level without those
	// behind it. These are counted by stretches, from the oldest to the newest, of
	// the line, so that the memory does not grow with the number of leases: within
	// its own stretch a lease takes those behind it for as many as they can be.
	come      uint64 // units in all; wraps around after 10^19
	began     uint64 // those that had come when nothing stood in line for the last time
	stretches []stretch
	grain     uint64 // how many units a stretch has at least, before the next one begins
}

// stretch is what leases that came one after the other have in line, and have
// had: without what they have given back.
type stretch struct {
	end uint64 // the mark of its last
	net wide
}

// maxStretches bounds the memory of a line.
const maxStretches = 32

func drainOf(l *Limit) drain {
	return drain{window: uint64(l.Window), capacity: parts(l.Capacity), unit: product(uint64(l.Window), scale), grain: grainOf(l)}
}

func parts(units float64) uint64 { return uint64(math.Round(units * scale)) }

func grainOf(l *Limit) uint64 { return max(uint64(l.burst())/maxStretches, 1) }

func (d *drain) units(n int64) wide {
	if n == 1 {
		return d.unit
	}
	return d.unit.times(uint64(n))
}

// leak lets go what has gone until now. On a clock that has gone back nothing
// has.
func (d *drain) leak(now int64) {
	if now <= d.at {
		return
	}
	if !d.level.zero() {
		d.level = d.level.sub(product(uint64(now-d.at), d.capacity))
	}
	d.at = now
}

// downTo is when no more than so much stands in line.
func (d *drain) downTo(level wide) int64 {
	ns, rest := d.level.sub(level).quo(d.capacity)
	wait := ns.low()
	if wait >= math.MaxInt64/2-d.at { // far beyond any time
		return math.MaxInt64 / 2
	}
	if rest > 0 {
		wait++
	}
	return d.at + wait
}

func (d *drain) take(now int64, a *amount, n int64) {
	if now > d.at { // when has not been asked
		d.leak(now)
	}
	size := d.units(n)
	before := d.come
	d.come += uint64(n)
	a.mark, a.charged = d.come, n
	if d.level.zero() {
		d.began, d.level = before, size
		d.stretches = append(d.stretches[:0], stretch{d.come, size})
		return
	}
	if last := len(d.stretches) - 1; last < 0 || before-d.start(last) >= d.grain {
		d.begin()
	}
	s := &d.stretches[len(d.stretches)-1]
	s.end, s.net = d.come, s.net.add(size)
	d.level = d.level.add(size)
}

// start is how many units had come before a stretch.
func (d *drain) start(i int) uint64 {
	if i == 0 {
		return d.began
	}
	return d.stretches[i-1].end
}

// begin begins a stretch. Where there are too many, those that have left the line
// are forgotten; else the two neighbors become one that have least in it: less
// than a fifteenth of the level.
func (d *drain) begin() {
	if len(d.stretches) == maxStretches {
		d.forget()
	}
	if len(d.stretches) == maxStretches {
		least, of := 0, wide{math.MaxUint64, math.MaxUint64}
		for i := range maxStretches - 1 {
			if both := d.stretches[i].net.add(d.stretches[i+1].net); both.less(of) {
				least, of = i, both
			}
		}
		d.stretches[least+1].net = of
		d.stretches = slices.Delete(d.stretches, least, least+1)
	}
	d.stretches = append(d.stretches, stretch{})
}

// forget drops the stretches of which nothing stands in line: those behind them
// are all of the level.
func (d *drain) forget() {
	behind := wide{}
	for i, s := range slices.Backward(d.stretches) {
		if !behind.less(d.level) {
			d.began = s.end
			d.stretches = append(d.stretches[:0], d.stretches[i+1:]...)
			return
		}
		behind = behind.add(s.net)
	}
}

// left returns what a can give back, and of which stretch; nil if nothing is left.
func (d *drain) left(a *amount) (*stretch, wide) {
	if d.level.zero() || int64(a.mark-d.began) <= 0 {
		return nil, wide{}
	}
	i := len(d.stretches) - 1
	behind := wide{}
	for ; int64(a.mark-d.start(i)) <= 0; i-- {
		behind = behind.add(d.stretches[i].net)
	}
	s, own := &d.stretches[i], d.units(a.charged)
	behind = behind.add(smaller(d.unit.times(s.end-a.mark), s.net.sub(own)))
	return s, smaller(own, d.level.sub(behind))
}

func (d *drain) back(now int64, a *amount, n int64) {
	d.leak(now)
	n = min(n, a.charged)
	if s, left := d.left(a); s != nil {
		d.remove(s, smaller(left, d.units(n)))
	}
	a.charged -= n
}

func (d *drain) remove(s *stretch, size wide) {
	s.net = s.net.sub(size)
	d.level = d.level.sub(size)
}

// more puts what is left of a behind all others, with the n more: a has one mark.
func (d *drain) more(now int64, a *amount, n int64) {
	d.leak(now)
	rest := int64(0)
	if s, left := d.left(a); s != nil {
		in, _ := left.quo(d.window)
		whole, _ := in.quo(scale)
		rest = whole.low()
		d.remove(s, d.units(rest))
	}
	d.take(now, a, rest+n)
}

func (d *drain) resize(now int64, l *Limit) {
	d.leak(now)
	d.capacity, d.grain = parts(l.Capacity), grainOf(l)
}

func (d *drain) used(now int64) float64 {
	d.leak(now)
	in, rest := d.level.quo(d.window)
	return (in.float() + float64(rest)/float64(d.window)) / scale
}

func (d *drain) fresh(now int64) int64 {
	d.leak(now)
	return max(d.downTo(wide{}), now)
}

func (d *drain) keep(now int64, state []byte) []byte {
	d.leak(now)
	state = binary.AppendVarint(state, d.at)
	state = binary.AppendUvarint(state, d.level.hi)
	return binary.AppendUvarint(state, d.level.lo)
}

func (d *drain) recall(state []byte) []byte {
	from := numbers(state)
	d.renew(from.next())
	d.level = wide{from.nextUnsigned(), from.nextUnsigned()}
	return from
}

func (d *drain) renew(now int64) {
	d.at, d.level = now, wide{}
	d.began, d.stretches = d.come, d.stretches[:0]
}
