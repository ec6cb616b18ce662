package engine

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"pgregory.net/rapid"

	"github.com/concurry-go/concurry/internal/failure"
	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

var (
	errBusy = errors.New("busy")
	errGone = errors.New("gone")
)

// busyCase: four retries of errBusy a second apart, none of errGone.
func busyCase() []retrypolicy.Case {
	return []retrypolicy.Case{
		{On: retrypolicy.ErrorIs(errBusy), NumRetries: 4, Backoff: retrypolicy.Linear, Jitter: retrypolicy.NoJitter},
		{On: retrypolicy.ErrorIs(errGone)},
	}
}

// script judges attempts that end with causes, until the call ends, and
// returns what was decided.
func script(s *Spec, room Bounds, causes ...error) (*Journal, []Decision) {
	j := &Journal{ServerAttempt: 1}
	var decisions []Decision
	for _, cause := range causes {
		var result any
		if cause == nil {
			result, cause = "refused", nil
		}
		a := retrypolicy.Attempt{Number: j.Begin(), Method: s.Method, Past: since(time.Duration(j.Started) * time.Second)}
		d := s.Judge(j, result, cause, a, fixed(), room, encoded)
		decisions = append(decisions, d)
		if d.Action == End {
			break
		}
	}
	return j, decisions
}

// since is a call that began a while ago.
type since time.Duration

func (s since) Elapsed() time.Duration        { return time.Duration(s) }
func (since) Args() []any                     { return nil }
func (since) Previous() []retrypolicy.Outcome { return nil }
func refuse(any, retrypolicy.Attempt) error   { return errors.New("no good") }
func waits(decisions []Decision) (w []time.Duration) {
	for _, d := range decisions {
		if d.Action != End {
			w = append(w, d.Delay)
		}
	}
	return w
}

func TestCasesHaveRetriesAndWaitsOfTheirOwn(t *testing.T) {
	t.Parallel()
	s := &Spec{
		Method:     "A.B",
		Retry:      retrypolicy.Policy{NumRetries: 2, Wait: 10 * time.Second, Jitter: retrypolicy.NoJitter, Cases: busyCase()},
		Validators: []Validator{refuse},
	}
	j, decisions := script(s, everywhere(), errBusy, io.EOF, errBusy, nil, errBusy, errBusy, errBusy)
	assert.Equal(t, []time.Duration{
		time.Second, 10 * time.Second, 2 * time.Second, 20 * time.Second, 3 * time.Second, 4 * time.Second,
	}, waits(decisions))
	last := decisions[len(decisions)-1]
	assert.Equal(t, retrypolicy.StopSpent, last.Stop, "nobody had to be asked: there are none left at all")
	require.ErrorIs(t, last.Err, errBusy)
	assert.Equal(t, 7, j.Started)
	assert.Equal(t, []int{4}, j.Cases)

	_, decisions = script(s, everywhere(), errBusy, io.EOF, io.EOF, io.EOF)
	assert.Len(t, decisions, 4)
	assert.Equal(t, retrypolicy.StopSpent, decisions[3].Stop, "the policy's two")

	_, decisions = script(s, everywhere(), errGone)
	assert.Equal(t, End, decisions[0].Action)
	assert.Equal(t, retrypolicy.StopCase, decisions[0].Stop)

	_, decisions = script(s, everywhere(), retrypolicy.Permanent(errBusy))
	assert.Equal(t, retrypolicy.StopPermanent, decisions[0].Stop)
}

func TestFiltersDoNotHoldForCases(t *testing.T) {
	t.Parallel()
	s := &Spec{Retry: retrypolicy.Policy{NumRetries: 2, RetryOn: []retrypolicy.Filter{retrypolicy.ErrorIs(io.EOF)}, Cases: busyCase()}}
	_, decisions := script(s, everywhere(), errBusy, io.EOF, io.ErrNoProgress)
	require.Len(t, decisions, 3)
	assert.Equal(t, retrypolicy.StopFiltered, decisions[2].Stop)
}

