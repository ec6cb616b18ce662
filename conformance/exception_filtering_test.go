package conformance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
)

// HTTPError is what a client of an HTTP service returns.
type HTTPError struct{ Code int }

func (e *HTTPError) Error() string { return fmt.Sprintf("HTTP status %d", e.Code) }

func only(filters ...retrypolicy.Filter) retrypolicy.Policy {
	return retrypolicy.Policy{NumRetries: 3, RetryOn: filters}
}

func TestRetryOnSpecificExceptions(t *testing.T) {
	under(t, "Retry on Specific Exceptions")
	block(t, "`RetryOn: []retrypolicy.Filter{retrypolicy.ErrorIs(…), retrypolicy.ErrorAs[…]()}`", Example_retryOnSpecificErrors)
	everywhere(t, "a listed error is retried", "`ErrorIs`, `ErrorAs`, `ErrorType`", func(t *testing.T, e Engine) {
		p := only(retrypolicy.ErrorIs(errConnection, errTimeout), retrypolicy.ErrorAs[*HTTPError](), retrypolicy.ErrorType("Overloaded"))
		for _, err := range []error{
			errConnection, errTimeout, fmt.Errorf("call 7: %w", errTimeout), &HTTPError{500}, errors.Join(errBug, &HTTPError{500}),
			temporal.NewApplicationError("try later", "Overloaded"),
		} {
			assert.Equal(t, 4, call{policy: p, body: fails(err)}.run(t, e).starts, "%v", err)
		}
	})
	everywhere(t, "any other fails immediately", "the call ends with it", func(t *testing.T, e Engine) {
		o := call{policy: only(retrypolicy.ErrorIs(errConnection)), body: fails(errBug)}.run(t, e)
		require.ErrorContains(t, o.err, errBug.Error())
		assert.Equal(t, []string{"1 failed: give up, not retried by any filter (index out of range)"}, o.trace())
	})
	everywhere(t, "the last error is raised as it is, its type intact", "`temporal.ApplicationError` behind a server", func(t *testing.T, e Engine) {
		o := call{policy: only(), body: fails(&HTTPError{503})}.run(t, e)
		if e == Sync {
			var status *HTTPError
			require.ErrorAs(t, o.err, &status)
			assert.Equal(t, 503, status.Code)
			return
		}
		var app *temporal.ApplicationError
		require.ErrorAs(t, o.err, &app)
		assert.Equal(t, "HTTPError", app.Type())
		assert.Equal(t, "HTTP status 503; gave up after 4 attempts: retries spent", app.Message())
	})
}

func TestCustomExceptionFilters(t *testing.T) {
	under(t, "Custom Exception Filters")
	block(t, "`retrypolicy.If(func(err error, a retrypolicy.Attempt) bool { … })`", Example_customFilter)
	everywhere(t, "a function decides", "`retrypolicy.If`", func(t *testing.T, e Engine) {
		p := only(retrypolicy.If(func(err error, _ retrypolicy.Attempt) bool {
			status, ok := errors.AsType[*HTTPError](err)
			return ok && (status.Code == 429 || status.Code == 503) || errors.Is(err, errConnection)
		}))
		for err, want := range map[error]int{&HTTPError{429}: 4, &HTTPError{503}: 4, errConnection: 4, &HTTPError{404}: 1, errBug: 1} {
			assert.Equal(t, want, call{policy: p, body: fails(err)}.run(t, e).starts, "%v", err)
		}
	})
	everywhere(t, "a filter that fails itself counts as no", "a panic is logged", func(t *testing.T, e Engine) {
		p := only(func(error, retrypolicy.Attempt) bool { panic("out of cheese") })
		assert.Equal(t, 1, call{policy: p, body: fails(errBug)}.run(t, e).starts)
		p.RetryOn = append(p.RetryOn, retrypolicy.ErrorIs(errConnection))
		assert.Equal(t, 4, call{policy: p, body: fails(errConnection)}.run(t, e).starts)
	})
	everywhere(t, "a filter is not asked when its answer cannot matter", "after the last attempt, for `retrypolicy.Permanent`", func(t *testing.T, e Engine) {
		asked := 0
		p := only(func(error, retrypolicy.Attempt) bool { asked++; return true })
		call{policy: p, body: fails(errBug), anew: func(*call) { asked = 0 }}.run(t, e)
		assert.Equal(t, 3, asked)
		call{policy: p, body: fails(retrypolicy.Permanent(errBug))}.run(t, e)
		assert.Equal(t, 3, asked)
	})
}

