package engine

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/internal/failure"
	"github.com/concurry-go/concurry/internal/marks"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// fixed is a clock at noon, whose chance is the ceiling.
func fixed() *Clock {
	return &Clock{Now: func() time.Time { return noon }, Random: func(n int64) int64 { return n - 1 }}
}

// everywhere is room without bounds.
func everywhere() Bounds { return Bounds{RunsHere: true, ServerWaits: true} }

// judge judges attempt n of a call whose earlier ones failed.
func judge(s *Spec, n int, result any, err error, room Bounds) (*Journal, Decision) {
	j := &Journal{ServerAttempt: 1}
	for range n - 1 {
		j.Begin()
		j.end(failed(0), 0)
	}
	a := retrypolicy.Attempt{Number: j.Begin(), Method: s.Method}
	return j, s.Judge(j, result, err, a, fixed(), room, encoded)
}

func TestWhatComesAfterAnAttempt(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	told := temporal.NewApplicationErrorWithOptions("x", "T", temporal.ApplicationErrorOptions{NextRetryDelay: 7 * time.Second})
	policy := retrypolicy.Policy{NumRetries: 3, Wait: 400 * time.Millisecond} // 0.4, 0.8, 1.6 seconds
	for _, tc := range []struct {
		name    string
		attempt int
		err     error
		room    Bounds
		action  Action
		delay   time.Duration
	}{
		{"a result", 1, nil, everywhere(), Accept, 0},
		{"a result in the last attempt", 4, nil, everywhere(), Accept, 0},
		{"a short wait is slept here", 1, boom, everywhere(), WaitHere, 400 * time.Millisecond},
		{"a wait up to InPlace too", 2, boom, everywhere(), WaitHere, 800 * time.Millisecond},
		{"a longer one is the server's", 3, boom, everywhere(), WaitServer, 1600 * time.Millisecond},
		{"the last attempt ends the call", 4, boom, everywhere(), End, 0},
		{"any later one too", 5, boom, everywhere(), End, 0},
		{"a permanent error", 1, retrypolicy.Permanent(boom), everywhere(), End, 0},
		{"a permanent error, wrapped", 1, fmt.Errorf("x: %w", retrypolicy.Permanent(boom)), everywhere(), End, 0},
		{"a non-retryable application error", 1, temporal.NewNonRetryableApplicationError("x", "T", nil), everywhere(), End, 0},
		{"a told delay", 1, retrypolicy.After(boom, 3*time.Second), everywhere(), WaitServer, 3 * time.Second},
		{"a told delay of nothing", 1, retrypolicy.After(boom, 0), everywhere(), WaitHere, 0},
		{"a told delay in an application error", 1, told, everywhere(), WaitServer, 7 * time.Second},
		{"no sleeping here", 1, boom, Bounds{ServerWaits: true}, WaitServer, 400 * time.Millisecond},
		{"no place to sleep here", 1, boom, Bounds{RunsHere: true, NoWaits: true, ServerWaits: true}, WaitServer, 400 * time.Millisecond},
		{"nothing to sleep for", 1, retrypolicy.After(boom, 0), Bounds{RunsHere: true, NoWaits: true, ServerWaits: true}, WaitHere, 0},
		{"nothing to sleep for, on a worker that stops", 1, retrypolicy.After(boom, 0), Bounds{ServerWaits: true}, WaitServer, 0},
		{"no server: a long wait is slept here", 3, boom, Bounds{RunsHere: true}, WaitHere, 1600 * time.Millisecond},
		{"no server, no sleeping: there is no choice", 1, boom, Bounds{}, WaitHere, 400 * time.Millisecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			j, d := judge(&Spec{Method: "A.B", Retry: policy}, tc.attempt, "r", tc.err, tc.room)
			assert.Equal(t, tc.action, d.Action)
			assert.Equal(t, tc.delay, d.Delay)
			require.NoError(t, d.Problem)
			if tc.action == Accept {
				require.NoError(t, d.Err)
				return
			}
			require.ErrorIs(t, d.Err, marks.Unmark(tc.err), "the attempt's own error")
			require.EqualError(t, d.Err, tc.err.Error())
			last := j.Outcomes[len(j.Outcomes)-1]
			assert.Equal(t, retrypolicy.Outcome{
				Number: tc.attempt, Verdict: retrypolicy.VerdictFailed, Reason: tc.err.Error(), ErrorType: failure.TypeOf(tc.err), Wait: tc.delay,
			}, last)
			assert.Zero(t, j.Running)
		})
	}
}