// The model: a counter per case and one for everything else, each with its own
// bound.
func TestRetriesOfACallAreThoseOfItsCases(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		kinds := make([]error, rapid.IntRange(0, 4).Draw(t, "cases"))
		left := make([]int, len(kinds)+1)
		p := retrypolicy.Policy{NumRetries: rapid.IntRange(0, 4).Draw(t, "retries"), Wait: retrypolicy.NoWait}
		for i := range kinds {
			kinds[i] = fmt.Errorf("kind %d", i)
			left[i] = rapid.IntRange(0, 4).Draw(t, "retries of the case")
			p.Cases = append(p.Cases, retrypolicy.Case{On: retrypolicy.ErrorIs(kinds[i]), NumRetries: left[i], Wait: retrypolicy.NoWait})
		}
		left[len(kinds)] = p.NumRetries
		require.NoError(t, p.Check())
		s := &Spec{Retry: p, Validators: []Validator{refuse}}
		causes := slices.Concat(kinds, []error{io.EOF, nil}) // nil is a result, which is refused
		j := &Journal{ServerAttempt: 1}
		for {
			require.Less(t, j.Started, p.Attempts())
			require.False(t, s.spent(j))
			n := j.Begin()
			if rapid.IntRange(0, 9).Draw(t, "crash") == 0 { // and another server attempt opens what is left
				j = Opened(JournalOf(j.Document(), nil), j.ServerAttempt+1, Unrecorded{})
				left[len(kinds)]--
				if left[len(kinds)] < 0 {
					require.True(t, s.spent(j), "a lost attempt takes one of NumRetries")
					return
				}
				continue
			}
			kind := rapid.IntRange(0, len(causes)-1).Draw(t, "kind")
			d := s.Judge(j, "r", causes[kind], retrypolicy.Attempt{Number: n}, fixed(), everywhere(), encoded)
			kind = min(kind, len(kinds))
			left[kind]--
			require.Equal(t, left[kind] < 0, d.Action == End, "kind %d", kind)
			if d.Action == End {
				require.LessOrEqual(t, j.Started, p.Attempts())
				return
			}
		}
	})
}

func TestJournalCarriesTheRetriesOfCases(t *testing.T) {
	t.Parallel()
	j := &Journal{Started: 3}
	j.retryOfCase(2)
	j.retryOfCase(0)
	back := JournalOf(j.Document(), nil)
	assert.Equal(t, []int{1, 0, 1}, back.Cases)
	assert.Zero(t, back.ofCase(7))
	many := wire.JournalDocument{Cases: make([]int, 5000)}
	many.Cases[0], many.Cases[1] = -5, math.MaxInt
	assert.Len(t, JournalOf(many, nil).Cases, retrypolicy.MaxCases)
	assert.Equal(t, []int{0, retrypolicy.MaxRetries}, JournalOf(many, nil).Cases[:2])
	reset := Opened(&Journal{Started: 3, Cases: []int{1}, ServerAttempt: 5}, 2, Unrecorded{})
	assert.Nil(t, reset.Cases, "a new budget")
}

func TestRetryThatWouldStartAfterMaxElapsedIsNotMade(t *testing.T) {
	t.Parallel()
	s := &Spec{Method: "A.B", Retry: retrypolicy.Policy{
		NumRetries: 9, Backoff: retrypolicy.Constant, Jitter: retrypolicy.NoJitter, MaxElapsed: 4 * time.Second,
	}}
	_, decisions := script(s, everywhere(), io.EOF, io.EOF, io.EOF, io.EOF, io.EOF) // attempt n ends after n seconds
	require.Len(t, decisions, 4)
	last := decisions[3]
	assert.Equal(t, retrypolicy.StopMaxElapsed, last.Stop)
	require.EqualError(t, last.Err, "EOF; gave up after 4 attempts: maximum elapsed time: the wait of 1s does not fit into 0s, what is left of MaxElapsed")
	require.ErrorIs(t, last.Err, io.EOF)

	s.Validators = []Validator{refuse}
	_, decisions = script(s, everywhere(), nil, retrypolicy.After(io.EOF, time.Minute))
	require.EqualError(t, decisions[1].Err, "EOF; gave up after 2 attempts: maximum elapsed time: the wait of 1m0s that was asked for does not fit into 2s, what is left of MaxElapsed")
	_, decisions = script(s, everywhere(), nil, nil, nil, nil)
	var rve *validation.RetryValidationError
	require.ErrorAs(t, decisions[3].Err, &rve)
	require.EqualError(t, rve, "A.B: no valid result in 4 attempt(s): no good; gave up after 4 attempts: maximum elapsed time: the wait of 1s does not fit into 0s, what is left of MaxElapsed")
	stop, _ := retrypolicy.StopOf(decisions[3].Err)
	assert.Equal(t, retrypolicy.StopMaxElapsed, stop.Stop)
}

