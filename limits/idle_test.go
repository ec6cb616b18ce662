package limits

import (
	"context"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// mostPerIdleKey is how many bytes a key may take that nobody uses, its name
// included.
const mostPerIdleKey = 200

// It is alone while it measures: tests that run in parallel wait for it.
//
//nolint:paralleltest // as said
func TestIdleKeysCostLittle(t *testing.T) {
	for _, a := range algorithms() {
		perIdleKey(t, string(a), 1, Rate("r", 1000, time.Hour).By(a))
		perIdleKey(t, string(a)+" beside others", 1, Resource("c", 8), Rate("r", 1000, time.Hour).By(a), Rate("other", 1000, time.Hour))
	}
	perIdleKey(t, "a few acquisitions", 4, Rate("r", 1000, time.Hour))
	perIdleKey(t, "many at one time", 10, Rate("r", 1000, time.Hour))
}

// perIdleKey measures what keys cost after so many acquisitions of each. The
// clock moves between them, but for the last.
func perIdleKey(t *testing.T, name string, acquisitions int, limits ...Limit) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		const keys = 10_000
		var now atomic.Int64
		k, err := PerWorker(limits...).open(Clock{Now: func() time.Time { return time.Unix(0, now.Load()) }})
		require.NoError(t, err)
		before := heapInUse()
		for i := range keys {
			for n := range acquisitions {
				lease, err := k.For("tenant-" + strconv.Itoa(i)).TryAcquire(Units{"r": 3})
				require.NoError(t, err)
				lease.Release()
				if n < 4 {
					now.Add(int64(time.Microsecond))
				}
			}
		}
		perKey := float64(heapInUse()-before) / keys
		require.Equal(t, keys, k.Len(), "all of them are remembered")
		t.Logf("%.0f bytes", perKey)
		require.LessOrEqual(t, perKey, float64(mostPerIdleKey))
		k.Close(nil)
	})
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC() // what a sync.Pool had goes with the second
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// freezeAll takes the sets of all idle keys away, as other keys do that are used
// after them.
func (k *Keyed) freezeAll() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.idle {
		if s.set != nil {
			k.freeze(s)
		}
	}
}

// Whatever is done with a key: it is the same whether its set is taken away
// whenever it is idle, or never.
func TestFrozenKeysAreTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all := []Limit{Resource("c", 3)}
		algorithm := rapid.SampledFrom(algorithms()).Draw(t, "algorithm") // of all, so that the windows of one do not keep those of others
		for i := range rapid.IntRange(1, 3).Draw(t, "rates") {
			l := rates(algorithm).Draw(t, "limit")
			l.Name = fmt.Sprint("r", i)
			all = append(all, l)
		}
		var at atomic.Int64 // sweeps look at it, too
		base := time.Unix(0, 0)
		clock := Clock{Now: func() time.Time { return base.Add(time.Duration(at.Load())) }}
		frozen, plain := newKeyed(clock, all), newKeyed(clock, all)
		defer frozen.Close(nil)
		defer plain.Close(nil)
		type pair struct{ frozen, plain Lease }
		var leases []pair
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch step := rapid.IntRange(0, 6).Draw(t, "step"); {
			case step <= 2:
				key := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key")
				l := &all[rapid.IntRange(0, len(all)-1).Draw(t, "limit")]
				units := Units{l.Name: rapid.IntRange(1, int(min(l.maxRequest(), 40))).Draw(t, "units")}
				one, err := frozen.For(key).TryAcquire(units)
				other, same := plain.For(key).TryAcquire(units)
				require.Equal(t, same, err)
				leases = append(leases, pair{one, other})
			case step <= 4 && len(leases) > 0:
				i := rapid.IntRange(0, len(leases)-1).Draw(t, "lease")
				p := leases[i]
				switch rapid.IntRange(0, 2).Draw(t, "end") {
				case 0:
					p.frozen.Release()
					p.plain.Release()
				case 1:
					p.frozen.Undo()
					p.plain.Undo()
				case 2:
					used := Units{all[len(all)-1].Name: rapid.IntRange(0, 60).Draw(t, "used")}
					require.Equal(t, p.plain.Use(used), p.frozen.Use(used))
				}
			case step == 5:
				at.Add(int64(rapid.IntRange(0, 3000).Draw(t, "pause")))
			case step == 6:
				l := &all[rapid.IntRange(1, len(all)-1).Draw(t, "limit")]
				if l.Capacity = capacities().Draw(t, "capacity"); rapid.IntRange(0, 3).Draw(t, "unbounded") == 0 {
					l.Capacity = math.Inf(1)
				}
				require.NoError(t, frozen.Resize(l.Name, l.Capacity))
				require.NoError(t, plain.Resize(l.Name, l.Capacity))
			}
			frozen.freezeAll()
			frozen.sweep()
			plain.sweep()
			require.Equal(t, inUse(plain), inUse(frozen), "at %d", at.Load())
		}
	})
}

// inUse is what the keys hold that hold anything.
func inUse(k *Keyed) map[string]Snapshot {
	all := k.Snapshots()
	maps.DeleteFunc(all, func(_ string, s Snapshot) bool {
		return s.Leases == 0 && !slices.ContainsFunc(s.Limits, func(u Usage) bool { return u.InUse > 0 })
	})
	return all
}

