package limits

import (
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The models below are the algorithms as the literature has them, in exact
// fractions and without any thought of speed.

// model is one of them. Times do not go back.
type model interface {
	// admits tells whether n units are within the rate now.
	admits(now, n int64) bool
	// take is what a lease takes first; the number finds it again.
	take(now, n int64) int
	// adjust changes what a lease has taken: more is taken now, less given back
	// as far as it has not gone by itself.
	adjust(now int64, lease int, from, to int64)
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

// windowModel is the fixed window: a count per window, and what is beyond the
// capacity counts in the next.
type windowModel struct {
	window, capacity int64
	counts           map[int64]int64
	leases           []chunk
}

// chunk is what a lease can give back.
type chunk struct{ at, units int64 }

func (m *windowModel) count(now int64) int64 {
	var carried int64
	for w := int64(0); w <= now/m.window; w++ {
		if w > 0 {
			carried = max(carried-m.capacity, 0)
		}
		carried = max(carried+m.counts[w], 0)
	}
	return carried
}

func (m *windowModel) admits(now, n int64) bool { return m.count(now)+n <= m.capacity }

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

// bucketModel is the token bucket: a number of tokens.
type bucketModel struct {
	rate, burst, tokens *big.Rat // per nanosecond
	at                  int64
	leases              []chunk // and when it has been replaced by new tokens
}

func newBucketModel(l *Limit) *bucketModel {
	burst := l.Capacity
	if l.Burst > 0 {
		burst = l.Burst
	}
	m := &bucketModel{
		rate:  new(big.Rat).Quo(parts(l.Capacity), new(big.Rat).SetInt64(int64(l.Window))),
		burst: parts(burst),
	}
	m.tokens = new(big.Rat).Set(m.burst)
	return m
}

// parts is a capacity as the limits count it: in millionths.
func parts(f float64) *big.Rat {
	return new(big.Rat).SetFrac64(int64(f*scale+0.5), scale)
}

func units(n int64) *big.Rat { return new(big.Rat).SetInt64(n) }

func (m *bucketModel) fill(now int64) {
	m.tokens.Add(m.tokens, new(big.Rat).Mul(m.rate, units(now-m.at)))
	m.at = now
	if m.tokens.Cmp(m.burst) > 0 {
		m.tokens.Set(m.burst)
	}
}

func (m *bucketModel) admits(now, n int64) bool {
	m.fill(now)
	return m.tokens.Cmp(units(n)) >= 0
}

func (m *bucketModel) taken() *big.Rat { return new(big.Rat).Sub(m.burst, m.tokens) }

func (m *bucketModel) take(now, n int64) int {
	m.fill(now)
	m.tokens.Sub(m.tokens, units(n))
	m.leases = append(m.leases, chunk{goneAt(now, m.taken(), m.rate), n})
	return len(m.leases) - 1
}

func (m *bucketModel) adjust(now int64, lease int, from, to int64) {
	m.fill(now)
	m.tokens.Sub(m.tokens, m.leases[lease].change(now, m.taken(), m.rate, to-from))
}

// goneAt is when so many units have gone, in whole nanoseconds.
func goneAt(now int64, taken, rate *big.Rat) int64 {
	d := new(big.Rat).Quo(taken, rate)
	ns, rest := new(big.Int).QuoRem(d.Num(), d.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		ns.Add(ns, big.NewInt(1))
	}
	return now + ns.Int64()
}

// change takes n more units, behind all that is taken, or gives some back: those
// of the chunk that have not gone. It returns how many more are taken.
func (c *chunk) change(now int64, taken, rate *big.Rat, n int64) *big.Rat {
	left := func(own int64) *big.Rat {
		l := units(own)
		for _, most := range []*big.Rat{new(big.Rat).Mul(rate, units(max(c.at-now, 0))), taken} {
			if l.Cmp(most) > 0 {
				l.Set(most)
			}
		}
		return l
	}
	if n > 0 {
		l := left(c.units)
		*c = chunk{goneAt(now, new(big.Rat).Add(taken, units(n)), rate), n + new(big.Int).Quo(l.Num(), l.Denom()).Int64()}
		return units(n)
	}
	own := min(-n, c.units)
	back := left(own)
	*c = chunk{goneAt(c.at, new(big.Rat).Neg(back), rate), c.units - own}
	return back.Neg(back)
}

// leakyModel is the leaky bucket: what is in it, and a hole.
type leakyModel struct {
	rate, level *big.Rat
	at          int64
	leases      []chunk
}

func newLeakyModel(l *Limit) *leakyModel {
	return &leakyModel{rate: new(big.Rat).Quo(parts(l.Capacity), units(int64(l.Window))), level: new(big.Rat)}
}

func (m *leakyModel) leak(now int64) {
	m.level.Sub(m.level, new(big.Rat).Mul(m.rate, units(now-m.at)))
	m.at = now
	if m.level.Sign() < 0 {
		m.level.SetInt64(0)
	}
}

func (m *leakyModel) admits(now, _ int64) bool {
	m.leak(now)
	return m.level.Sign() == 0
}

func (m *leakyModel) take(now, n int64) int {
	m.leak(now)
	m.level.Add(m.level, units(n))
	m.leases = append(m.leases, chunk{goneAt(now, m.level, m.rate), n})
	return len(m.leases) - 1
}

func (m *leakyModel) adjust(now int64, lease int, from, to int64) {
	m.leak(now)
	m.level.Add(m.level, m.leases[lease].change(now, m.level, m.rate, to-from))
}

func modelOf(l *Limit) model {
	switch l.Algorithm {
	case FixedWindow:
		return &windowModel{window: int64(l.Window), capacity: int64(l.Capacity), counts: map[int64]int64{}}
	case TokenBucket, GCRA:
		return newBucketModel(l)
	case LeakyBucket:
		return newLeakyModel(l)
	default:
		return &logModel{window: int64(l.Window), capacity: int64(l.Capacity)}
	}
}

var algorithms = []Algorithm{SlidingWindow, FixedWindow, TokenBucket, LeakyBucket, GCRA}

// rates draws limits whose numbers do not come out even.
func rates(a Algorithm) *rapid.Generator[Limit] {
	return rapid.Custom(func(t *rapid.T) Limit {
		l := Rate("r", float64(rapid.IntRange(1_000, 30_000).Draw(t, "capacity in thousandths"))/1000, time.Duration(rapid.IntRange(1, 2000).Draw(t, "window"))).By(a)
		if (a == TokenBucket || a == GCRA) && rapid.Bool().Draw(t, "burst") {
			l.Burst = float64(rapid.IntRange(1_000, 30_000).Draw(t, "burst in thousandths")) / 1000
		}
		return l
	})
}

// Whatever is taken, given back and used beyond: the meter admits exactly when
// the model does, and says to the nanosecond when it will.
func TestMetersAreTheAlgorithms(t *testing.T) {
	t.Parallel()
	for _, a := range algorithms {
		t.Run(string(a), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				l := rates(a).Draw(t, "limit")
				require.NoError(t, Check(l))
				meter, model := newMeter(&l), modelOf(&l)
				type lease struct {
					amount
					model int
				}
				var leases []lease
				now := int64(0)
				for range rapid.IntRange(1, 60).Draw(t, "steps") {
					now += int64(rapid.IntRange(0, int(l.Window)).Draw(t, "pause")) / int64(rapid.IntRange(1, 20).Draw(t, "slower"))
					n := int64(rapid.IntRange(1, int(l.most())).Draw(t, "units"))
					switch rapid.IntRange(0, 3).Draw(t, "step") {
					case 0:
						if len(leases) == 0 {
							continue
						}
						i := rapid.IntRange(0, len(leases)-1).Draw(t, "lease")
						to := int64(rapid.IntRange(0, 2*int(l.most())).Draw(t, "used"))
						switch lease := &leases[i]; {
						case to > lease.units:
							meter.more(now, &lease.amount, to-lease.units)
						case to < lease.units:
							meter.back(now, &lease.amount, lease.units-to)
						}
						model.adjust(now, leases[i].model, leases[i].units, to)
						leases[i].units = to
						continue
					case 1:
						now = meter.when(now, n) // as the one timer of a set does
					}
					at := meter.when(now, n)
					require.GreaterOrEqual(t, at, now)
					require.Equal(t, at == now, model.admits(now, n), "at %d", now)
					if at > now {
						require.False(t, clone(model).admits(at-1, n), "a nanosecond before %d", at)
						require.True(t, clone(model).admits(at, n), "at %d", at)
						continue
					}
					one := lease{amount{units: n}, model.take(now, n)}
					meter.take(now, &one.amount, n)
					leases = append(leases, one)
				}
			})
		})
	}
}