func TestCallsThatShareABudgetFailFastOnceItIsSpent(t *testing.T) {
	t.Parallel()
	budget := &retrypolicy.Budget{Floor: 3}
	s := &Spec{Method: "A.B", Retry: retrypolicy.Policy{NumRetries: 2, Budget: budget}}
	_, decisions := script(s, everywhere(), io.EOF, io.EOF, io.EOF)
	assert.Equal(t, retrypolicy.StopSpent, decisions[2].Stop, "its own retries; they took two from the budget")
	_, decisions = script(s, everywhere(), io.EOF, io.EOF)
	require.Len(t, decisions, 2)
	assert.Equal(t, retrypolicy.StopBudget, decisions[1].Stop)
	require.EqualError(t, decisions[1].Err, "EOF; gave up after 2 attempts: retry budget: the retry budget is spent: of the last 3 attempts 3 were retries")

	_, decisions = script(s, everywhere(), retrypolicy.Permanent(io.EOF))
	assert.Equal(t, retrypolicy.StopPermanent, decisions[0].Stop, "what is not retried anyhow takes nothing")
	_, retries := budget.Recent(noon)
	assert.Equal(t, 3, retries)
}

func TestStoppedCallKeepsItsErrorOnTheWire(t *testing.T) {
	t.Parallel()
	original := temporal.NewApplicationErrorWithOptions("no disk", "DiskError", temporal.ApplicationErrorOptions{Details: []any{7}, Cause: io.EOF})
	stopped := &retrypolicy.StopError{Stop: retrypolicy.StopBudget, Attempts: 3, Detail: "the retry budget is spent", Err: original}
	c := temporal.GetDefaultFailureConverter()
	got := c.FailureToError(c.ErrorToFailure(failure.Final(stopped, nil)))
	var app *temporal.ApplicationError
	require.ErrorAs(t, got, &app)
	assert.Equal(t, "no disk; gave up after 3 attempts: retry budget: the retry budget is spent", app.Message())
	require.ErrorContains(t, app.Unwrap(), "no further attempt (type: RetryStopped, retryable: false): EOF")
	assert.Equal(t, "DiskError", app.Type())
	assert.True(t, app.NonRetryable())
	var detail int
	require.NoError(t, app.Details(&detail))
	assert.Equal(t, 7, detail)
	back, _ := retrypolicy.StopOf(got)
	assert.Equal(t, retrypolicy.StopError{Stop: retrypolicy.StopBudget, Attempts: 3, Detail: "the retry budget is spent"}, back)

	rve := failure.Refused("A.B", 1, []retrypolicy.Outcome{{Number: 1, Verdict: retrypolicy.VerdictRefused, Reason: "no good"}}, 0)
	rve.Stopped = &retrypolicy.StopError{Stop: retrypolicy.StopCallTimeout, Attempts: 1, Detail: "too late"}
	var arrived *validation.RetryValidationError
	require.True(t, validation.As(c.FailureToError(c.ErrorToFailure(failure.Final(rve, nil))), &arrived))
	assert.Equal(t, rve.Stopped, arrived.Stopped)
	assert.Equal(t, rve.Error(), arrived.Error())
}