func TestWhereAWaitHappensFollowsInPlace(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		inPlace time.Duration
		want    Action
	}{{-1, WaitServer}, {time.Second, WaitServer}, {2 * time.Second, WaitHere}, {time.Hour, WaitHere}} {
		s := &Spec{Retry: retrypolicy.Policy{NumRetries: 1, Wait: 2 * time.Second, InPlace: tc.inPlace}}
		_, d := judge(s, 1, nil, io.EOF, everywhere())
		assert.Equal(t, tc.want, d.Action, "%v", tc.inPlace)
	}
}

func TestWaitThatCannotFitBeforeTheCallEndsIsNotBegun(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		left time.Duration
		want Action
	}{{500 * time.Millisecond, End}, {time.Second, End}, {time.Second + 1, WaitHere}, {time.Minute, WaitHere}, {-time.Minute, End}} {
		room := everywhere()
		room.CallUntil = noon.Add(tc.left)
		s := &Spec{Method: "A.B", Retry: retrypolicy.Policy{NumRetries: 5}}
		_, d := judge(s, 1, nil, io.EOF, room)
		assert.Equal(t, tc.want, d.Action, "%v left", tc.left)
		require.ErrorIs(t, d.Err, io.EOF, "the attempt's error, not a timeout")
		if tc.want == End {
			assert.Equal(t, retrypolicy.StopCallTimeout, d.Stop)
			require.ErrorContains(t, d.Err, "EOF; gave up after 1 attempt: call timeout: the wait of 1s does not fit into")
		}

		s.Validators = []Validator{func(any, retrypolicy.Attempt) error { return errors.New("no good") }}
		_, d = judge(s, 1, "r", nil, room)
		assert.Equal(t, tc.want, d.Action, "%v left", tc.left)
		if tc.want == End {
			var rve *validation.RetryValidationError
			require.ErrorAs(t, d.Err, &rve)
			assert.Equal(t, 1, rve.Attempts)
			assert.Equal(t, []string{"no good"}, rve.ValidationErrors)
		}
	}
}

func TestNextAttemptStartsHereOnlyIfItFitsIntoTheServerAttempt(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		left, attempt time.Duration
		server        bool
		want          Action
	}{
		{10 * time.Second, 5 * time.Second, true, WaitHere},
		{6 * time.Second, 5 * time.Second, true, WaitServer}, // a wait of one second, and not a moment more
		{6*time.Second + 1, 5 * time.Second, true, WaitHere},
		{time.Second, 0, true, WaitServer},
		{2 * time.Second, 0, true, WaitHere},
		{time.Millisecond, 5 * time.Second, false, WaitHere}, // nobody else can
	} {
		room := Bounds{RunsHere: true, ServerWaits: tc.server, HereUntil: noon.Add(tc.left)}
		s := &Spec{AttemptTimeout: tc.attempt, Retry: retrypolicy.Policy{NumRetries: 5}}
		_, d := judge(s, 1, nil, io.EOF, room)
		assert.Equal(t, tc.want, d.Action, "%v left for an attempt of %v", tc.left, tc.attempt)
	}
}

func TestClockIsReadOnlyIfSomethingReadsIt(t *testing.T) {
	t.Parallel()
	s := &Spec{Retry: retrypolicy.Policy{NumRetries: 1}}
	j := &Journal{}
	j.Begin()
	c := &Clock{Random: func(int64) int64 { return 0 }} // Now would panic
	assert.Equal(t, WaitHere, s.Judge(j, nil, io.EOF, retrypolicy.Attempt{}, c, everywhere(), encoded).Action)
}

