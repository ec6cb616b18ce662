package limits

import (
	"math/big"
	"slices"
)

// The models below are the algorithms() as the literature has them, in exact
// fractions and without any thought of speed.

// model is one of them. Times do not go back.
type model interface {
	// admits reports whether n units are within the rate now.
	admits(now, n int64) bool
	// take is what a lease takes first; the number finds it again.
	take(now, n int64) int
	// adjust changes what a lease has taken: more is taken now, less given back
	// as far as it has not gone by itself.
	adjust(now int64, lease int, from, to int64)
	resize(now int64, l *Limit)
}

// logModel is the sliding window: everything that was ever taken.
type logModel struct {
	window, capacity int64
	log              []taken
	leases           []int // what of the log each has taken last
}

func (m *logModel) sum(now int64) (sum int64) {
	for _, t := range m.log {
		if t.at > now-m.window {
			sum += t.units
		}
	}
	return sum
}

func (m *logModel) admits(now, n int64) bool { return m.sum(now)+n <= m.capacity }

func (m *logModel) take(now, n int64) int {
	m.log = append(m.log, taken{now, n})
	m.leases = append(m.leases, len(m.log)-1)
	return len(m.leases) - 1
}

func (m *logModel) adjust(now int64, lease int, from, to int64) {
	t := &m.log[m.leases[lease]]
	switch {
	case to > from && t.at == now:
		t.units += to - from
	case to > from:
		m.log = append(m.log, taken{now, to - from})
		m.leases[lease] = len(m.log) - 1
	case t.at > now-m.window:
		t.units -= min(from-to, t.units)
	}
}

func (m *logModel) resize(_ int64, l *Limit) { m.capacity = int64(l.Capacity) }

// windowModel is the fixed window: a count per window, and what is beyond the
// capacity that the window had at its end counts in the next.
type windowModel struct {
	window     int64
	capacities []taken // and since when
	counts     map[int64]int64
	leases     []chunk
}

func (m *windowModel) resize(now int64, l *Limit) {
	m.capacities = append(m.capacities, taken{now, int64(l.Capacity)})
}

// capacityBefore is the last one before a time.
func (m *windowModel) capacityBefore(at int64) (capacity int64) {
	for _, c := range m.capacities {
		if c.at < at || c.at == 0 {
			capacity = c.units
		}
	}
	return capacity
}

// chunk is what a lease can give back, and of which window.
type chunk struct{ at, units int64 }

func (m *windowModel) count(now int64) int64 {
	var carried int64
	for w := int64(0); w <= now/m.window; w++ {
		if w > 0 {
			carried = max(carried-m.capacityBefore(w*m.window), 0)
		}
		carried = max(carried+m.counts[w], 0)
	}
	return carried
}

func (m *windowModel) admits(now, n int64) bool {
	return m.count(now)+n <= m.capacities[len(m.capacities)-1].units
}

func (m *windowModel) take(now, n int64) int {
	m.counts[now/m.window] += n
	m.leases = append(m.leases, chunk{now / m.window, n})
	return len(m.leases) - 1
}

func (m *windowModel) adjust(now int64, lease int, from, to int64) {
	c, w := &m.leases[lease], now/m.window
	if to > from && c.at != w {
		*c = chunk{at: w}
	}
	if c.at == w {
		change := max(to-from, -c.units)
		m.counts[w] += change
		c.units += change
	}
}

// line is units that stand in line, and go one after the other.
type line struct {
	rate   *big.Rat // per nanosecond
	at     int64
	places []*place
	leases []*place // where each stands; nil where it has nothing there
	own    []int64  // what each can give back
}

// place is what stands together. What is behind moves up when some leaves.
type place struct{ rest *big.Rat }

func newLine(l *Limit) *line { return &line{rate: rateOf(l)} }

func rateOf(l *Limit) *big.Rat {
	return new(big.Rat).Quo(exactly(l.Capacity), units(int64(l.Window)))
}

// exactly is a capacity as the limits count it: in millionths.
func exactly(f float64) *big.Rat { return new(big.Rat).SetFrac64(int64(f*scale+0.5), scale) }

func units(n int64) *big.Rat { return new(big.Rat).SetInt64(n) }

// pass lets go what has gone until now.
func (m *line) pass(now int64) {
	gone := new(big.Rat).Mul(m.rate, units(now-m.at))
	m.at = now
	for _, p := range m.places {
		n := lesser(p.rest, gone)
		p.rest.Sub(p.rest, n)
		gone.Sub(gone, n)
	}
	m.places = slices.DeleteFunc(m.places, func(p *place) bool { return p.rest.Sign() == 0 })
}

func lesser(a, b *big.Rat) *big.Rat {
	if a.Cmp(b) < 0 {
		return new(big.Rat).Set(a)
	}
	return new(big.Rat).Set(b)
}

// level is all that stands in line now.
func (m *line) level(now int64) *big.Rat {
	m.pass(now)
	sum := new(big.Rat)
	for _, p := range m.places {
		sum.Add(sum, p.rest)
	}
	return sum
}

func (m *line) take(now, n int64) int {
	m.pass(now)
	m.leases = append(m.leases, nil)
	m.own = append(m.own, 0)
	m.join(len(m.leases)-1, n)
	return len(m.leases) - 1
}

func (m *line) join(lease int, n int64) {
	m.leases[lease], m.own[lease] = &place{units(n)}, n
	m.places = append(m.places, m.leases[lease])
}

func (m *line) adjust(now int64, lease int, from, to int64) {
	m.pass(now)
	p := m.leases[lease]
	if n := min(from-to, m.own[lease]); n > 0 {
		p.rest.Sub(p.rest, lesser(p.rest, units(n)))
		m.own[lease] -= n
	}
	if to > from { // what it has left, in whole units, goes behind all others too
		left := lesser(p.rest, units(m.own[lease]))
		whole := new(big.Int).Quo(left.Num(), left.Denom()).Int64()
		p.rest.Sub(p.rest, units(whole))
		m.join(lease, to-from+whole)
	}
}

func (m *line) resize(now int64, l *Limit) {
	m.pass(now)
	m.rate = rateOf(l)
}

func (m *line) clone() line {
	c := *m
	c.places = nil
	for _, p := range m.places {
		c.places = append(c.places, &place{new(big.Rat).Set(p.rest)})
	}
	return c
}

// bucketModel is the token bucket: the tokens that are missing stand in line.
type bucketModel struct {
	line
	burst *big.Rat
}

func newBucketModel(l *Limit) *bucketModel {
	return &bucketModel{line: *newLine(l), burst: exactly(l.burst())}
}

func (m *bucketModel) admits(now, n int64) bool {
	return new(big.Rat).Add(m.level(now), units(n)).Cmp(m.burst) <= 0
}

func (m *bucketModel) resize(now int64, l *Limit) {
	m.line.resize(now, l)
	m.burst = exactly(l.burst())
}

// leakyModel is the leaky bucket, which lets nothing in until it is empty.
type leakyModel struct{ line }

func (m *leakyModel) admits(now, _ int64) bool { return m.level(now).Sign() == 0 }

func modelOf(l *Limit) model {
	switch l.Algorithm {
	case AlgorithmFixedWindow:
		return &windowModel{window: int64(l.Window), capacities: []taken{{0, int64(l.Capacity)}}, counts: map[int64]int64{}}
	case AlgorithmTokenBucket, AlgorithmGCRA:
		return newBucketModel(l)
	case AlgorithmLeakyBucket:
		return &leakyModel{*newLine(l)}
	default:
		return &logModel{window: int64(l.Window), capacity: int64(l.Capacity)}
	}
}
