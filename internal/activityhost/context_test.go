package activityhost

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/internal/engine"
	"github.com/concurry-go/concurry/retrypolicy"
)

type key struct{}

func ended(c context.Context) bool {
	select {
	case <-c.Done():
		return true
	default:
		return false
	}
}

func TestAttemptsDeadlineIsTheEarlierOne(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	early, late := day.AddDate(100, 0, 0), day.AddDate(200, 0, 0)
	bounded := func(d time.Time) context.Context {
		ctx, cancel := context.WithDeadline(t.Context(), d)
		t.Cleanup(cancel)
		return ctx
	}
	for name, tc := range map[string]struct {
		parent context.Context
		own    time.Time
		want   time.Time
		ok     bool
	}{
		"none":              {t.Context(), time.Time{}, time.Time{}, false},
		"its own":           {t.Context(), early, early, true},
		"the parent's":      {bounded(early), time.Time{}, early, true},
		"parent is earlier": {bounded(early), late, early, true},
		"own is earlier":    {bounded(late), early, early, true},
	} {
		got, ok := (&attemptContext{parent: tc.parent, deadline: tc.own}).Deadline()
		assert.Equal(t, tc.ok, ok, name)
		assert.True(t, tc.want.Equal(got), name)
	}
}

func TestCancelEndsTheContextOnce(t *testing.T) {
	t.Parallel()
	for _, doneFirst := range []bool{true, false} {
		c := &attemptContext{parent: t.Context()}
		require.NoError(t, c.Err())
		if doneFirst {
			assert.False(t, ended(c))
		}
		c.cancel(context.DeadlineExceeded)
		c.cancel(context.Canceled)
		assert.Equal(t, context.DeadlineExceeded, c.Err(), "the first reason stays")
		assert.True(t, ended(c))
		assert.Equal(t, context.DeadlineExceeded, context.Cause(c))
		assert.Equal(t, c.Done(), c.Done(), "one channel")
	}
}

func TestParentsEndReachesTheAttempt(t *testing.T) {
	t.Parallel()
	t.Run("seen by Err, before anybody asked for Done", func(t *testing.T) {
		t.Parallel()
		parent, cancel := context.WithCancel(t.Context())
		c := &attemptContext{parent: parent}
		cancel()
		assert.Equal(t, context.Canceled, c.Err())
		assert.True(t, ended(c))
	})
	t.Run("waited for by Done", func(t *testing.T) {
		t.Parallel()
		parent, cancel := context.WithCancelCause(t.Context())
		c := &attemptContext{parent: parent}
		done := c.Done()
		reason := errors.New("reason")
		cancel(reason)
		<-done
		assert.Equal(t, context.Canceled, c.Err())
		assert.Equal(t, reason, context.Cause(c))
	})
	t.Run("seen by Err at once, with Done asked for", func(t *testing.T) {
		t.Parallel()
		parent, cancel := context.WithCancel(t.Context())
		c := &attemptContext{parent: parent}
		done := c.Done()
		cancel()
		assert.Equal(t, context.Canceled, c.Err(), "not only once the hook has run")
		<-done
	})
	t.Run("ended before the attempt", func(t *testing.T) {
		t.Parallel()
		parent, cancel := context.WithCancel(t.Context())
		cancel()
		c := &attemptContext{parent: parent}
		<-c.Done()
		assert.Equal(t, context.Canceled, c.Err())
	})
}

func TestAttemptsEndIsNotTheParents(t *testing.T) {
	t.Parallel()
	parent, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := &attemptContext{parent: parent}
	_ = c.Done()
	c.cancel(context.Canceled)
	require.NoError(t, parent.Err())
}

func TestDerivedContextsEndWithTheAttempt(t *testing.T) {
	t.Parallel()
	parent, cancelParent := context.WithCancel(t.Context())
	defer cancelParent()
	c := &attemptContext{parent: parent, deadline: time.Now().Add(time.Hour)}
	derived, cancel := context.WithCancel(context.WithValue(c, key{}, 1))
	defer cancel()
	timed, cancelTimed := context.WithTimeout(derived, 24*time.Hour)
	defer cancelTimed()
	deadline, ok := timed.Deadline()
	require.True(t, ok)
	assert.Equal(t, c.deadline, deadline, "the attempt's, since it is the earlier")
	ran := make(chan struct{})
	context.AfterFunc(timed, func() { close(ran) })
	require.NoError(t, timed.Err())

	c.cancel(context.DeadlineExceeded)
	<-timed.Done()
	<-ran
	assert.Equal(t, context.DeadlineExceeded, derived.Err())
	assert.Equal(t, context.DeadlineExceeded, timed.Err())
	require.NoError(t, parent.Err())
}

func TestAttemptCarriesItsParentsValuesAndEarlierOutcomes(t *testing.T) {
	t.Parallel()
	previous := []retrypolicy.Outcome{{Number: 1}}
	c := &attemptContext{parent: context.WithValue(t.Context(), key{}, "v"), previous: previous}
	assert.Equal(t, "v", c.Value(key{}))
	assert.Equal(t, previous, engine.Previous(c))
	derived, cancel := context.WithCancel(c)
	defer cancel()
	assert.Equal(t, previous, engine.Previous(derived))
	assert.Empty(t, engine.Previous(t.Context()), "a context of no attempt")
}

func TestAttemptContextMayBeUsedByManyGoroutines(t *testing.T) {
	t.Parallel()
	for range 100 {
		parent, cancelParent := context.WithCancel(t.Context())
		c := &attemptContext{parent: parent}
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				switch i % 4 {
				case 0:
					<-c.Done()
				case 1:
					_ = c.Err()
					_, _ = c.Deadline()
				case 2:
					derived, cancel := context.WithCancel(c)
					defer cancel()
					<-derived.Done()
				default:
					if i == 3 {
						cancelParent()
					} else {
						c.cancel(context.DeadlineExceeded)
					}
				}
			})
		}
		wg.Wait()
		require.Error(t, c.Err())
		cancelParent()
	}
}
