package onserver_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/validation"
	"github.com/concurry-go/concurry/worker"
)

// pending starts a call whose method leaves every result to somebody else,
// who gets the tickets.
func pending(t *testing.T, retries int, validators ...validation.Validator[string]) (*ScriptedHandle, *Scripted, *activity.Call[string], chan []byte) {
	t.Helper()
	return pendingFor(t, activity.Options{Retry: retrypolicy.Policy{NumRetries: retries}}, activity.CallOptions{}, validators...)
}

// pendingWith is pending with one retry, for a caller with options.
func pendingWith(t *testing.T, o activity.CallOptions, observers ...retrypolicy.Observer) (*ScriptedHandle, *Scripted, *activity.Call[string], chan []byte) {
	t.Helper()
	return pendingFor(t, activity.Options{Retry: retrypolicy.Policy{NumRetries: 1}, Observers: observers}, o)
}

func pendingFor(t *testing.T, o activity.Options, caller activity.CallOptions, validators ...validation.Validator[string]) (*ScriptedHandle, *Scripted, *activity.Call[string], chan []byte) {
	t.Helper()
	queue := Queue(t)
	tickets := make(chan []byte, 10)
	impl := &Scripted{Body: func(ctx context.Context, _ int, _ string) (string, error) {
		ticket, err := activity.Ticket(ctx)
		if err != nil {
			return "", err
		}
		tickets <- ticket
		return "", activity.ErrResultPending
	}}
	o.Retry.Wait, o.AttemptTimeout, o.HeartbeatTimeout = time.Millisecond, time.Minute, activity.NoHeartbeat
	d, do := ScriptedWith(o, validators...)
	Start(t, Client(t), queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	caller.TaskQueue = queue
	call, err := do.With(caller).Submit(t.Context(), testsuite.Client(t), "")
	require.NoError(t, err)
	return do, impl, call, tickets
}

func TestCompletedResultIsJudgedAndRetried(t *testing.T) {
	t.Parallel()
	var attempts []string
	do, impl, call, tickets := pending(t, 3, func(s string, a retrypolicy.Attempt) error {
		attempts = append(attempts, fmt.Sprint(a.Number, len(a.Previous())))
		if s != "good" {
			return fmt.Errorf("%s is not good", s)
		}
		return nil
	})
	c := Client(t)
	require.NoError(t, do.Complete(t.Context(), c, Next(t, tickets), "bad"))
	require.NoError(t, do.Fail(t.Context(), c, Next(t, tickets), errors.New("service away")))
	require.NoError(t, do.Complete(t.Context(), c, Next(t, tickets), "good"))
	out, err := call.Get(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "good", out)
	assert.EqualValues(t, 3, impl.Started.Load())
	assert.Equal(t, []string{"1 0", "3 2"}, attempts)
}

func TestCompletedResultsExhaustTheBudget(t *testing.T) {
	t.Parallel()
	do, impl, call, tickets := pending(t, 1, validation.AcceptIf("never good", func(string) bool { return false }))
	c := Client(t)
	require.NoError(t, do.Complete(t.Context(), c, Next(t, tickets), "first"))
	require.NoError(t, do.Complete(t.Context(), c, Next(t, tickets), "second"))
	_, err := call.Get(t.Context())
	var rve *validation.RetryValidationError
	require.True(t, validation.As(err, &rve), "%v", err)
	all, err := validation.Results[string](rve)
	require.NoError(t, err)
	assert.Equal(t, []string{"first", "second"}, all)
	assert.EqualValues(t, 2, impl.Started.Load())
}

func TestBadTicketIsNamed(t *testing.T) {
	t.Parallel()
	do, _, call, tickets := pending(t, 1)
	_ = call
	c := Client(t)
	require.ErrorContains(t, do.Complete(t.Context(), c, []byte("x"), ""), "Scripted.Do: ticket: ")
	require.ErrorContains(t, do.Complete(t.Context(), c, []byte(`{"v":9}`), ""), "Scripted.Do: ticket: format 9 is not known here")
	require.ErrorContains(t, do.Complete(t.Context(), c, []byte(`{"v":1,"method":"Other"}`), ""), "Scripted.Do: ticket: it is one of Other")
	_, err := activity.Ticket(t.Context())
	require.ErrorIs(t, err, activity.ErrNoTicket)
	require.NoError(t, do.Complete(t.Context(), c, Next(t, tickets), "done"))
}

func TestCompletedAttemptIsJudgedByTheCallersNumbers(t *testing.T) {
	t.Parallel()
	for _, retries := range []int{3, 0} {
		t.Run(strconv.Itoa(retries), func(t *testing.T) {
			t.Parallel()
			do, impl, call, tickets := pendingWith(t, activity.CallOptions{NumRetries: &retries})
			c := Client(t)
			for range retries + 1 {
				require.NoError(t, do.Fail(t.Context(), c, Next(t, tickets), temporal.NewApplicationError("no disk", "DiskError", 7)))
			}
			_, err := call.Get(t.Context())
			var app *temporal.ApplicationError
			require.ErrorAs(t, err, &app)
			assert.Equal(t, "DiskError", app.Type(), "%v", err)
			assert.EqualValues(t, retries+1, impl.Started.Load())
		})
	}
}

func TestCompleteKeepsTheMethodsHeartbeatDetails(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	tickets := make(chan []byte, 1)
	impl := &Scripted{Body: func(ctx context.Context, n int, _ string) (string, error) {
		if n == 2 {
			page := ""
			err := activity.GetHeartbeatDetails(ctx, &page)
			return page, err
		}
		activity.RecordHeartbeat(ctx, "page 7")
		ticket, err := activity.Ticket(ctx)
		if err != nil {
			return "", err
		}
		tickets <- ticket
		return "", activity.ErrResultPending
	}}
	d, do := ScriptedWith(activity.Options{
		Retry: retrypolicy.Policy{NumRetries: 1, Wait: time.Millisecond}, AttemptTimeout: time.Minute, HeartbeatTimeout: activity.NoHeartbeat,
	})
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	call := Submit(t, c, do, queue, "")
	require.NoError(t, do.Fail(t.Context(), c, Next(t, tickets), errors.New("away")))
	out, err := call.Get(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "page 7", out)
}

func TestCompletedFailureOfACanceledCallIsItsOwnError(t *testing.T) {
	t.Parallel()
	var seen Events
	do, _, call, tickets := pendingWith(t, activity.CallOptions{}, seen.Observe)
	c := Client(t)
	ticket := Next(t, tickets)
	require.NoError(t, call.Cancel(t.Context(), "enough"))
	require.Eventually(t, func() bool {
		d, err := call.Describe(t.Context())
		return err == nil && d.State == activity.CallCanceling
	}, Timeout, 10*time.Millisecond)
	require.NoError(t, do.Fail(t.Context(), c, ticket, temporal.NewApplicationError("no disk", "DiskError", 7)))
	_, err := call.Get(t.Context())
	var app *temporal.ApplicationError
	require.ErrorAs(t, err, &app)
	assert.Equal(t, "DiskError", app.Type())
	assert.True(t, app.HasDetails())
	assert.Equal(t, temporal.ApplicationErrorCategoryUnspecified, app.Category(), "not a benign one")
	assert.Equal(t, []string{"Scripted.Do 1 failed: give up, canceled (no disk (type: DiskError, retryable: true))"}, seen.Told())
}

func TestCompletionThatIsNotDeliveredIsNotTold(t *testing.T) {
	t.Parallel()
	var seen Events
	do, _, call, tickets := pendingWith(t, activity.CallOptions{}, seen.Observe)
	c := Client(t)
	ticket := Next(t, tickets)
	require.NoError(t, do.Fail(t.Context(), c, ticket, errors.New("away")))
	require.Error(t, do.Complete(t.Context(), c, ticket, "too late"))
	require.NoError(t, do.Complete(t.Context(), c, Next(t, tickets), "done"))
	_, err := call.Get(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{"Scripted.Do 1 failed: retry (away)", "Scripted.Do 2 accepted: accept"}, seen.Told())
}