// A key that is used all the time keeps its set, whatever the others do.
func TestKeysInUseKeepTheirSets(t *testing.T) {
	t.Parallel()
	k := MustNewKeyed(Rate("r", 1000, time.Hour).By(AlgorithmFixedWindow))
	defer k.Close(nil)
	use := func(key string) {
		lease, err := k.For(key).TryAcquire(Units{"r": 1})
		require.NoError(t, err)
		lease.Release()
	}
	sets := func() (n int) {
		for _, s := range k.sets {
			if s.set != nil {
				n++
			}
		}
		return n
	}
	use("a")
	set := k.sets["a"].set
	for i := range 10 * maxWarm {
		use("a")
		if i < maxWarm-1 {
			use(strconv.Itoa(i))
			assert.Same(t, set, k.sets["a"].set)
		} else {
			use("b" + strconv.Itoa(i))
		}
		assert.LessOrEqual(t, sets(), maxWarm)
	}
	assert.Equal(t, maxWarm, sets())
	assert.Len(t, k.sets, 10*maxWarm+1)
	assert.InDelta(t, 10*maxWarm+1, k.Snapshots()["a"].Limits[0].InUse, 0, "nothing is lost")
	assert.InDelta(t, 1, k.Snapshots()["0"].Limits[0].InUse, 0)
}

// The log of a window that has many acquisitions is left as it is.
func TestLongLogsAreNotReadAgainAndAgain(t *testing.T) {
	t.Parallel()
	k := MustNewKeyed(Rate("r", 1000, time.Hour))
	defer k.Close(nil)
	for i, want := range map[int]bool{maxKept: true, maxKept + 1: false} {
		key := strconv.Itoa(i)
		for range i {
			lease, err := k.For(key).TryAcquire(Units{"r": 1})
			require.NoError(t, err)
			lease.Release()
		}
		k.freezeAll()
		assert.Equal(t, want, k.sets[key].set == nil, "%d acquisitions", i)
		assert.InDelta(t, i, k.Snapshots()[key].Limits[0].InUse, 0)
	}
}

// A lease that is over has no part in the key that has its set now.
func TestLeaseThatIsOverDoesNotTouchAnotherKey(t *testing.T) {
	t.Parallel()
	for { // the race detector makes pools lose some
		k, err := PerWorker(Rate("r", 10, time.Hour).By(AlgorithmTokenBucket), Resource("c", 2)).open(Clock{Now: func() time.Time { return time.Unix(0, 0) }})
		require.NoError(t, err)
		old, err := k.For("a").TryAcquire(Units{"r": 5, "c": 1})
		require.NoError(t, err)
		set := k.sets["a"].set
		ended := old.Context(t.Context())
		old.Release()
		k.freezeAll()
		require.Nil(t, k.sets["a"].set)
		lease, err := k.For("b").TryAcquire(Units{"r": 3, "c": 1})
		require.NoError(t, err)
		if k.sets["b"].set != set {
			k.Close(nil)
			continue
		}
		ctx := lease.Context(t.Context())

		old.Release()
		old.Undo()
		require.ErrorIs(t, old.Use(Units{"r": 0}), ErrReleased)
		assert.Nil(t, old.Units())
		require.Error(t, ended.Err())
		require.NoError(t, ctx.Err())
		assert.InDelta(t, 3, k.Snapshots()["b"].Limits[0].InUse, 0)
		assert.InDelta(t, 1, k.Snapshots()["b"].Limits[1].InUse, 0)
		assert.InDelta(t, 5, k.Snapshots()["a"].Limits[0].InUse, 0)
		k.Close(nil)
		return
	}
}

// Sets of keys that are free are used in other bubbles of synctest too.
func TestKeysAreUsedInSeveralBubbles(t *testing.T) {
	t.Parallel()
	k := MustNewKeyed(Resource("c", 1))
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			held, err := k.For("a").TryAcquire(Units{"c": 1})
			require.NoError(t, err)
			served := make(chan Lease)
			go func() {
				lease, err := k.For("a").Acquire(context.Background(), Units{"c": 1})
				assert.NoError(t, err)
				served <- lease
			}()
			synctest.Wait()
			held.Release()
			(<-served).Release()
		})
	}
	assert.Zero(t, k.Len())
}

// Sets go from key to key while many goroutines use them, and nothing is lost.
func TestFrozenKeysWithstandManyGoroutines(t *testing.T) {
	t.Parallel()
	const workers, keys, each = 64, 3 * maxWarm, 150
	k := MustNewKeyed(Rate("r", 1e6, 24*time.Hour), Resource("c", 2), Rate("b", 1e6, 366*24*time.Hour).By(AlgorithmTokenBucket))
	defer k.Close(nil)
	var done sync.WaitGroup
	for g := range workers {
		done.Go(func() {
			for i := range each {
				lease, err := k.For(strconv.Itoa((g*each+i*7)%keys)).Acquire(t.Context(), Units{"r": 3, "c": 1, "b": 1})
				if err != nil {
					t.Error(err)
					return
				}
				switch i % 3 {
				case 0:
					if err := lease.Use(Units{"r": 1}); err != nil {
						t.Error(err)
					}
				case 1:
					ctx := lease.Context(t.Context())
					defer func() { assert.Error(t, ctx.Err()) }()
				}
				lease.Release()
				if i%100 == 0 {
					assert.NoError(t, k.Resize("r", float64(1e6+g)))
					k.Snapshots()
				}
			}
		})
	}
	done.Wait()
	used := 0.0
	for _, s := range k.Snapshots() {
		assert.Zero(t, s.Leases)
		assert.Zero(t, s.Limits[1].InUse)
		used += s.Limits[0].InUse
	}
	assert.InDelta(t, workers*each/3*(1+3+3), used, 0)
}
