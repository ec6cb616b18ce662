package onserver_test

import (
	"context"
	"errors"
	"math"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

// odd returns values that a server cannot take.
type odd struct{ started atomic.Int64 }

func (o *odd) NotANumber(context.Context, string) (float64, error) {
	o.started.Add(1)
	return math.NaN(), nil
}

func (o *odd) Huge(context.Context, string) (string, error) {
	o.started.Add(1)
	return strings.Repeat("x", 8<<20), nil
}

func (o *odd) HugeError(context.Context, string) (string, error) {
	o.started.Add(1)
	return "", retrypolicy.Permanent(errors.New(strings.Repeat("e", 8<<20)))
}

func (o *odd) BadDetails(context.Context, string) (string, error) {
	o.started.Add(1)
	return "", temporal.NewApplicationErrorWithOptions("broken", "Broken", temporal.ApplicationErrorOptions{
		NonRetryable: true, Details: []any{make(chan int), math.Inf(1)},
	})
}

func (o *odd) BareTimeout(context.Context, string) (string, error) {
	o.started.Add(1)
	return "", temporal.NewTimeoutError(0, errors.New("inner"))
}

func (o *odd) Panics(context.Context, string) (string, error) {
	o.started.Add(1)
	panic("out of cheese")
}

func odds(e Engine, retries int) *activity.Definition[*odd] {
	return activity.Define[*odd]("Odd", activity.Options{
		Retry:       e.Policy(retrypolicy.Policy{NumRetries: retries, Wait: time.Millisecond}),
		CallTimeout: 30 * time.Second,
	})
}

// Each of these is a value on which a server, or the SDK, would drop the
// activity's response without a word; the caller must get an error, soon.
func TestResultThatCannotBeEncodedEndsTheCallAtOnce(t *testing.T) {
	t.Parallel()
	for _, e := range []Engine{Environment, InPlace, OnServer} {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			d, impl := odds(e, 5), &odd{}
			h := activity.Method(d, "NotANumber", (*odd).NotANumber)
			_, err := Run(t, e, d, h, impl, "")
			require.ErrorContains(t, err, "NaN")
			assert.EqualValues(t, 1, impl.started.Load())
		})
	}
}

func TestRefusedResultThatCannotBeEncodedIsKeptAsText(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, e Engine) {
		d, impl := odds(e, 1), &odd{}
		h := activity.Method(d, "NotANumber", (*odd).NotANumber, activity.MethodOptions[string, float64]{
			RetryUntil: []validation.Validator[float64]{validation.AcceptIf("must be a number", func(f float64) bool { return !math.IsNaN(f) })},
		})
		_, err := Run(t, e, d, h, impl, "")
		var rve *validation.RetryValidationError
		require.True(t, validation.As(err, &rve), "%v", err)
		assert.Equal(t, []string{"must be a number", "must be a number"}, rve.ValidationErrors)
		assert.EqualValues(t, 2, impl.started.Load())
	})
}

func TestResultOfEightMebibytesEndsTheCallAtOnce(t *testing.T) {
	t.Parallel()
	for _, e := range []Engine{InPlace, OnServer} {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			d, impl := odds(e, 5), &odd{}
			h := activity.Method(d, "Huge", (*odd).Huge)
			_, err := Run(t, e, d, h, impl, "")
			require.ErrorContains(t, err, "payload")
			assert.EqualValues(t, 1, impl.started.Load())
		})
	}
}

func TestRefusedResultOfEightMebibytesIsKeptAsDigest(t *testing.T) {
	t.Parallel()
	for _, e := range []Engine{Environment, InPlace, OnServer} {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			d, impl := odds(e, 2), &odd{}
			h := activity.Method(d, "Huge", (*odd).Huge, activity.MethodOptions[string, string]{
				RetryUntil: []validation.Validator[string]{validation.AcceptIf("too long", func(s string) bool { return len(s) < 10 })},
			})
			_, err := Run(t, e, d, h, impl, "")
			var rve *validation.RetryValidationError
			require.True(t, validation.As(err, &rve), "%v", err)
			assert.Equal(t, 3, rve.Attempts)
			require.Len(t, rve.Outcomes, 3)
			_, err = retrypolicy.ResultOf[string](rve.Outcomes[2])
			require.ErrorContains(t, err, "8388610 bytes")
		})
	}
}

