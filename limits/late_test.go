package limits

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What was taken while a rate had no bound is charged nowhere: it counts when it
// is used under a bound, and is not given back.
func TestWhatWasTakenWithoutBoundIsNotGivenBack(t *testing.T) {
	t.Parallel()
	for _, a := range algorithms() {
		for name, end := range map[string]func(l Lease){
			"undo":     Lease.Undo,
			"use none": func(l Lease) { _ = l.Use(Units{"tokens": 0}) },
			"release":  Lease.Release,
		} {
			for _, capacity := range []float64{10, math.Inf(1)} {
				s := MustNew(Rate("tokens", capacity, time.Hour).By(a))
				require.NoError(t, s.Resize("tokens", math.Inf(1)))
				old, err := s.TryAcquire(Units{"tokens": 7})
				require.NoError(t, err)
				require.NoError(t, s.Resize("tokens", 10))
				_, err = s.TryAcquire(Units{"tokens": s.room()})
				require.NoError(t, err)
				end(old)
				_, err = s.TryAcquire(Units{"tokens": 1})
				require.ErrorIs(t, err, ErrNoRoom, "%s, %s, first %v", a, name, capacity)
			}
		}
	}
}

// room is the largest request for tokens.
func (s *Set) room() int {
	if s.limits[0].Algorithm == AlgorithmLeakyBucket {
		return 1
	}
	return 10
}

func TestUseUnderABoundOfWhatWasTakenWithoutCounts(t *testing.T) {
	t.Parallel()
	for _, a := range algorithms() {
		s := MustNew(Rate("tokens", math.Inf(1), time.Hour).By(a))
		old, err := s.TryAcquire(Units{"tokens": 7})
		require.NoError(t, err)
		require.NoError(t, s.Resize("tokens", 10))
		require.NoError(t, old.Use(Units{"tokens": 8}))
		assert.InDelta(t, 8, s.Snapshot().Limits[0].InUse, 1e-3, "%s", a)
	}
}

func TestKeyIsNotForgottenSoonerThanItsNewRateSays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := MustNewKeyed(Rate("r", 10, time.Second).By(AlgorithmTokenBucket))
		lease, err := k.For("a").TryAcquire(Units{"r": 10})
		require.NoError(t, err)
		lease.Release()
		require.NoError(t, k.Resize("r", 1)) // 10 units now take 10 s
		s := MustNew(Rate("r", 10, time.Second).By(AlgorithmTokenBucket))
		lease, err = s.TryAcquire(Units{"r": 10})
		require.NoError(t, err)
		lease.Release()
		require.NoError(t, s.Resize("r", 1))
		time.Sleep(1500 * time.Millisecond)
		_, err = s.TryAcquire(Units{"r": 1})
		require.ErrorIs(t, err, ErrNoRoom, "a set of its own")
		_, err = k.For("a").TryAcquire(Units{"r": 1})
		require.ErrorIs(t, err, ErrNoRoom)
		k.Close(nil)
	})
}

// Time has let others through in the place of what is given back late.
func TestLeakyBucketDoesNotBurstWhateverIsGivenBackLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := MustNew(Rate("r", 1, time.Second).By(AlgorithmLeakyBucket))
		var leases []Lease
		for range 5 {
			l, err := s.Acquire(t.Context(), Units{"r": 1})
			require.NoError(t, err)
			leases = append(leases, l)
		}
		time.Sleep(10 * time.Second)
		n := 0
		for i := range 6 {
			if _, err := s.TryAcquire(Units{"r": 1}); err == nil {
				n++
			}
			if i < 5 {
				leases[i].Undo()
			}
		}
		require.Equal(t, 1, n, "no bursts")
	})
}

func TestTokenBucketKeepsItsBurstWhateverIsGivenBackLate(t *testing.T) {
	t.Parallel()
	for _, a := range []Algorithm{AlgorithmTokenBucket, AlgorithmGCRA} {
		synctest.Test(t, func(t *testing.T) {
			s := MustNew(Rate("r", 10, time.Second).By(a))
			var olds []Lease
			for range 5 {
				l, err := s.Acquire(t.Context(), Units{"r": 10})
				require.NoError(t, err)
				olds = append(olds, l)
			}
			time.Sleep(10 * time.Second) // the bucket is full again
			n := 0
			for i := range 6 {
				if _, err := s.TryAcquire(Units{"r": 10}); err == nil {
					n += 10
				}
				if i < 5 {
					require.NoError(t, olds[i].Use(Units{"r": 1}))
				}
			}
			require.LessOrEqual(t, n, 10, "%s: Burst + n·t/window in any time t", a)
		})
	}
}