func TestFiltersAreAskedOnlyWhereTheirAnswerMatters(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		attempt int
		result  any
		err     error
		asked   int
	}{
		{"an error", 1, nil, io.EOF, 1},
		{"the last attempt", 3, nil, io.EOF, 0},
		{"a permanent error", 1, nil, retrypolicy.Permanent(io.EOF), 0},
		{"a non-retryable error", 1, nil, temporal.NewNonRetryableApplicationError("x", "T", nil), 0},
		{"an accepted result", 1, "good", nil, 0},
		{"a refused result", 1, "bad", nil, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			s := &Spec{
				Retry: retrypolicy.Policy{NumRetries: 2, RetryOn: []retrypolicy.Filter{func(error, retrypolicy.Attempt) bool { asked++; return true }}},
				Validators: []Validator{func(v any, _ retrypolicy.Attempt) error {
					if v == "bad" {
						return errors.New("bad")
					}
					return nil
				}},
			}
			judge(s, tc.attempt, tc.result, tc.err, everywhere())
			assert.Equal(t, tc.asked, asked)
		})
	}
}

func TestFiltersDecideAndTheirPanicsAreReported(t *testing.T) {
	t.Parallel()
	no := func(error, retrypolicy.Attempt) bool { return false }
	boom := func(error, retrypolicy.Attempt) bool { panic("filter") }
	yes := func(error, retrypolicy.Attempt) bool { return true }
	for _, tc := range []struct {
		name    string
		filters []retrypolicy.Filter
		want    Action
		problem string
	}{
		{"no", []retrypolicy.Filter{no}, End, ""},
		{"no, yes", []retrypolicy.Filter{no, yes}, WaitHere, ""},
		{"panic", []retrypolicy.Filter{boom}, End, "RetryOn[0] panicked: filter"},
		{"panic, yes", []retrypolicy.Filter{boom, yes}, WaitHere, "RetryOn[0] panicked: filter"},
	} {
		s := &Spec{Retry: retrypolicy.Policy{NumRetries: 1, RetryOn: tc.filters}}
		_, d := judge(s, 1, nil, io.EOF, everywhere())
		assert.Equal(t, tc.want, d.Action, tc.name)
		require.ErrorIs(t, d.Err, io.EOF, tc.name)
		require.EqualError(t, d.Err, "EOF", tc.name)
		if tc.problem == "" {
			require.NoError(t, d.Problem, tc.name)
		} else {
			require.ErrorContains(t, d.Problem, tc.problem, tc.name)
		}
	}
}

func TestRefusedResultsAreKeptAndEndInARetryValidationError(t *testing.T) {
	t.Parallel()
	s := &Spec{
		Method: "A.B",
		Retry:  retrypolicy.Policy{NumRetries: 2, RetryOn: []retrypolicy.Filter{retrypolicy.ErrorIs(io.EOF)}},
		Validators: []Validator{
			func(any, retrypolicy.Attempt) error { return nil },
			func(v any, a retrypolicy.Attempt) error { return fmt.Errorf("%v is bad in attempt %d", v, a.Number) },
			func(any, retrypolicy.Attempt) error { panic("not asked") },
		},
	}
	j := &Journal{}
	for n := 1; n <= 3; n++ {
		a := retrypolicy.Attempt{Number: j.Begin(), Method: "A.B"}
		d := s.Judge(j, fmt.Sprint("r", n), nil, a, fixed(), everywhere(), encoded)
		if n < 3 {
			assert.NotEqual(t, End, d.Action, "a refused result is retried, whatever RetryOn says")
			assert.Equal(t, failure.RefusedType, failure.TypeOf(d.Err))
			require.EqualError(t, d.Err, fmt.Sprintf("r%d is bad in attempt %d", n, n))
			continue
		}
		require.Equal(t, End, d.Action)
		var rve *validation.RetryValidationError
		require.ErrorAs(t, d.Err, &rve)
		assert.Equal(t, 3, rve.Attempts)
		all, err := validation.Results[string](rve)
		require.NoError(t, err)
		assert.Equal(t, []string{"r1", "r2", "r3"}, all)
		assert.Equal(t, []string{"r1 is bad in attempt 1", "r2 is bad in attempt 2", "r3 is bad in attempt 3"}, rve.ValidationErrors)
	}
}

