package activity

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/concurry-go/concurry/internal/attempt"
	"github.com/concurry-go/concurry/retrypolicy"
)

// ErrStandaloneUnsupported is returned by Submit when the server cannot run
// activities without a workflow: it is older than 1.32, or has the dynamic
// configuration activity.enableStandalone off.
var ErrStandaloneUnsupported = errors.New("this Temporal server does not run standalone activities (needs server 1.32, or activity.enableStandalone)")

// Submit starts the method as a standalone activity, from any program. It
// returns once the server has it; the call then goes on without this process.
// The definition, or With, must name the task queue.
//
// The client should have been made with concurry's plugin: without it the
// numbers of the worker's definition count, not this program's.
func (h Handle[In, Out]) Submit(ctx context.Context, c client.Client, in In) (*Call[Out], error) {
	p, err := h.plan()
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, fmt.Errorf("%s: Submit: the client is nil", p.activityType)
	}
	if p.taskQueue == "" {
		return nil, named(p.activityType, &retrypolicy.FieldError{Field: "TaskQueue", Value: "", Allowed: "Submit needs one: set Options.TaskQueue or CallOptions.TaskQueue"})
	}
	id := h.call.ID
	if id == "" {
		id = p.activityType + "-" + rand.Text()
	}
	handle, err := c.ExecuteActivity(attempt.WithClientHeader(ctx, p.header), client.StartActivityOptions{
		ID:                     id,
		TaskQueue:              p.taskQueue,
		ScheduleToCloseTimeout: p.options.CallTimeout,
		StartToCloseTimeout:    p.startToClose(),
		HeartbeatTimeout:       p.heartbeat(),
		RetryPolicy:            p.retryPolicy(),
		Summary:                h.call.Summary,
	}, p.activityType, pack(in)...)
	if err != nil {
		if _, ok := errors.AsType[*serviceerror.Unimplemented](err); ok {
			err = fmt.Errorf("%w: %w", ErrStandaloneUnsupported, err)
		}
		return nil, fmt.Errorf("%s: Submit: %w", p.activityType, err)
	}
	return &Call[Out]{handle: handle}, nil
}

// Call is a submitted call. Safe for concurrent use.
type Call[Out any] struct {
	handle client.ActivityHandle
}

// ID is the activity's ID.
func (c *Call[Out]) ID() string { return c.handle.GetID() }

// RunID tells runs of one ID apart.
func (c *Call[Out]) RunID() string { return c.handle.GetRunID() }

// Get waits for the result. When ctx ends first it returns, and the call goes
// on. Errors are what the method returned, as a *temporal.ApplicationError;
// validation.As finds a RetryValidationError.
func (c *Call[Out]) Get(ctx context.Context) (Out, error) {
	var out Out
	err := c.handle.Get(ctx, &out)
	return out, err
}

// Cancel asks for the end of the call; reason is kept with it.
func (c *Call[Out]) Cancel(ctx context.Context, reason string) error {
	return c.handle.Cancel(ctx, client.CancelActivityOptions{Reason: reason})
}

// Handle is Temporal's own handle, for everything else.
func (c *Call[Out]) Handle() client.ActivityHandle { return c.handle }