// clone is a model to look ahead with.
func clone(m model) model {
	switch m := m.(type) {
	case *bucketModel:
		c := *m
		c.tokens = new(big.Rat).Set(m.tokens)
		return &c
	case *leakyModel:
		c := *m
		c.level = new(big.Rat).Set(m.level)
		return &c
	default:
		return m // looking does not change them
	}
}

// What each algorithm promises about any stretch of time, from the outside.
func TestNoAlgorithmAdmitsMoreThanItPromises(t *testing.T) {
	t.Parallel()
	for _, a := range algorithms {
		t.Run(string(a), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				l := rates(a).Draw(t, "limit")
				meter := newMeter(&l)
				var log []taken
				now := int64(0)
				for range rapid.IntRange(1, 80).Draw(t, "requests") {
					now += int64(rapid.IntRange(0, int(l.Window)/2+1).Draw(t, "pause"))
					n := int64(rapid.IntRange(1, int(l.most())).Draw(t, "units"))
					now = meter.when(now, n)
					meter.take(now, &amount{}, n)
					log = append(log, taken{now, n})
				}
				for first := range log {
					var sum int64
					for _, last := range log[first:] {
						sum += last.units
						span := last.at - log[first].at
						require.LessOrEqual(t, float64(sum), promised(&l, log[first].at, last, span)+1e-6, "%v: %v to %v", l, log[first], last)
					}
				}
			})
		})
	}
}

