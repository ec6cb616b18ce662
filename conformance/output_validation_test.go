package conformance_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

func hasText(r Reply, _ retrypolicy.Attempt) error {
	if r.Text == "" {
		return errNoData
	}
	return nil
}

func until(validators ...validation.Validator[Reply]) []validation.Validator[Reply] {
	return validators
}

func TestSimpleValidation(t *testing.T) {
	under(t, "Simple Validation")
	block(t, "`RetryUntil: []validation.Validator[map[string]any]{hasFields}`", Example_simpleValidation)
	everywhere(t, "retried until the validator passes, without any exception", "`validation.Validator`", func(t *testing.T, e Engine) {
		o := call{policy: retrypolicy.Policy{NumRetries: 5}, until: until(hasText), body: says(Reply{}, Reply{}, Reply{Text: "x"})}.run(t, e)
		require.NoError(t, o.err)
		assert.Equal(t, Reply{Text: "x"}, o.reply)
		assert.Equal(t, 3, o.starts)
		assert.Equal(t, "refused", string(o.events[0].Verdict))
		assert.EqualError(t, o.events[0].Err, errNoData.Error())
	})
	everywhere(t, "whatever retry_on says", "a refused result is retried while the budget lasts", func(t *testing.T, e Engine) {
		p := retrypolicy.Policy{NumRetries: 2, RetryOn: []retrypolicy.Filter{retrypolicy.ErrorIs(errConnection)}}
		assert.Equal(t, 3, call{policy: p, until: until(hasText), body: says(Reply{})}.run(t, e).starts)
	})
	everywhere(t, "a validator that fails itself has refused", "a panic is the reason", func(t *testing.T, e Engine) {
		panics := func(Reply, retrypolicy.Attempt) error { panic("out of cheese") }
		o := call{policy: retrypolicy.Policy{NumRetries: 1}, until: until(panics), body: says(Reply{})}.run(t, e)
		assert.Contains(t, o.refused(t).ValidationErrors[1], "out of cheese")
		assert.Equal(t, 2, o.starts)
	})
	row(t, "a function of the result alone", "`validation.AcceptIf`", func(t *testing.T) {
		v := validation.AcceptIf("no text", func(r Reply) bool { return r.Text != "" })
		require.NoError(t, v(Reply{Text: "x"}, retrypolicy.Attempt{}))
		require.EqualError(t, v(Reply{}, retrypolicy.Attempt{}), "no text")
	})
}

func TestMultipleValidators(t *testing.T) {
	under(t, "Multiple Validators")
	block(t, "`RetryUntil: []validation.Validator[Record]{hasRequiredFields, hasValidValues}`", Example_multipleValidators)
	everywhere(t, "all must pass", "validators are AND-ed, in order, up to the first refusal", func(t *testing.T, e Engine) {
		asked := 0
		second := func(r Reply, a retrypolicy.Attempt) error { asked++; return confident(r, a) }
		o := call{
			policy: retrypolicy.Policy{NumRetries: 3}, until: until(hasText, second), anew: func(*call) { asked = 0 },
			body: says(Reply{Confidence: 1}, Reply{Text: "x"}, Reply{Text: "x", Confidence: 0.9}),
		}.run(t, e)
		require.NoError(t, o.err)
		assert.Equal(t, 3, o.starts)
		assert.Equal(t, 2, asked, "not where the first refuses")
	})
}

func TestCombiningExceptionsAndValidation(t *testing.T) {
	under(t, "Combining Exceptions and Validation")
	block(t, "`RetryOn` and `RetryUntil` together", Example_combiningErrorsAndValidation)
	everywhere(t, "errors that match, and results that are refused, share the retries", "one budget", func(t *testing.T, e Engine) {
		body := func(_ context.Context, n int, _ string) (Reply, error) {
			if n%2 == 1 {
				return Reply{}, errConnection
			}
			return Reply{}, nil
		}
		p := retrypolicy.Policy{NumRetries: 4, RetryOn: []retrypolicy.Filter{retrypolicy.ErrorIs(errConnection)}}
		o := call{policy: p, until: until(hasText), body: body}.run(t, e)
		require.ErrorContains(t, o.err, errConnection.Error(), "the last attempt's")
		assert.Equal(t, 5, o.starts)
		p.NumRetries = 3
		o = call{policy: p, until: until(hasText), body: body}.run(t, e)
		rve := o.refused(t)
		assert.Equal(t, 4, rve.Attempts)
		assert.Equal(t, []string{errNoData.Error(), errNoData.Error()}, rve.ValidationErrors)
		var verdicts []string
		for _, outcome := range rve.Outcomes {
			verdicts = append(verdicts, string(outcome.Verdict))
		}
		assert.Equal(t, []string{"failed", "refused", "failed", "refused"}, verdicts, "which attempt each came from")
	})
}

func TestRetryValidationError(t *testing.T) {
	under(t, "RetryValidationError")
	block(t, "`validation.As(err, &rve)`", Example_retryValidationError)
	spent := func(t *testing.T, e Engine) *outcome {
		t.Helper()
		return call{
			policy: retrypolicy.Policy{NumRetries: 2}, until: until(confident),
			body: says(Reply{Text: "a", Confidence: 0.1, Tags: []string{"x", "y"}}, Reply{Text: "b", Confidence: 0.5}, Reply{Text: "c", Confidence: 0.3}),
		}.run(t, e)
	}
	everywhere(t, "raised when validation fails after all retries", "on either side of the wire", func(t *testing.T, e Engine) {
		rve := spent(t, e).refused(t)
		assert.Equal(t, 3, rve.Attempts)
		assert.Equal(t, "Model.Ask", rve.MethodName)
		assert.Equal(t, []string{"confidence 0.10, want 0.90", "confidence 0.50, want 0.90", "confidence 0.30, want 0.90"}, rve.ValidationErrors)
	})
	everywhere(t, "the last result can be used even though validation failed", "`validation.Results`, `Last`, `Best`", func(t *testing.T, e Engine) {
		rve := spent(t, e).refused(t)
		all, err := validation.Results[Reply](rve)
		require.NoError(t, err)
		assert.Equal(t, []Reply{{Text: "a", Confidence: 0.1, Tags: []string{"x", "y"}}, {Text: "b", Confidence: 0.5}, {Text: "c", Confidence: 0.3}}, all)
		last, err := validation.Last[Reply](rve)
		require.NoError(t, err)
		assert.Equal(t, "c", last.Text)
	})
	everywhere(t, "an exception in the last attempt is that exception", "with the refused results in `activity.Previous`", func(t *testing.T, e Engine) {
		o := call{policy: retrypolicy.Policy{NumRetries: 1}, until: until(confident), body: func(_ context.Context, n int, _ string) (Reply, error) {
			if n == 1 {
				return Reply{}, nil
			}
			return Reply{}, errBug
		}}.run(t, e)
		require.ErrorContains(t, o.err, errBug.Error())
		var rve *validation.RetryValidationError
		assert.False(t, validation.As(o.err, &rve))
		assert.False(t, errors.As(o.err, &rve))
	})
}