func TestErrorOfEightMebibytesArrivesCut(t *testing.T) {
	t.Parallel()
	for _, e := range []Engine{Environment, InPlace, OnServer} {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			d, impl := odds(e, 5), &odd{}
			h := activity.Method(d, "HugeError", (*odd).HugeError)
			_, err := Run(t, e, d, h, impl, "")
			require.ErrorContains(t, err, "eeee")
			require.ErrorContains(t, err, "(8388608 bytes)")
			assert.EqualValues(t, 1, impl.started.Load())
		})
	}
}

func TestErrorDetailsThatCannotBeEncodedArriveAsText(t *testing.T) {
	t.Parallel()
	for _, e := range []Engine{Environment, InPlace, OnServer} {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			d, impl := odds(e, 5), &odd{}
			h := activity.Method(d, "BadDetails", (*odd).BadDetails)
			_, err := Run(t, e, d, h, impl, "")
			var app *temporal.ApplicationError
			require.ErrorAs(t, err, &app)
			assert.Equal(t, "Broken", app.Type())
			var first, second string
			require.NoError(t, app.Details(&first, &second))
			assert.Contains(t, first, "chan int that cannot be encoded")
			assert.Contains(t, second, "float64 that cannot be encoded")
		})
	}
}

func TestErrorThatIsNoApplicationFailureArrives(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, e Engine) {
		d, impl := odds(e, 1), &odd{}
		h := activity.Method(d, "BareTimeout", (*odd).BareTimeout)
		_, err := Run(t, e, d, h, impl, "")
		require.ErrorContains(t, err, "inner")
		assert.EqualValues(t, 2, impl.started.Load())
	})
}

func TestPanicInAMethodIsAnErrorForFiltersAndCallers(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, e Engine) {
		var asked atomic.Int64
		d := activity.Define[*odd]("Odd", activity.Options{
			Retry: e.Policy(retrypolicy.Policy{NumRetries: 2, Wait: time.Millisecond, RetryOn: []retrypolicy.Filter{
				retrypolicy.If(func(err error, _ retrypolicy.Attempt) bool {
					asked.Add(1)
					return err.Error() == "panic: out of cheese"
				}),
			}}),
			CallTimeout: 30 * time.Second,
		})
		h := activity.Method(d, "Panics", (*odd).Panics)
		impl := &odd{}
		_, err := Run(t, e, d, h, impl, "")
		require.ErrorContains(t, err, "out of cheese")
		assert.EqualValues(t, 3, impl.started.Load())
		assert.EqualValues(t, 2, asked.Load(), "not asked after the last attempt")
		if e != Sync {
			var p *temporal.PanicError
			require.ErrorAs(t, err, &p)
		}
	})
}

func TestFilterThatPanicsCountsAsNo(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, e Engine) {
		impl := &Scripted{Body: func(context.Context, int, string) (string, error) { return "", errors.New("the method's own error") }}
		d, do := Define(t, e, retrypolicy.Policy{NumRetries: 5, RetryOn: []retrypolicy.Filter{
			retrypolicy.If(func(error, retrypolicy.Attempt) bool { panic("filter") }),
		}})
		_, err := Run(t, e, d, do, impl, "")
		require.ErrorContains(t, err, "the method's own error")
		assert.EqualValues(t, 1, impl.Started.Load())
	})
}

func TestValidatorThatPanicsHasRefused(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, e Engine) {
		impl := &Scripted{Body: func(_ context.Context, n int, _ string) (string, error) { return strconv.Itoa(n), nil }}
		d, do := Define(t, e, retrypolicy.Policy{NumRetries: 1}, func(string, retrypolicy.Attempt) error { panic("validator") })
		_, err := Run(t, e, d, do, impl, "")
		var rve *validation.RetryValidationError
		require.True(t, validation.As(err, &rve), "%v", err)
		require.Len(t, rve.ValidationErrors, 2)
		assert.Contains(t, rve.ValidationErrors[1], "panicked: validator")
		assert.EqualValues(t, 2, impl.Started.Load())
	})
}

