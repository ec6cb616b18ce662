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
	take(now, n int64) int
	// adjust changes what was taken under a mark.
	adjust(now int64, mark int, from, to int64)
}

// logModel is the sliding window: everything that was ever taken.
type logModel struct {
	window, capacity int64
	log              []taken
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
	return len(m.log) - 1
}

func (m *logModel) adjust(now int64, mark int, from, to int64) {
	if t := &m.log[mark]; t.at > now-m.window {
		t.units += to - from
	} else if to > from {
		m.log = append(m.log, taken{now, to - from})
	}
}

// windowModel is the fixed window: a count per window, and what is beyond the
// capacity counts in the next.
type windowModel struct {
	window, capacity int64
	counts           map[int64]int64
	marks            []int64
}

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
	m.marks = append(m.marks, now/m.window)
	return len(m.marks) - 1
}

func (m *windowModel) adjust(now int64, mark int, from, to int64) {
	if w := now / m.window; to > from || m.marks[mark] == w {
		m.counts[w] += to - from
	}
}

// bucketModel is the token bucket: a number of tokens.
type bucketModel struct {
	rate, burst, tokens *big.Rat // per nanosecond
	at                  int64
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

func (m *bucketModel) take(now, n int64) int {
	m.fill(now)
	m.tokens.Sub(m.tokens, units(n))
	return 0
}

func (m *bucketModel) adjust(now int64, _ int, from, to int64) {
	m.fill(now)
	m.tokens.Sub(m.tokens, units(to-from))
	m.fill(now)
}

// leakyModel is the leaky bucket: what is in it, and a hole.
type leakyModel struct {
	rate, level *big.Rat
	at          int64
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
	return 0
}

func (m *leakyModel) adjust(now int64, _ int, from, to int64) {
	m.leak(now)
	m.level.Add(m.level, units(to-from))
	m.leak(now)
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
					mark  uint64
					model int
					units int64
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
						meter.adjust(now, leases[i].mark, leases[i].units, to)
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
					leases = append(leases, lease{meter.take(now, n), model.take(now, n), n})
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
					meter.take(now, n)
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
			m.take(0, 4)
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
					m.take(now, 1)
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
			mark := m.take(now, 1)
			for range 100 {
				m.adjust(now, mark, 1, MostCapacity)
			}
			at := m.when(now, 1)
			require.GreaterOrEqual(t, at, now, "%v", l)
			require.Positive(t, m.used(now), "%v", l)
			m.adjust(now, mark, MostCapacity, 0)
			l.Capacity = 7
			m.resize(now, &l)
			require.GreaterOrEqual(t, m.when(now, 1), now, "%v", l)
		}
	}
}
