package retrypolicy_test

import (
	"encoding/json"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/retrypolicy"
)

type fakeCall struct {
	elapsed  time.Duration
	args     []any
	previous []retrypolicy.Outcome
}

func (c fakeCall) Elapsed() time.Duration          { return c.elapsed }
func (c fakeCall) Args() []any                     { return c.args }
func (c fakeCall) Previous() []retrypolicy.Outcome { return c.previous }

// text is a result that is still encoded.
type text string

func (v text) Get(ptr any) error { return json.Unmarshal([]byte(v), ptr) }

func TestZeroAttemptAnswersWithNothing(t *testing.T) {
	t.Parallel()
	var a retrypolicy.Attempt
	assert.Zero(t, a.Elapsed())
	assert.Nil(t, a.Args())
	assert.Nil(t, a.Previous())
	_, ok := retrypolicy.Arg[string](a, 0)
	assert.False(t, ok)
}

func TestAttemptAnswersForItsCall(t *testing.T) {
	t.Parallel()
	previous := []retrypolicy.Outcome{{Number: 1, Verdict: retrypolicy.VerdictFailed}}
	a := retrypolicy.Attempt{Past: fakeCall{elapsed: time.Second, args: []any{1, "x"}, previous: previous}}
	assert.Equal(t, time.Second, a.Elapsed())
	assert.Equal(t, []any{1, "x"}, a.Args())
	assert.Equal(t, previous, a.Previous())
}

func TestArgIsTheArgumentIfItHasTheType(t *testing.T) {
	t.Parallel()
	a := retrypolicy.Attempt{Past: fakeCall{args: []any{"prompt", 3, nil, codeError(4)}}}
	s, ok := retrypolicy.Arg[string](a, 0)
	assert.True(t, ok)
	assert.Equal(t, "prompt", s)
	n, ok := retrypolicy.Arg[int](a, 1)
	assert.True(t, ok)
	assert.Equal(t, 3, n)
	e, ok := retrypolicy.Arg[error](a, 3)
	assert.True(t, ok, "an interface the argument implements")
	require.EqualError(t, e, "code 4")

	for _, i := range []int{-1, 4, math.MaxInt} {
		_, ok = retrypolicy.Arg[string](a, i)
		assert.False(t, ok, "there is no argument %d", i)
	}
	s, ok = retrypolicy.Arg[string](a, 1)
	assert.False(t, ok, "another type")
	assert.Empty(t, s)
	_, ok = retrypolicy.Arg[string](a, 2)
	assert.False(t, ok, "nil")
}

func TestResultOfDecodesARefusedResult(t *testing.T) {
	t.Parallel()
	v, err := retrypolicy.ResultOf[[]int](retrypolicy.Outcome{Number: 2, Result: text(`[1,2]`)})
	require.NoError(t, err)
	assert.Equal(t, []int{1, 2}, v)
}

func TestResultOfNamesTheAttemptItCannotAnswerFor(t *testing.T) {
	t.Parallel()
	_, err := retrypolicy.ResultOf[int](retrypolicy.Outcome{Number: 3, Verdict: retrypolicy.VerdictLost})
	require.ErrorIs(t, err, retrypolicy.ErrNoResult)
	require.ErrorContains(t, err, "attempt 3")

	_, err = retrypolicy.ResultOf[int](retrypolicy.Outcome{Number: 4, Result: text(`"no number"`)})
	var mistake *json.UnmarshalTypeError
	require.True(t, errors.As(err, &mistake))
	require.ErrorContains(t, err, "attempt 4")
}
