package retrypolicy_test

import (
	"math"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/concurry-go/concurry/retrypolicy"
)

var morning = time.Date(2026, 1, 1, 6, 0, 0, 0, time.UTC)

func TestBudgetAllowsItsShareOfRecentAttempts(t *testing.T) {
	t.Parallel()
	b := &retrypolicy.Budget{Share: 0.25, Floor: retrypolicy.NoFloor}
	for range 9 {
		b.NoteAttempt(morning)
	}
	granted := 0
	for b.TryRetry(morning) {
		granted++
	}
	attempts, retries := b.Recent(morning)
	assert.Equal(t, 3, granted, "3 of 12 are a quarter")
	assert.Equal(t, []int{12, 3}, []int{attempts, retries})
}

func TestBudgetHasAFloor(t *testing.T) {
	t.Parallel()
	var b retrypolicy.Budget
	b.NoteAttempt(morning)
	granted := 0
	for b.TryRetry(morning) {
		granted++
	}
	assert.Equal(t, retrypolicy.DefaultBudgetFloor, granted, "although nearly all attempts are retries")
}

func TestBudgetForgetsWhatIsOlderThanItsWindow(t *testing.T) {
	t.Parallel()
	b := &retrypolicy.Budget{Floor: 1, Window: time.Second}
	require.True(t, b.TryRetry(morning))
	require.False(t, b.TryRetry(morning.Add(900*time.Millisecond)))
	require.True(t, b.TryRetry(morning.Add(time.Second)))
	require.False(t, b.TryRetry(morning.Add(time.Second)))
	require.True(t, b.TryRetry(morning.Add(time.Hour)))
	require.NotPanics(t, func() { b.TryRetry(morning) }, "a clock that was set back")
	require.NotPanics(t, func() { b.TryRetry(time.Unix(-100, 0)) })
}

// Whatever happens when: a retry that is granted is within the share, or the
// floor, of what the window then holds.
func TestBudgetIsNeverExceeded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := &retrypolicy.Budget{
			Share:  rapid.Float64Range(0.01, 1).Draw(t, "share"),
			Floor:  rapid.IntRange(-1, 5).Draw(t, "floor"),
			Window: time.Duration(rapid.IntRange(10, 5000).Draw(t, "window ms")) * time.Millisecond,
		}
		floor := b.Floor
		switch floor {
		case 0:
			floor = retrypolicy.DefaultBudgetFloor
		case retrypolicy.NoFloor:
			floor = 0
		}
		now := morning
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "pause ms")) * time.Millisecond)
			if rapid.Bool().Draw(t, "a call begins") {
				b.NoteAttempt(now)
				continue
			}
			granted := b.TryRetry(now)
			attempts, retries := b.Recent(now)
			within := retries <= floor || float64(retries) <= b.Share*float64(attempts)
			if granted {
				require.True(t, within, "%d of %d", retries, attempts)
			} else {
				require.False(t, retries+1 <= floor || float64(retries+1) <= b.Share*float64(attempts+1), "%d of %d, and not one more", retries, attempts)
			}
		}
	})
}

func TestBudgetIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	b := &retrypolicy.Budget{Share: 1}
	var done sync.WaitGroup
	for range 8 {
		done.Go(func() {
			for range 1000 {
				b.NoteAttempt(morning)
				b.TryRetry(morning)
				b.Recent(morning)
			}
		})
	}
	done.Wait()
	attempts, retries := b.Recent(morning)
	assert.Equal(t, []int{16000, 8000}, []int{attempts, retries})
}

func TestCheckNamesTheFieldOfTheBudget(t *testing.T) {
	t.Parallel()
	for want, b := range map[string]*retrypolicy.Budget{
		"Budget.Share -0.1: must be above 0 and at most 1":   {Share: -0.1},
		"Budget.Share 1.5: must be above 0 and at most 1":    {Share: 1.5},
		"Budget.Share NaN: must be above 0 and at most 1":    {Share: math.NaN()},
		"Budget.Floor -2: must be positive, 0 (the default":  {Floor: -2},
		"Budget.Window 9.999999ms: must be from 10ms":        {Window: 10*time.Millisecond - 1},
		"Budget.Window -1ns: must be from 10ms to 8760h0m0s": {Window: -1},
	} {
		p := retrypolicy.Policy{Budget: b}
		require.ErrorContains(t, p.Check(), want)
	}
	p := retrypolicy.Policy{Budget: &retrypolicy.Budget{}}
	require.NoError(t, p.Check())
}

func TestBudgetHoldsAfterTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	b, now, granted := &retrypolicy.Budget{Floor: 3}, time.Now(), 0
	for i := range 10 {
		b.NoteAttempt(now.Add(time.Hour + time.Duration(i)*time.Second))
	}
	for range 1000 {
		if b.TryRetry(now) {
			granted++
		}
	}
	assert.Equal(t, 3, granted)
}
