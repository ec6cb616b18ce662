package validation_test

import (
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/internal/failure"
	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

func refused(attempt int, reason string, result any) retrypolicy.Outcome {
	return retrypolicy.Outcome{Number: attempt, Verdict: retrypolicy.VerdictRefused, Reason: reason, Result: wire.Encode(result)}
}

// mixed is a call of five attempts: refused, failed, refused without room for
// the result, lost, refused.
func mixed() *validation.RetryValidationError {
	return failure.Refused("LLM.Generate", 5, []retrypolicy.Outcome{
		refused(1, "too short", reply{"a", 0.1}),
		{Number: 2, Verdict: retrypolicy.VerdictFailed, Reason: "connection reset", ErrorType: "OpError"},
		{Number: 3, Verdict: retrypolicy.VerdictRefused, Reason: "far too long"},
		{Number: 4, Verdict: retrypolicy.VerdictLost, Reason: "left no outcome"},
		refused(5, "too unsure\nsecond line", reply{"b", 0.7}),
	}, 0)
}

func TestErrorHasOneValidationErrorPerRefusedResultInOrder(t *testing.T) {
	t.Parallel()
	e := mixed()
	assert.Equal(t, "LLM.Generate", e.MethodName)
	assert.Equal(t, 5, e.Attempts, "all attempts, whatever became of them")
	assert.Equal(t, []string{"too short", "far too long", "too unsure\nsecond line"}, e.ValidationErrors)
	assert.Len(t, e.Outcomes, 5)
}

func TestErrorTextNamesMethodCountLastReasonAndWhatIsLost(t *testing.T) {
	t.Parallel()
	require.EqualError(t, mixed(), "LLM.Generate: no valid result in 5 attempt(s): too unsure (attempts without outcome: 4)")
	require.EqualError(t, failure.Refused("A.B", 1, []retrypolicy.Outcome{refused(1, "no", 1)}, 0), "A.B: no valid result in 1 attempt(s): no")
	require.EqualError(t, &validation.RetryValidationError{MethodName: "A.B"}, "A.B: no valid result in 0 attempt(s)")
}

func TestOutcomesFromBeforeAResetDoNotCount(t *testing.T) {
	t.Parallel()
	before := refused(1, "before", "x")
	before.BeforeReset = true
	e := failure.Refused("A.B", 1, []retrypolicy.Outcome{
		before,
		{Number: 2, Verdict: retrypolicy.VerdictLost, BeforeReset: true},
		refused(1, "after", "y"),
	}, 0)
	assert.Equal(t, []string{"after"}, e.ValidationErrors)
	all, err := validation.Results[string](e)
	require.NoError(t, err)
	assert.Equal(t, []string{"y"}, all)
	require.EqualError(t, e, "A.B: no valid result in 1 attempt(s): after")
	assert.Len(t, e.Outcomes, 3, "but they can be looked at")
}

func TestResultsAreTheRefusedOnesThatWereKept(t *testing.T) {
	t.Parallel()
	all, err := validation.Results[reply](mixed())
	require.NoError(t, err)
	assert.Equal(t, []reply{{"a", 0.1}, {"b", 0.7}}, all)
}

func TestResultsSkipsWhatOnlyADescriptionIsLeftOf(t *testing.T) {
	t.Parallel()
	e := failure.Refused("A.B", 3, []retrypolicy.Outcome{
		refused(1, "x", make(chan int)),
		{Number: 2, Verdict: retrypolicy.VerdictRefused, Reason: "y", Result: wire.Encode("large").Digest()},
		refused(3, "z", "kept"),
	}, 0)
	all, err := validation.Results[string](e)
	require.NoError(t, err)
	assert.Equal(t, []string{"kept"}, all)
}

func TestResultOfAnotherTypeIsAnErrorThatNamesTheAttempt(t *testing.T) {
	t.Parallel()
	e := failure.Refused("A.B", 2, []retrypolicy.Outcome{refused(1, "x", 1), refused(2, "y", "no number")}, 0)
	all, err := validation.Results[int](e)
	require.ErrorContains(t, err, "attempt 2")
	assert.Equal(t, []int{1}, all, "what was decoded before it")
	_, err = validation.Best(e, func(int) float64 { return 0 })
	require.ErrorContains(t, err, "attempt 2")
	_, err = validation.Last[int](e)
	require.ErrorContains(t, err, "attempt 2")
}

func TestBestIsTheHighestScoreAndTheEarliestOfEquals(t *testing.T) {
	t.Parallel()
	score := func(r reply) float64 { return r.Score }
	for name, tc := range map[string]struct {
		results []reply
		want    string
	}{
		"one":            {[]reply{{"a", -1}}, "a"},
		"last":           {[]reply{{"a", 1}, {"b", 2}, {"c", 3}}, "c"},
		"middle":         {[]reply{{"a", 1}, {"b", 3}, {"c", 2}}, "b"},
		"ties":           {[]reply{{"a", 1}, {"b", 3}, {"c", 3}}, "b"},
		"all below zero": {[]reply{{"a", -3}, {"b", -2}}, "b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var outcomes []retrypolicy.Outcome
			for i, r := range tc.results {
				outcomes = append(outcomes, refused(i+1, "no", r))
			}
			got, err := validation.Best(failure.Refused("A.B", len(outcomes), outcomes, 0), score)
			require.NoError(t, err)
			assert.Equal(t, tc.want, got.Text)
		})
	}
}

func TestNoScoreIsBelowEveryScore(t *testing.T) {
	t.Parallel()
	e := failure.Refused("A.B", 3, []retrypolicy.Outcome{refused(1, "x", "a"), refused(2, "y", "b"), refused(3, "z", "c")}, 0)
	got, err := validation.Best(e, func(s string) float64 {
		return map[string]float64{"a": math.NaN(), "b": math.Inf(-1), "c": math.NaN()}[s]
	})
	require.NoError(t, err)
	assert.Equal(t, "b", got)
}

func TestLastIsTheNewestRefusedResult(t *testing.T) {
	t.Parallel()
	got, err := validation.Last[reply](mixed())
	require.NoError(t, err)
	assert.Equal(t, reply{"b", 0.7}, got)
}

func TestWithoutAnyResultBestAndLastReturnTheErrorItself(t *testing.T) {
	t.Parallel()
	for _, e := range []*validation.RetryValidationError{
		failure.Refused("A.B", 1, nil, 0),
		failure.Refused("A.B", 1, []retrypolicy.Outcome{{Number: 1, Verdict: retrypolicy.VerdictRefused}}, 0),
	} {
		_, err := validation.Best(e, func(reply) float64 { t.Error("asked"); return 0 })
		var same *validation.RetryValidationError
		require.True(t, errors.As(err, &same))
		assert.Same(t, e, same)
		_, err = validation.Last[reply](e)
		require.ErrorIs(t, err, e)
		all, err := validation.Results[reply](e)
		require.NoError(t, err)
		assert.Empty(t, all)
	}
}
