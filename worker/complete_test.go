package worker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
	"github.com/concurry-go/concurry/worker"
)

// pending starts a call whose method leaves every result to somebody else,
// who gets the tickets.
func pending(t *testing.T, retries int, validators ...validation.Validator[string]) (*scriptedHandle, *scripted, *activity.Call[string], chan []byte) {
	t.Helper()
	queue, c := Queue(t), Client(t)
	tickets := make(chan []byte, 10)
	impl := &scripted{body: func(ctx context.Context, _ int, _ string) (string, error) {
		ticket, err := activity.Ticket(ctx)
		if err != nil {
			return "", err
		}
		tickets <- ticket
		return "", activity.ErrResultPending
	}}
	d := activity.Define[*scripted]("Scripted", activity.Options{
		Retry:          retrypolicy.Policy{NumRetries: retries, Wait: time.Millisecond},
		AttemptTimeout: time.Minute, HeartbeatTimeout: activity.NoHeartbeat,
	})
	do := activity.Method(d, "Do", (*scripted).Do, activity.MethodOptions[string, string]{RetryUntil: validators})
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	return do, impl, submit(t, c, do, queue, ""), tickets
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
	require.NoError(t, do.Complete(t.Context(), c, <-tickets, "bad", nil))
	require.NoError(t, do.Complete(t.Context(), c, <-tickets, "", errors.New("service away")))
	require.NoError(t, do.Complete(t.Context(), c, <-tickets, "good", nil))
	out, err := call.Get(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "good", out)
	assert.EqualValues(t, 3, impl.started.Load())
	assert.Equal(t, []string{"1 0", "3 2"}, attempts)
}

func TestCompletedResultsExhaustTheBudget(t *testing.T) {
	t.Parallel()
	do, impl, call, tickets := pending(t, 1, validation.Check("never good", func(string) bool { return false }))
	c := Client(t)
	require.NoError(t, do.Complete(t.Context(), c, <-tickets, "first", nil))
	require.NoError(t, do.Complete(t.Context(), c, <-tickets, "second", nil))
	_, err := call.Get(t.Context())
	var rve *validation.RetryValidationError
	require.True(t, validation.As(err, &rve), "%v", err)
	all, err := validation.Results[string](rve)
	require.NoError(t, err)
	assert.Equal(t, []string{"first", "second"}, all)
	assert.EqualValues(t, 2, impl.started.Load())
}

func TestBadTicketIsNamed(t *testing.T) {
	t.Parallel()
	do, _, call, tickets := pending(t, 1)
	_ = call
	c := Client(t)
	require.ErrorContains(t, do.Complete(t.Context(), c, []byte("x"), "", nil), "Scripted.Do: ticket: ")
	require.ErrorContains(t, do.Complete(t.Context(), c, []byte(`{"v":9}`), "", nil), "Scripted.Do: ticket: format 9 is not known here")
	require.ErrorContains(t, do.Complete(t.Context(), c, []byte(`{"v":1,"method":"Other"}`), "", nil), "Scripted.Do: ticket: it is one of Other")
	_, err := activity.Ticket(t.Context())
	require.ErrorIs(t, err, activity.ErrNoTicket)
	require.NoError(t, do.Complete(t.Context(), c, <-tickets, "done", nil))
}