func TestMultipleFilters(t *testing.T) {
	under(t, "Multiple Filters")
	block(t, "types and functions in one list", Example_multipleFilters)
	everywhere(t, "one that says yes is enough", "filters are OR-ed, in order", func(t *testing.T, e Engine) {
		p := only(
			retrypolicy.ErrorIs(errConnection),
			retrypolicy.If(func(err error, _ retrypolicy.Attempt) bool {
				_, syntax := errors.AsType[*json.SyntaxError](err)
				return syntax
			}),
		)
		syntax := json.Unmarshal([]byte("{"), &struct{}{})
		for err, want := range map[error]int{errConnection: 4, syntax: 4, errBug: 1} {
			assert.Equal(t, want, call{policy: p, body: fails(err)}.run(t, e).starts, "%v", err)
		}
	})
}

func TestContextInFilters(t *testing.T) {
	under(t, "Context in Filters")
	block(t, "`a.Elapsed()`, `a.Number`, `a.Method`, `a.Args()`", Example_contextInFilters)
	attempts := func(t *testing.T, e Engine, body func(context.Context, int, string) (Reply, error)) (seen []retrypolicy.Attempt, o *outcome) {
		t.Helper()
		p := only(func(_ error, a retrypolicy.Attempt) bool {
			seen = append(seen, a)
			return true
		})
		o = call{policy: p, body: body, prompt: "Dune?", anew: func(*call) { seen = nil }}.run(t, e)
		return seen, o
	}
	everywhere(t, "exception", "the filter's first argument", func(t *testing.T, e Engine) {
		var got []error
		p := only(func(err error, _ retrypolicy.Attempt) bool { got = append(got, err); return true })
		original := &HTTPError{429}
		call{policy: p, body: fails(original), anew: func(*call) { got = nil }}.run(t, e)
		require.Len(t, got, 3)
		for _, err := range got {
			assert.ErrorIs(t, err, original, "the Go error itself, since filters run on the worker")
		}
	})
	everywhere(t, "attempt: the current attempt, from 1", "`Attempt.Number`", func(t *testing.T, e Engine) {
		seen, _ := attempts(t, e, fails(errConnection))
		for i, a := range seen {
			assert.Equal(t, i+1, a.Number)
		}
		assert.Len(t, seen, 3)
	})
	everywhere(t, "elapsed_time: since the first attempt", "`Attempt.Elapsed()`, the attempt that just ended included", func(t *testing.T, e Engine) {
		const pause = 20 * time.Millisecond
		var elapsed []time.Duration
		p := only(func(_ error, a retrypolicy.Attempt) bool { elapsed = append(elapsed, a.Elapsed()); return true })
		p.Wait, p.Backoff, p.Jitter = pause, retrypolicy.Constant, retrypolicy.NoJitter
		call{policy: p, body: fails(errConnection), anew: func(*call) { elapsed = nil }}.run(t, e)
		require.Len(t, elapsed, 3)
		for i, got := range elapsed {
			assert.GreaterOrEqual(t, got, time.Duration(i)*pause, "after %d waits", i)
		}
	})
	everywhere(t, "method_name", "`Attempt.Method`", func(t *testing.T, e Engine) {
		seen, _ := attempts(t, e, fails(errConnection))
		assert.Equal(t, "Model.Ask", seen[0].Method)
	})
	everywhere(t, "args, kwargs: the original arguments", "`Attempt.Args()`, `retrypolicy.Arg`", func(t *testing.T, e Engine) {
		seen, _ := attempts(t, e, fails(errConnection))
		prompt, ok := retrypolicy.Arg[string](seen[0], 0)
		assert.True(t, ok)
		assert.Equal(t, "Dune?", prompt)
		assert.Len(t, seen[0].Args(), 1)
	})
	everywhere(t, "the guide's filter: not after 30 seconds, some errors no more than three times", "`retrypolicy.If`", func(t *testing.T, e Engine) {
		p := retrypolicy.Policy{NumRetries: 5, RetryOn: []retrypolicy.Filter{func(err error, a retrypolicy.Attempt) bool {
			switch {
			case a.Elapsed() > 30*time.Second, errors.Is(err, errBug) && a.Number >= 3:
				return false
			default:
				return errors.Is(err, errConnection) || errors.Is(err, errBug)
			}
		}}}
		assert.Equal(t, 6, call{policy: p, body: fails(errConnection)}.run(t, e).starts)
		assert.Equal(t, 3, call{policy: p, body: fails(errBug)}.run(t, e).starts)
		assert.Equal(t, 1, call{policy: p, body: fails(errTimeout)}.run(t, e).starts)
	})
}