// promised is the most units from a time to that of the last request, both
// included.
func promised(l *Limit, from int64, last taken, span int64) float64 {
	window := int64(l.Window)
	perNano := l.Capacity / float64(l.Window)
	switch l.Algorithm {
	case TokenBucket, GCRA:
		burst := l.Capacity
		if l.Burst > 0 {
			burst = l.Burst
		}
		return burst + perNano*float64(span)
	case LeakyBucket:
		return float64(last.units) + perNano*float64(span) // whatever came before the last has drained
	case FixedWindow:
		return float64(int64(l.Capacity)) * float64(last.at/window-from/window+1)
	default:
		return float64(int64(l.Capacity)) * float64(span/window+1)
	}
}

func TestMetersKeepWhatWasTakenOverAResize(t *testing.T) {
	t.Parallel()
	for _, a := range algorithms {
		t.Run(string(a), func(t *testing.T) {
			t.Parallel()
			l := Rate("r", 10, time.Second).By(a)
			m := newMeter(&l)
			m.take(0, &amount{}, 4)
			require.InDelta(t, 4, m.used(0), 1e-6)
			for _, capacity := range []float64{20, 5, 10} {
				l.Capacity = capacity
				m.resize(0, &l)
				require.InDelta(t, 4, m.used(0), 1e-6, "%v", capacity)
			}
		})
	}
}

func TestMetersAreFreshWhenNothingCounts(t *testing.T) {
	t.Parallel()
	for _, a := range algorithms {
		t.Run(string(a), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				l := rates(a).Draw(t, "limit")
				m := newMeter(&l)
				now := int64(0)
				for range rapid.IntRange(0, 10).Draw(t, "requests") {
					now = m.when(now, 1)
					m.take(now, &amount{}, 1)
				}
				fresh := m.fresh(now)
				require.GreaterOrEqual(t, fresh, now)
				require.Zero(t, m.used(fresh), fmt.Sprint(l))
				require.Equal(t, fresh, m.when(fresh, l.most()), "all of it at once")
			})
		})
	}
}

func TestHugeNumbersDoNotOverflow(t *testing.T) {
	t.Parallel()
	for _, a := range algorithms {
		for _, l := range []Limit{
			Rate("r", 1, LongestWindow).By(a), Rate("r", MostCapacity, 1).By(a), Rate("r", MostCapacity, LongestWindow).By(a),
		} {
			require.NoError(t, Check(l))
			m := newMeter(&l)
			now := int64(LongestWindow)
			a := &amount{}
			m.take(now, a, 1)
			for range 100 {
				m.more(now, a, MostCapacity-1)
			}
			at := m.when(now, 1)
			require.GreaterOrEqual(t, at, now, "%v", l)
			require.Positive(t, m.used(now), "%v", l)
			m.back(now, a, MostCapacity)
			l.Capacity = 7
			m.resize(now, &l)
			require.GreaterOrEqual(t, m.when(now, 1), now, "%v", l)
		}
	}
}
