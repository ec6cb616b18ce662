package limits_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/internal/limitengine"
	"github.com/concurry-go/concurry/limits"
)

// environment is a clock as environments have it: whoever waits moves it.
type environment struct {
	limitengine.Clock
	mu  sync.Mutex
	now time.Time
}

func (e *environment) advance(d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.now = e.now.Add(d)
}

func newEnvironment() *environment {
	e := &environment{now: time.Unix(1e9, 0)}
	e.Clock = limitengine.Clock{
		Now: func() time.Time {
			e.mu.Lock()
			defer e.mu.Unlock()
			return e.now
		},
		Sleep: func(d time.Duration, _ ...<-chan struct{}) bool {
			e.advance(d)
			return true
		},
	}
	return e
}

var r1 = limits.Units{"r": 1}

func TestFollowedSetsGoOnFromTheTimeThatTheyHad(t *testing.T) {
	t.Parallel()
	hourly := limits.Rate("r", 1, time.Hour)
	for name, make := range map[string]func() (limits.Source, limits.Limiter){
		"set": func() (limits.Source, limits.Limiter) { s := limits.MustNew(hourly); return s, s },
		"keyed": func() (limits.Source, limits.Limiter) {
			k := limits.MustNewKeyed(hourly)
			return k, k.For("a")
		},
		"pool": func() (limits.Source, limits.Limiter) {
			p, err := limits.NewPool(limits.Member{Set: limits.MustNew(hourly)})
			require.NoError(t, err)
			return p, p
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				source, limiter := make()
				acquire := func() {
					t.Helper()
					_, err := limiter.TryAcquire(r1)
					require.NoError(t, err)
				}
				acquire()
				time.Sleep(20 * time.Minute)
				env := newEnvironment()
				require.True(t, sourceOf(source).Follow(&env.Clock))
				require.True(t, sourceOf(source).Follow(&env.Clock), "again changes nothing")
				assert.Equal(t, 40*time.Minute, noTime(t, limiter, r1).RetryAfter)
				time.Sleep(time.Hour)
				assert.Equal(t, 40*time.Minute, noTime(t, limiter, r1).RetryAfter, "the real time does not count")
				env.advance(40 * time.Minute)
				acquire()
				env.advance(10 * time.Minute)
				sourceOf(source).Unfollow(&env.Clock)
				assert.Equal(t, 50*time.Minute, noTime(t, limiter, r1).RetryAfter)
				env.advance(time.Hour)
				assert.Equal(t, 50*time.Minute, noTime(t, limiter, r1).RetryAfter)
				time.Sleep(50 * time.Minute)
				acquire()
			})
		})
	}
}

func TestSetOfOneEnvironmentIsNotTakenByAnother(t *testing.T) {
	t.Parallel()
	first, second := newEnvironment(), newEnvironment()
	free, taken := limits.MustNew(limits.Rate("r", 1, time.Hour)), limits.MustNew(limits.Rate("r", 1, time.Hour))
	require.True(t, sourceOf(taken).Follow(&first.Clock))
	require.False(t, sourceOf(taken).Follow(&second.Clock))
	pool, err := limits.NewPool(limits.Member{Set: free}, limits.Member{Set: taken})
	require.NoError(t, err)
	require.False(t, sourceOf(pool).Follow(&second.Clock))
	require.True(t, sourceOf(pool).Follow(&first.Clock), "no member stays with the second")
	sourceOf(pool).Unfollow(&second.Clock)
	require.False(t, sourceOf(free).Follow(&second.Clock), "nor does the second end what is the first's")
	sourceOf(pool).Unfollow(&first.Clock)
	require.True(t, sourceOf(pool).Follow(&second.Clock))
}

func TestSetWithAClockOfItsOwnKeepsIt(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	set, err := limits.NewWithClock(limits.Clock{Now: func() time.Time { return now }}, limits.Rate("r", 1, time.Hour))
	require.NoError(t, err)
	env := newEnvironment()
	require.True(t, sourceOf(set).Follow(&env.Clock))
	_, err = set.TryAcquire(r1)
	require.NoError(t, err)
	env.advance(2 * time.Hour)
	assert.Equal(t, time.Hour, noTime(t, set, r1).RetryAfter)
}

func TestWhoeverWaitsIsServedAcrossAChangeOfTheClock(t *testing.T) {
	t.Parallel()
	t.Run("from before it", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			set := limits.MustNew(limits.Rate("r", 1, time.Hour))
			served := waits(t, set, 2)
			env := newEnvironment()
			require.True(t, sourceOf(set).Follow(&env.Clock))
			env.advance(time.Hour)
			time.Sleep(time.Hour) // the timer that it has
			synctest.Wait()
			assert.Len(t, served, 2, "one of them at the beginning")
			sourceOf(set).Unfollow(&env.Clock)
			time.Sleep(time.Hour)
			synctest.Wait()
			assert.Len(t, served, 3)
		})
	})
	t.Run("from within", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			set := limits.MustNew(limits.Rate("r", 1, time.Hour))
			env := newEnvironment()
			asleep := make(chan struct{})
			env.Sleep = func(_ time.Duration, wake ...<-chan struct{}) bool { // as long as it is the environment's
				<-asleep
				return false
			}
			require.True(t, sourceOf(set).Follow(&env.Clock))
			served := waits(t, set, 1)
			sourceOf(set).Unfollow(&env.Clock)
			close(asleep)
			time.Sleep(time.Hour)
			synctest.Wait()
			assert.Len(t, served, 2)
		})
	})
}

// waits has n requests wait behind one that is served at once.
func waits(t *testing.T, set *limits.Set, n int) (served chan error) {
	t.Helper()
	served = make(chan error, n+1)
	for range n + 1 {
		go func() {
			_, err := set.Acquire(t.Context(), r1)
			served <- err
		}()
		synctest.Wait()
	}
	return served
}
