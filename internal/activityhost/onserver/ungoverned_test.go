package onserver_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
	"github.com/concurry-go/concurry/worker"
)

// teapot is an error type that callers know by its name.
type teapot struct{ text string }

func (e *teapot) Error() string { return e.text }

// A method without any policy ends as one with a policy that allows nothing.
func TestMethodsWithoutAPolicyEndAsOthersDo(t *testing.T) {
	t.Parallel()
	refusing := activity.Func("Refusing", func(context.Context, int) (string, error) { return "bad", nil },
		activity.FuncOptions[int, string]{Retry: retrypolicy.Policy{NumRetries: 1, Wait: time.Microsecond}, RetryUntil: []validation.Validator[string]{validation.AcceptIf("bad", func(string) bool { return false })}})
	for name, test := range map[string]struct {
		end   func(ctx context.Context) error
		check func(t *testing.T, err error, app *temporal.ApplicationError)
	}{
		"another call's refusals": {
			func(ctx context.Context) error {
				_, err := refusing.Inline().Call(ctx, 1)
				return fmt.Errorf("calling another: %w", err)
			},
			func(t *testing.T, err error, _ *temporal.ApplicationError) {
				var rve *validation.RetryValidationError
				require.True(t, validation.As(err, &rve), "%v", err)
				assert.Equal(t, "Refusing", rve.MethodName)
				assert.Equal(t, 2, rve.Attempts)
				results, err := validation.Results[string](rve)
				require.NoError(t, err)
				assert.Equal(t, []string{"bad", "bad"}, results)
			},
		},
		"permanent": {
			func(context.Context) error { return retrypolicy.Permanent(&teapot{"short and stout"}) },
			func(t *testing.T, _ error, app *temporal.ApplicationError) {
				assert.Equal(t, "teapot", app.Type())
				assert.Equal(t, "short and stout", app.Message())
				assert.True(t, app.NonRetryable())
			},
		},
		"after": {
			func(context.Context) error { return retrypolicy.After(&teapot{"busy"}, time.Millisecond) },
			func(t *testing.T, _ error, app *temporal.ApplicationError) { assert.Equal(t, "teapot", app.Type()) },
		},
		"a bare timeout": {
			func(context.Context) error {
				return temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_START_TO_CLOSE, errors.New("slow"))
			},
			func(t *testing.T, _ error, app *temporal.ApplicationError) {
				assert.Equal(t, "TimeoutError", app.Type())
			},
		},
		"five mebibytes": {
			func(context.Context) error { return &teapot{strings.Repeat("x", 5<<20)} },
			func(t *testing.T, _ error, app *temporal.ApplicationError) {
				assert.Equal(t, "teapot", app.Type())
				assert.True(t, strings.HasPrefix(app.Message(), "xxx"))
			},
		},
		"a chain without end": {
			func(context.Context) error { return endless{} },
			func(t *testing.T, _ error, app *temporal.ApplicationError) { assert.Equal(t, "endless", app.Type()) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			queue, c := Queue(t), Client(t)
			impl := &Scripted{Body: func(ctx context.Context, _ int, _ string) (string, error) { return "", test.end(ctx) }}
			d, do := ScriptedWith(activity.Options{TaskQueue: queue})
			Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
			_, err := Submit(t, c, do, queue, "").Get(t.Context())
			var app *temporal.ApplicationError
			require.ErrorAs(t, err, &app, "%.200v", err)
			test.check(t, err, app)
			assert.EqualValues(t, 1, impl.Started.Load())
		})
	}
}

// endless is its own cause.
type endless struct{}

func (endless) Error() string   { return "endless" }
func (e endless) Unwrap() error { return e }

// Error chains that a method builds by mistake keep neither a CPU nor a slot.
func TestChainsOfAnyLengthEndTheirCall(t *testing.T) {
	t.Parallel()
	long := errors.New("at the end")
	for range 20_000 {
		long = fmt.Errorf("%w", long)
	}
	for name, failure := range map[string]error{"20,000 long": long, "without end": endless{}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			Each(t, func(t *testing.T, e Engine) {
				impl := &Scripted{Body: func(context.Context, int, string) (string, error) { return "", failure }}
				d, do := Define(t, e, retrypolicy.Policy{NumRetries: 1})
				_, err := Run(t, e, d, do, impl, "")
				require.ErrorContains(t, err, failure.Error())
				assert.EqualValues(t, 2, impl.Started.Load())
				assert.False(t, retrypolicy.IsLost(err))
			})
		})
	}
}