func TestWithoutRetriesARefusedResultEndsTheCall(t *testing.T) {
	t.Parallel()
	s := &Spec{Validators: []Validator{func(any, retrypolicy.Attempt) error { panic("validator") }}}
	_, d := judge(s, 1, "r", nil, everywhere())
	var rve *validation.RetryValidationError
	require.ErrorAs(t, d.Err, &rve)
	assert.Contains(t, rve.ValidationErrors[0], "validator 1 panicked: validator")
}

func TestValidatorMayTellTheDelayOrEndTheCall(t *testing.T) {
	t.Parallel()
	refusal := retrypolicy.After(errors.New("not yet"), 3*time.Second)
	s := &Spec{Retry: retrypolicy.Policy{NumRetries: 1}, Validators: []Validator{func(any, retrypolicy.Attempt) error { return refusal }}}
	_, d := judge(s, 1, "r", nil, everywhere())
	assert.Equal(t, 3*time.Second, d.Delay)
	refusal = retrypolicy.Permanent(errors.New("never"))
	_, d = judge(s, 1, "r", nil, everywhere())
	assert.Equal(t, End, d.Action)
	var rve *validation.RetryValidationError
	require.ErrorAs(t, d.Err, &rve)
}

type touchy struct{ text *string }

func (e *touchy) Error() string { return *e.text }

func TestErrorWhoseTextPanicsIsJudgedLikeAnyOther(t *testing.T) {
	t.Parallel()
	s := &Spec{Retry: retrypolicy.Policy{NumRetries: 1}}
	assert.NotPanics(t, func() {
		_, d := judge(s, 1, nil, &touchy{}, everywhere())
		assert.Equal(t, WaitHere, d.Action)
	})
}

func TestSpentCallEndsWithItsLastKnownOutcome(t *testing.T) {
	t.Parallel()
	lost := func(n int) retrypolicy.Outcome {
		return retrypolicy.Outcome{Number: n, Verdict: retrypolicy.VerdictLost}
	}
	refused := func(n int) retrypolicy.Outcome {
		return retrypolicy.Outcome{Number: n, Verdict: retrypolicy.VerdictRefused, Reason: "no good"}
	}
	old := func(o retrypolicy.Outcome) retrypolicy.Outcome { o.BeforeReset = true; return o }
	s := &Spec{Method: "A.B"}
	for _, tc := range []struct {
		name     string
		outcomes []retrypolicy.Outcome
		text     string
	}{
		{
			"all lost",
			[]retrypolicy.Outcome{lost(1), lost(2)},
			"A.B: attempts 1, 2 left no outcome: its worker was shut down, killed or cut off",
		},
		{
			"failed, then lost",
			[]retrypolicy.Outcome{failed(1), lost(2)},
			"A.B: attempt 2 left no outcome: its worker was shut down, killed or cut off; last known error, attempt 1: failure 1",
		},
		{
			"refused, then lost",
			[]retrypolicy.Outcome{refused(1), lost(2)},
			"A.B: no valid result in 2 attempt(s): no good (attempts without outcome: 2)",
		},
		{
			"what was before a reset does not count",
			[]retrypolicy.Outcome{old(refused(1)), old(lost(2)), lost(1), lost(2)},
			"A.B: attempts 1, 2 left no outcome: its worker was shut down, killed or cut off",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			stop, end := s.Resume(&Journal{Started: 2, Outcomes: tc.outcomes}, Resumption{}, fixed())
			require.ErrorContains(t, end, tc.text)
			assert.Equal(t, retrypolicy.StopSpent, stop)
		})
	}
}

// A worker with a smaller NumRetries than the one before it finds the budget
// spent, and nothing lost.
func TestSpentCallClaimsNoLostAttemptWhereNoneWas(t *testing.T) {
	t.Parallel()
	_, err := (&Spec{Method: "A.B"}).Resume(&Journal{Started: 2, Outcomes: []retrypolicy.Outcome{failed(1), failed(2)}}, Resumption{}, fixed())
	require.ErrorContains(t, err, "failure 2")
	assert.NotContains(t, err.Error(), "no outcome")
}
