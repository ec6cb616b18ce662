package retrypolicy_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/concurry-go/concurry/internal/policytest"
	"github.com/concurry-go/concurry/internal/retry"
	"github.com/concurry-go/concurry/retrypolicy"
)

func TestZeroPolicyIsValidAndMeansOneAttempt(t *testing.T) {
	t.Parallel()
	var p retrypolicy.Policy
	require.NoError(t, p.Check())
	assert.Equal(t, 1, p.Attempts())
	assert.Equal(t, time.Second, retry.InPlaceWait(&p))
	assert.Equal(t, time.Second, p.Ceiling(1))
	yes, problem := retry.Wanted(&p, io.EOF, retrypolicy.Attempt{})
	assert.True(t, yes, "every error is retried")
	assert.NoError(t, problem)
}

func TestCheckNamesTheFieldItsValueAndWhatIsAllowed(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		policy retrypolicy.Policy
		field  string
		text   string
	}{
		{retrypolicy.Policy{NumRetries: -1}, "NumRetries", "NumRetries -1: must be from 0 (no retries) to 1000000"},
		{retrypolicy.Policy{NumRetries: 1_000_001}, "NumRetries", "NumRetries 1000001: must be from 0 (no retries) to 1000000"},
		{retrypolicy.Policy{Backoff: retrypolicy.Algorithm("cubic")}, "Backoff", `Backoff "cubic": must be "exponential", "linear", "fibonacci" or "constant"`},
		{retrypolicy.Policy{Backoff: retrypolicy.Algorithm("")}, "Backoff", `Backoff "": must be "exponential", "linear", "fibonacci" or "constant"`},
		{retrypolicy.Policy{Backoff: retrypolicy.BackoffFunc(nil)}, "Backoff", `Backoff "BackoffFunc(nil)": must be a function, or leave Backoff unset for exponential`},
		{retrypolicy.Policy{Wait: -2}, "Wait", "Wait -2ns: must be positive, 0 (the default, 1s) or NoWait, and at most 8760h0m0s"},
		{retrypolicy.Policy{Wait: retrypolicy.MaxDuration + 1}, "Wait", "Wait 8760h0m0.000000001s: must be positive, 0 (the default, 1s) or NoWait, and at most 8760h0m0s"},
		{retrypolicy.Policy{MaxWait: -time.Second}, "MaxWait", "MaxWait -1s: must be positive, or 0 (the default, 8760h0m0s)"},
		{retrypolicy.Policy{MaxWait: retrypolicy.NoWait}, "MaxWait", "MaxWait -1ns: must be positive, or 0 (the default, 8760h0m0s)"},
		{retrypolicy.Policy{MaxWait: math.MaxInt64}, "MaxWait", "must be positive, or 0 (the default, 8760h0m0s)"},
		{retrypolicy.Policy{Jitter: 99}, "Jitter", "Jitter 99: must be FullJitter, NoJitter, EqualJitter or made by Proportional"},
		{retrypolicy.Policy{Jitter: retrypolicy.NoJitter | 1<<40}, "Jitter", "must be FullJitter, NoJitter, EqualJitter or made by Proportional"},
		{retrypolicy.Policy{Jitter: retrypolicy.Proportional(0)}, "Jitter", "Jitter proportional(0): the proportion must be above 0 and at most 1"},
		{retrypolicy.Policy{Jitter: retrypolicy.Proportional(-0.1)}, "Jitter", "Jitter proportional(-0.1): the proportion must be above 0 and at most 1"},
		{retrypolicy.Policy{Jitter: retrypolicy.Proportional(1.5)}, "Jitter", "Jitter proportional(1.5): the proportion must be above 0 and at most 1"},
		{retrypolicy.Policy{Jitter: retrypolicy.Proportional(math.NaN())}, "Jitter", "Jitter proportional(NaN): the proportion must be above 0 and at most 1"},
		{retrypolicy.Policy{Jitter: retrypolicy.Proportional(math.Inf(1))}, "Jitter", "Jitter proportional(+Inf): the proportion must be above 0 and at most 1"},
		{retrypolicy.Policy{RetryOn: []retrypolicy.Filter{retrypolicy.ErrorIs(io.EOF), nil}}, "RetryOn[1]", `RetryOn[1] "nil": must be a filter such as retrypolicy.ErrorIs(io.EOF)`},
	} {
		t.Run(fmt.Sprintf("%.40s", tc.text), func(t *testing.T) {
			t.Parallel()
			err := tc.policy.Check()
			require.ErrorContains(t, err, tc.text)
			var field *retrypolicy.FieldError
			require.ErrorAs(t, err, &field)
			assert.Equal(t, tc.field, field.Field)
			assert.NotNil(t, field.Value)
			assert.NotEmpty(t, field.Allowed)
			assert.Len(t, fieldErrors(err), 1, "nothing else is wrong")
		})
	}
}

func TestCheckReportsEveryMistakeAtOnce(t *testing.T) {
	t.Parallel()
	p := retrypolicy.Policy{
		NumRetries: -5, Backoff: retrypolicy.Algorithm("x"), Wait: -time.Hour, MaxWait: -1,
		Jitter: retrypolicy.Proportional(2), RetryOn: []retrypolicy.Filter{nil, retrypolicy.ErrorIs(io.EOF), nil},
	}
	var names []string
	for _, f := range fieldErrors(p.Check()) {
		names = append(names, f.Field)
	}
	assert.Equal(t, []string{"NumRetries", "Backoff", "Wait", "MaxWait", "Jitter", "RetryOn[0]", "RetryOn[2]"}, names)
}

func TestBoundsThemselvesAreAllowed(t *testing.T) {
	t.Parallel()
	for _, p := range []retrypolicy.Policy{
		{NumRetries: retrypolicy.MaxRetries},
		{Wait: retrypolicy.NoWait},
		{Wait: 1},
		{Wait: retrypolicy.MaxDuration, MaxWait: retrypolicy.MaxDuration},
		{MaxWait: 1},
		{Jitter: retrypolicy.Proportional(1)},
		{InPlace: math.MinInt64},
		{InPlace: math.MaxInt64},
		{RetryOn: []retrypolicy.Filter{}},
	} {
		require.NoError(t, p.Check(), "%+v", p)
	}
}

func TestDrawnPoliciesPassCheck(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := policytest.Draw(t)
		require.NoError(t, p.Check())
	})
}

func TestInPlaceWaitAppliesItsDefault(t *testing.T) {
	t.Parallel()
	for in, want := range map[time.Duration]time.Duration{
		0: retrypolicy.DefaultInPlace, -1: 0, math.MinInt64: 0, 1: 1, time.Hour: time.Hour, math.MaxInt64: retrypolicy.MaxDuration,
	} {
		p := retrypolicy.Policy{InPlace: in}
		assert.Equal(t, want, retry.InPlaceWait(&p), "%d", in)
	}
}

// fieldErrors are those joined in err, in order.
func fieldErrors(err error) []*retrypolicy.FieldError {
	many, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	var fields []*retrypolicy.FieldError
	for _, e := range many.Unwrap() {
		var f *retrypolicy.FieldError
		if errors.As(e, &f) {
			fields = append(fields, f)
		}
	}
	return fields
}
