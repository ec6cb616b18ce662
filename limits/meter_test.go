package limits

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// capacities draws thousandths.
func capacities() *rapid.Generator[float64] {
	return rapid.Map(rapid.IntRange(1_000, 30_000), func(n int) float64 { return float64(n) / 1000 })
}

// rates draws limits whose numbers do not come out even.
func rates(a Algorithm) *rapid.Generator[Limit] {
	return rapid.Custom(func(t *rapid.T) Limit {
		l := Rate("r", capacities().Draw(t, "capacity"), time.Duration(rapid.IntRange(1, 2000).Draw(t, "window"))).By(a)
		if (a == AlgorithmTokenBucket || a == AlgorithmGCRA) && rapid.Bool().Draw(t, "burst") {
			l.Burst = capacities().Draw(t, "burst")
		}
		return l
	})
}

// Whatever is taken, given back late, used beyond and resized, in every order: the
// meter admits exactly when the model does, and says to the nanosecond when it
// will.
func TestMetersAreTheAlgorithms(t *testing.T) {
	t.Parallel()
	for _, a := range algorithms() {
		t.Run(string(a), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				l := rates(a).Draw(t, "limit")
				require.NoError(t, checkAll(l))
				meter, model := newMeter(&l, 0), modelOf(&l)
				type lease struct {
					amount
					model int
				}
				var leases []lease
				now := int64(0)
				for range rapid.IntRange(1, maxStretches).Draw(t, "steps") { // of fewer leases than that every one is told apart
					now += int64(rapid.IntRange(0, int(l.Window)).Draw(t, "pause")) / int64(rapid.IntRange(1, 20).Draw(t, "slower"))
					n := int64(rapid.IntRange(1, int(l.maxRequest())).Draw(t, "units"))
					switch rapid.IntRange(0, 4).Draw(t, "step") {
					case 0:
						if len(leases) == 0 {
							continue
						}
						i := rapid.IntRange(0, len(leases)-1).Draw(t, "lease")
						to := int64(rapid.IntRange(0, 2*int(l.maxRequest())).Draw(t, "used"))
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
					case 2:
						l.Capacity = capacities().Draw(t, "capacity")
						meter.resize(now, &l)
						model.resize(now, &l)
						continue
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
		return &bucketModel{m.clone(), m.burst}
	case *leakyModel:
		return &leakyModel{m.clone()}
	default:
		return m // looking does not change them
	}
}

func TestMetersKeepWhatWasTakenOverAResize(t *testing.T) {
	t.Parallel()
	for _, a := range algorithms() {
		t.Run(string(a), func(t *testing.T) {
			t.Parallel()
			l := Rate("r", 10, time.Second).By(a)
			m := newMeter(&l, 0)
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
	for _, a := range algorithms() {
		t.Run(string(a), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				l := rates(a).Draw(t, "limit")
				m := newMeter(&l, 0)
				now := int64(0)
				for range rapid.IntRange(0, 10).Draw(t, "requests") {
					now = m.when(now, 1)
					m.take(now, &amount{}, 1)
				}
				fresh := m.fresh(now)
				require.GreaterOrEqual(t, fresh, now)
				require.Zero(t, m.used(fresh), fmt.Sprint(l))
				require.Equal(t, fresh, m.when(fresh, l.maxRequest()), "all of it at once")
			})
		})
	}
}

func TestHugeNumbersDoNotOverflow(t *testing.T) {
	t.Parallel()
	for _, a := range algorithms() {
		for _, l := range []Limit{
			Rate("r", 1, MaxWindow).By(a), Rate("r", MaxCapacity, 1).By(a), Rate("r", MaxCapacity, MaxWindow).By(a),
		} {
			require.NoError(t, checkAll(l))
			m := newMeter(&l, 0)
			now := int64(MaxWindow)
			a := &amount{}
			m.take(now, a, 1)
			for range 100 {
				m.more(now, a, MaxCapacity-1)
			}
			at := m.when(now, 1)
			require.GreaterOrEqual(t, at, now, "%v", l)
			require.Positive(t, m.used(now), "%v", l)
			m.back(now, a, MaxCapacity)
			l.Capacity = 7
			m.resize(now, &l)
			require.GreaterOrEqual(t, m.when(now, 1), now, "%v", l)
		}
	}
}
