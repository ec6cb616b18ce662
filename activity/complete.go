package activity

import (
	"context"

	"go.temporal.io/sdk/client"

	"github.com/concurry-go/concurry/internal/attempt"
)

// ErrNoTicket is returned by Ticket where no engine runs the method: in
// process, as a local activity, or without any policy.
var ErrNoTicket = attempt.ErrNoTicket

// Ticket is what somebody else needs to complete the running attempt, in this
// process or another: give it to them, and return ErrResultPending. They call
// Complete of the method's handle.
//
// It carries what the call has left so far: refused results, and the method's
// heartbeat details. Treat it as those.
//
// Nobody heartbeats meanwhile, so such methods want NoHeartbeat, and an
// AttemptTimeout that covers the time until Complete.
func Ticket(ctx context.Context) ([]byte, error) { return attempt.Ticket(ctx) }

// Complete ends an attempt whose method returned ErrResultPending, with a
// result, or with cause if that is not nil. It is judged by the method's
// policy, with the call's own numbers, as if the method had returned it:
// accepted, retried, or the call's end. Filters see no arguments, a Budget is
// this process's, and only the definition's observers are told, here: those of
// worker.Observe, and the metrics, know what happens on their worker. An error
// means that it was not delivered, for instance since the attempt has timed out.
func (h Handle[In, Out]) Complete(ctx context.Context, c client.Client, ticket []byte, out Out, cause error) error {
	return h.m.spec.Complete(ctx, c, ticket, out, cause)
}