func TestBodyThatEndsItsGoroutineIsAnError(t *testing.T) {
	t.Parallel()
	for _, e := range []Engine{Sync, Environment, InPlace} {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			impl := &Scripted{Body: func(_ context.Context, n int, _ string) (string, error) {
				if n == 1 {
					runtime.Goexit()
				}
				return "second", nil
			}}
			d := activity.Define[*Scripted]("Scripted", activity.Options{
				Retry: e.Policy(retrypolicy.Policy{NumRetries: 1, Wait: time.Millisecond}), AttemptTimeout: 10 * time.Second,
			})
			do := activity.Method(d, "Do", (*Scripted).Do)
			out, err := Run(t, e, d, do, impl, "")
			require.NoError(t, err)
			assert.Equal(t, "second", out)
		})
	}
}

// row and query are a cause that is a nil pointer, and thus not a nil error.
type row struct{ code string }

func (e *row) Error() string { return "row " + e.code }

type query struct{ row *row }

func (*query) Error() string   { return "query failed" }
func (e *query) Unwrap() error { return e.row }

// as is an error that cannot be looked at.
type as struct{}

func (as) Error() string { return "as" }
func (as) As(any) bool   { panic("As panics") }

func TestErrorThatPanicsWhenLookedAtIsStillTheCallsError(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]error{
		"a cause that is a nil pointer": &query{},
		"a nil pointer":                 (*query)(nil),
		"As":                            as{},
		"a StopError of nothing":        &retrypolicy.StopError{Stop: retrypolicy.StopBudget, Detail: "spent"},
	} {
		Each(t, func(t *testing.T, e Engine) {
			var seen Events
			impl := &Scripted{Body: func(context.Context, int, string) (string, error) { return "", failure }}
			d, do := ScriptedWith(activity.Options{
				Retry: e.Policy(retrypolicy.Policy{NumRetries: 1, Wait: time.Millisecond}), Observers: []retrypolicy.Observer{seen.Observe},
			})
			_, err := Run(t, e, d, do, impl, "")
			require.Error(t, err)
			assert.False(t, retrypolicy.IsLost(err), "%s: %v", name, err)
			assert.Len(t, seen.Told(), 2, "%s: %q", name, seen.Told())
		})
	}
}

// On goroutines of a map such a panic would be the process's end.
func TestErrorThatPanicsWhenLookedAtEndsNoMap(t *testing.T) {
	t.Parallel()
	f := activity.Func("F", func(ctx context.Context, n int) (int, error) {
		switch n {
		case 0:
			return 0, retrypolicy.Permanent(errors.New("no disk"))
		case 1:
			return 0, as{}
		default:
			<-ctx.Done()
			return 0, (*query)(nil)
		}
	}, activity.FuncOptions[int, int]{
		Retry:     retrypolicy.Policy{NumRetries: 1, Wait: time.Hour},
		Observers: []retrypolicy.Observer{func(context.Context, retrypolicy.Event) {}},
	})
	_, err := f.Inline().Map(t.Context(), []int{0, 1, 2, 3}, activity.StopOnError())
	var failed *activity.MapError
	require.ErrorAs(t, err, &failed)
	for _, err := range failed.Errors {
		require.Error(t, err)
	}
}

// forever asks to come back later than there is time for.
type forever struct{}

func (forever) Error() string             { return "busy" }
func (forever) RetryAfter() time.Duration { return math.MaxInt64 }

func TestWaitBeyondAllTimeIsNotBegun(t *testing.T) {
	t.Parallel()
	for _, failure := range []error{
		forever{},
		retrypolicy.After(errors.New("busy"), math.MaxInt64),
		temporal.NewApplicationErrorWithOptions("busy", "T", temporal.ApplicationErrorOptions{NextRetryDelay: math.MaxInt64}),
	} {
		Each(t, func(t *testing.T, e Engine) {
			impl := &Scripted{Body: func(context.Context, int, string) (string, error) { return "", failure }}
			d, do := Define(t, e, retrypolicy.Policy{NumRetries: 1, MaxElapsed: time.Second})
			_, err := Run(t, e, d, do, impl, "")
			stop, _ := retrypolicy.StopOf(err)
			assert.Equal(t, retrypolicy.StopMaxElapsed, stop.Stop, "%v", err)
		})
	}
}