func TestWaitOnAClockOfItsOwnEndsWithTheReason(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]func(s *Set, l Lease){
		"close":  func(s *Set, _ Lease) { s.Close(nil) },
		"undo":   func(_ *Set, l Lease) { l.Undo() },
		"use":    func(_ *Set, l Lease) { _ = l.Use(Units{"r": 0}) },
		"resize": func(s *Set, _ Lease) { _ = s.Resize("r", 100) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				clock := Clock{Sleep: func(d time.Duration, wake ...<-chan struct{}) bool {
					select {
					case <-time.After(d):
						return true
					case <-wake[0]:
						return false
					case <-wake[1]:
						return false
					}
				}}
				s, err := NewWithClock(clock, Rate("r", 10, time.Hour))
				require.NoError(t, err)
				l, err := s.TryAcquire(Units{"r": 10})
				require.NoError(t, err)
				begin := time.Now()
				done := make(chan time.Duration, 1)
				go func() {
					_, err := s.Acquire(t.Context(), Units{"r": 10})
					_ = err
					done <- time.Since(begin)
				}()
				synctest.Wait()
				act(s, l)
				require.Less(t, <-done, time.Minute)
			})
		})
	}
}

func TestPoolSleepsUntilTheFirstMemberHasRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		clock := Clock{Sleep: func(d time.Duration, _ ...<-chan struct{}) bool { time.Sleep(d); return true }}
		a, err := NewWithClock(clock, Rate("r", 1, time.Hour))
		require.NoError(t, err)
		b, err := NewWithClock(clock, Rate("r", 1, time.Second))
		require.NoError(t, err)
		p, err := NewPool(Member{Set: a}, Member{Set: b})
		require.NoError(t, err)
		for range 2 {
			_, err = p.TryAcquire(Units{"r": 1})
			require.NoError(t, err)
		}
		begin := time.Now()
		_, err = p.Acquire(t.Context(), Units{"r": 1})
		require.NoError(t, err)
		require.Less(t, time.Since(begin), time.Minute)
	})
}

func TestLeaseForgetsContextsThatHaveEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := MustNew(Resource("r", 1))
		lease, err := s.TryAcquire(Units{"r": 1})
		require.NoError(t, err)
		for range 100 {
			parent, cancel := context.WithCancel(t.Context())
			_ = lease.Context(parent)
			cancel()
		}
		last := lease.Context(t.Context())
		synctest.Wait()
		assert.Len(t, s.contexts[lease.grant], 1)
		lease.Release()
		assert.ErrorIs(t, context.Cause(last), ErrReleased)
		assert.Empty(t, s.contexts)
	})
}

// What is used beyond counts from when it is said.
func TestWhatIsUsedBeyondStaysAWholeWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := MustNew(Rate("tokens", 100, time.Minute))
		a, err := s.TryAcquire(Units{"tokens": 1}) // 12:00:00
		require.NoError(t, err)
		time.Sleep(59 * time.Second)
		require.NoError(t, a.Use(Units{"tokens": 100})) // 12:00:59: 99 beyond
		time.Sleep(time.Second)                         // 12:01:00
		_, err = s.TryAcquire(Units{"tokens": 100})
		require.ErrorIs(t, err, ErrNoRoom)
	})
}

// A clock that stands still makes nobody forget what counts by it.
func TestKeysAreForgottenByTheClockOfTheirSets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var passed atomic.Int64
		clock := Clock{Now: func() time.Time { return time.Unix(0, passed.Load()) }}
		k, err := PerWorker(Rate("r", 1, 20*time.Millisecond)).open(clock)
		require.NoError(t, err)
		lease, err := k.For("a").TryAcquire(Units{"r": 1})
		require.NoError(t, err)
		lease.Release()
		time.Sleep(time.Second)
		_, err = k.For("a").TryAcquire(Units{"r": 1})
		require.ErrorIs(t, err, ErrNoRoom)
		passed.Add(int64(20 * time.Millisecond))
		time.Sleep(time.Second)
		assert.Zero(t, k.Len())
	})
}

func TestUndoGivesBackWhatWasUsedBeyond(t *testing.T) {
	t.Parallel()
	for _, a := range algorithms() {
		synctest.Test(t, func(t *testing.T) {
			s := MustNew(Rate("r", 10, time.Second).By(a))
			lease, err := s.TryAcquire(Units{"r": 5})
			require.NoError(t, err)
			time.Sleep(3 * time.Second)
			require.NoError(t, lease.Use(Units{"r": 12}))
			require.InDelta(t, 7, s.Snapshot().Limits[0].InUse, 1e-6, "%s", a)
			lease.Undo()
			require.Zero(t, s.Snapshot().Limits[0].InUse, "%s", a)
		})
	}
}

