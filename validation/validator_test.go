package validation_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

type reply struct {
	Text  string
	Score float64
}

func TestCheckRefusesWhereThePredicateIsFalse(t *testing.T) {
	t.Parallel()
	v := validation.Check("too short", func(s string) bool { return len(s) > 3 })
	require.NoError(t, v("long enough", retrypolicy.Attempt{}))
	require.EqualError(t, v("no", retrypolicy.Attempt{}), "too short")

	v = validation.Check("", func(string) bool { return false })
	require.ErrorIs(t, v("x", retrypolicy.Attempt{}), validation.ErrRefused)
	require.EqualError(t, v("x", retrypolicy.Attempt{}), "refused")
}

func TestResultIsAcceptedIfEveryValidatorAccepts(t *testing.T) {
	t.Parallel()
	var asked []string
	say := func(name string, refusal error) validation.Validator[int] {
		return func(int, retrypolicy.Attempt) error { asked = append(asked, name); return refusal }
	}
	no := errors.New("no")
	for _, tc := range []struct {
		validators []validation.Validator[int]
		asked      []string
		refusal    error
	}{
		{nil, nil, nil},
		{[]validation.Validator[int]{say("a", nil)}, []string{"a"}, nil},
		{[]validation.Validator[int]{say("a", nil), say("b", nil)}, []string{"a", "b"}, nil},
		{[]validation.Validator[int]{say("a", nil), say("b", no), say("c", nil)}, []string{"a", "b"}, no},
		{[]validation.Validator[int]{say("a", no), say("b", errors.New("another"))}, []string{"a"}, no},
	} {
		asked = nil
		assert.Equal(t, tc.refusal, validation.Validate(tc.validators, 1, retrypolicy.Attempt{}))
		assert.Equal(t, tc.asked, asked, "in order, and none after the first refusal")
	}
}

func TestValidatorSeesTheResultAndTheAttempt(t *testing.T) {
	t.Parallel()
	err := validation.Validate([]validation.Validator[reply]{func(r reply, a retrypolicy.Attempt) error {
		if a.Number > 2 { // accept less after two attempts
			return nil
		}
		return fmt.Errorf("attempt %d of %s: score %v", a.Number, a.Method, r.Score)
	}}, reply{Score: 0.4}, retrypolicy.Attempt{Number: 2, Method: "LLM.Generate"})
	require.EqualError(t, err, "attempt 2 of LLM.Generate: score 0.4")
}

func TestValidatorThatPanicsHasRefusedAndItsStackIsKept(t *testing.T) {
	t.Parallel()
	accepts := validation.Check("", func(map[string]int) bool { return true })
	for name, tc := range map[string]struct {
		validator validation.Validator[map[string]int]
		text      string
	}{
		"panic":         {func(map[string]int, retrypolicy.Attempt) error { panic("out of cheese") }, "validator 2 panicked: out of cheese"},
		"runtime error": {func(m map[string]int, _ retrypolicy.Attempt) error { m["x"] = 1; return nil }, "validator 2 panicked: assignment to entry in nil map"},
		"nil validator": {nil, "validator 2 panicked: runtime error"},
		"nil predicate": {validation.Check[map[string]int]("reason", nil), "validator 2 panicked: runtime error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := validation.Validate([]validation.Validator[map[string]int]{accepts, tc.validator, accepts}, nil, retrypolicy.Attempt{})
			require.ErrorContains(t, err, tc.text)
			require.ErrorContains(t, err, "validator.go", "the stack")
		})
	}
}
