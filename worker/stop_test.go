package worker_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/internal/failure"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
	"github.com/concurry-go/concurry/worker"
)

// atOnce is a policy that has retries left, and no time for any.
func atOnce() retrypolicy.Policy {
	return retrypolicy.Policy{NumRetries: 2, MaxElapsed: time.Nanosecond}
}

func TestStopIsTheSameOnBothSidesOfTheWire(t *testing.T) {
	t.Parallel()
	refusing := activity.Func("Refusing", func(context.Context, int) (int, error) { return 0, nil }, activity.FuncOptions[int, int]{RetryUntil: []validation.Validator[int]{validation.AcceptIf("bad", func(int) bool { return false })}})
	for name, body := range map[string]func(ctx context.Context) error{
		"an error":         func(context.Context) error { return errors.New("x") },
		"a panic":          func(context.Context) error { panic("out of cheese") },
		"not UTF-8":        func(context.Context) error { return fmt.Errorf("x: %w", errors.New("\xff")) },
		"a NaN as detail":  func(context.Context) error { return temporal.NewApplicationError("x", "T", math.NaN()) },
		"2 MiB of message": func(context.Context) error { return errors.New(strings.Repeat("x", 2<<20)) },
		"a RetryValidationError of another call": func(ctx context.Context) error {
			_, err := refusing.Inline().Call(ctx, 1)
			return fmt.Errorf("calling another: %w", err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			queue, c := Queue(t), Client(t)
			impl := &Scripted{Body: func(ctx context.Context, _ int, _ string) (string, error) { return "", body(ctx) }}
			d, do := ScriptedWith(activity.Options{Retry: atOnce()})
			_, err := do.Inline(impl).Call(t.Context(), "")
			stop, _ := retrypolicy.StopOf(err)
			require.Equal(t, retrypolicy.StopMaxElapsed, stop.Stop, "in this process")
			Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
			_, err = Submit(t, c, do, queue, "").Get(t.Context())
			stop, _ = retrypolicy.StopOf(err)
			assert.Equal(t, retrypolicy.StopMaxElapsed, stop.Stop, "behind the wire: %.100v", err)
			if name == "a panic" {
				var panicked *temporal.PanicError
				require.ErrorAs(t, err, &panicked)
				assert.Contains(t, panicked.Error(), "out of cheese")
			}
		})
	}
}

func TestStopOfAMapIsFound(t *testing.T) {
	t.Parallel()
	for how, mapOver := range Mappings() {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			impl := &Scripted{Body: func(context.Context, int, string) (string, error) { return "", errors.New("x") }}
			d, do := ScriptedWith(activity.Options{Retry: atOnce()})
			_, err := mapOver(t, d, do, impl, []string{"a"})
			stop, _ := retrypolicy.StopOf(err)
			assert.Equal(t, retrypolicy.StopMaxElapsed, stop.Stop, "%v", err)
		})
	}
}

func TestStopOfAnotherCallIsNotThisOnes(t *testing.T) {
	t.Parallel()
	inner := activity.Func("Inner", func(context.Context, int) (int, error) { return 0, errors.New("x") },
		activity.FuncOptions[int, int]{Retry: atOnce()})
	Each(t, func(t *testing.T, e Engine) {
		for name, wrap := range map[string]func(error) error{
			"as it is": func(err error) error { return err },
			"wrapped":  func(err error) error { return fmt.Errorf("inner: %w", err) },
			"joined":   func(err error) error { return errors.Join(errors.New("y"), err) },
			"from a server": func(err error) error {
				failures := temporal.GetDefaultFailureConverter()
				return failures.FailureToError(failures.ErrorToFailure(temporal.NewApplicationErrorWithCause("x", "T", failure.OfStop(&retrypolicy.StopError{Stop: retrypolicy.StopBudget}, err))))
			},
		} {
			impl := &Scripted{Body: func(ctx context.Context, _ int, _ string) (string, error) {
				_, err := inner.Inline().Call(ctx, 1)
				return "", wrap(err)
			}}
			d, do := Define(t, e, retrypolicy.Policy{NumRetries: 1})
			_, err := Run(t, e, d, do, impl, "")
			require.Error(t, err)
			stop, _ := retrypolicy.StopOf(err)
			assert.Equal(t, retrypolicy.StopSpent, stop.Stop, "%s: this call has made all its retries: %v", name, err)
			assert.EqualValues(t, 2, impl.Started.Load())
		}
	})
}