// What time has given back at one rate is not given back once more at another.
func TestBucketsKeepTheirPromiseOverAResize(t *testing.T) {
	t.Parallel()
	for _, a := range []Algorithm{AlgorithmTokenBucket, AlgorithmGCRA, AlgorithmLeakyBucket} {
		for _, capacity := range []float64{6, 60, 600, 6000} {
			t.Run(fmt.Sprintf("%s to %v", a, capacity), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { keepsItsBurst(t, a, capacity) })
			})
		}
	}
}

func keepsItsBurst(t *testing.T, a Algorithm, capacity float64) {
	t.Helper()
	l, most := Rate("r", 60, time.Minute).By(a), 100
	if a == AlgorithmLeakyBucket {
		most = 1
	} else {
		l.Burst = 100
	}
	s := MustNew(l)
	var olds []Lease
	for range 5 {
		old, err := s.Acquire(t.Context(), Units{"r": 20})
		require.NoError(t, err)
		olds = append(olds, old)
	}
	require.NoError(t, s.Resize("r", capacity))
	for s.Snapshot().Limits[0].InUse > 0 {
		time.Sleep(100 * time.Millisecond)
	}
	n := 0
	take := func() {
		for {
			if _, err := s.TryAcquire(Units{"r": 1}); err != nil {
				return
			}
			n++
		}
	}
	take()
	for _, old := range olds {
		for used := 19; used >= 0; used-- {
			require.NoError(t, old.Use(Units{"r": used}))
			take()
		}
	}
	require.Equal(t, most, n)
}

// What one lease gives back lets the others go sooner, so that they have less to
// give back: without any resize.
func TestBucketKeepsItsPromiseWhereOthersHaveGivenBackBefore(t *testing.T) {
	t.Parallel()
	for _, a := range []Algorithm{AlgorithmTokenBucket, AlgorithmGCRA} {
		synctest.Test(t, func(t *testing.T) {
			s := MustNew(Rate("r", 20, 20*time.Second).By(a))
			acquire := func(n int) Lease {
				lease, err := s.TryAcquire(Units{"r": n})
				require.NoError(t, err)
				return lease
			}
			first, second := acquire(10), acquire(10)
			first.Undo()
			time.Sleep(9 * time.Second) // the second has one left
			acquire(10)
			time.Sleep(6 * time.Second)
			second.Undo() // all of it went long since
			n := 0
			for ; ; n++ {
				if _, err := s.TryAcquire(Units{"r": 1}); err != nil {
					break
				}
			}
			require.Equal(t, 15, n, "of the 11 in line 9 seconds after the start, 5 are left: %s", a)
		})
	}
}

// A leaky bucket has nothing until it is empty, and then lets in what is asked
// for; a window has whole units.
func TestSnapshotSaysWhatCanBeHadNow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := MustNew(Rate("r", 20, 20*time.Second).By(AlgorithmLeakyBucket))
		usage := func() Usage { return s.Snapshot().Limits[0] }
		require.Equal(t, []float64{0, 20, 0}, []float64{usage().InUse, usage().Available, usage().Utilization})
		lease, err := s.TryAcquire(Units{"r": 1})
		require.NoError(t, err)
		require.Equal(t, []float64{1, 0, 1}, []float64{usage().InUse, usage().Available, usage().Utilization})
		_, err = s.TryAcquire(Units{"r": 1})
		require.ErrorIs(t, err, ErrNoRoom)
		require.NoError(t, lease.Use(Units{"r": 30}))
		require.Equal(t, []float64{30, 0, 1.5}, []float64{usage().InUse, usage().Available, usage().Utilization})
		time.Sleep(30*time.Second - 1)
		require.Zero(t, usage().Available)
		require.InDelta(t, 1, usage().Utilization, 0)
		time.Sleep(time.Nanosecond)
		require.Equal(t, []float64{0, 20, 0}, []float64{usage().InUse, usage().Available, usage().Utilization})
		_, err = s.TryAcquire(Units{"r": 20})
		require.NoError(t, err)
	})
	for _, a := range []Algorithm{AlgorithmSlidingWindow, AlgorithmFixedWindow} {
		s := MustNew(Rate("r", 1.9, time.Hour).By(a))
		_, err := s.TryAcquire(Units{"r": 1})
		require.NoError(t, err)
		_, err = s.TryAcquire(Units{"r": 1})
		require.ErrorIs(t, err, ErrNoRoom)
		u := s.Snapshot().Limits[0]
		require.Equal(t, []float64{1.9, 1, 0, 1}, []float64{u.Capacity, u.InUse, u.Available, u.Utilization}, "%s", a)
	}
}
