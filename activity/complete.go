package activity

import (
	"context"
	"fmt"

	"go.temporal.io/sdk/client"

	"github.com/concurry-go/concurry/internal/activityhost"
)

// ErrNoTicket is returned by Ticket where no engine runs the method: in
// process, as a local activity, or without any policy.
var ErrNoTicket = activityhost.ErrNoTicket

// Ticket returns what somebody else needs to complete the running attempt, in this
// process or another: give it to them, and return ErrResultPending. They call
// [Handle.Complete] or [Handle.Fail] of the method's handle.
//
// A ticket contains the call's refused results and the method's heartbeat details.
// Protect it as you protect those.
//
// Nobody heartbeats meanwhile, so such methods want NoHeartbeat, and an
// AttemptTimeout that covers the time until Complete.
func Ticket(ctx context.Context) ([]byte, error) { return activityhost.Ticket(ctx) }

// Complete ends an attempt whose method returned ErrResultPending, with a result.
// The method's policy judges it, with the call's own numbers, as if the method had
// returned it: accepted, retried, or the call's end. Filters see no arguments, a
// Budget is this process's, and only the definition's observers are called, in this
// process: those of worker.Observe, and the metrics, belong to their worker. An
// error means that the result was not delivered, for instance because the attempt
// has timed out.
func (h Handle[In, Out]) Complete(ctx context.Context, c client.Client, ticket []byte, out Out) error {
	return activityhost.Complete(ctx, &h.m.spec, c, ticket, out, nil)
}

// Fail ends an attempt whose method returned ErrResultPending, with an error. It is
// judged as that of [Handle.Complete] is. A nil cause is an error of Fail.
func (h Handle[In, Out]) Fail(ctx context.Context, c client.Client, ticket []byte, cause error) error {
	if cause == nil {
		return fmt.Errorf("%s: Fail: the cause is nil: it must be an error; use Complete for a result", h.m.activityType)
	}
	return activityhost.Complete(ctx, &h.m.spec, c, ticket, nil, cause)
}
