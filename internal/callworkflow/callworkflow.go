// Package callworkflow is the small workflow that runs one submitted call on
// servers without standalone activities. Package activity starts it, package
// worker's plugin registers it.
package callworkflow

import (
	"errors"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/internal/activityhost"
	"github.com/concurry-go/concurry/internal/failure"
	"github.com/concurry-go/concurry/internal/wire"
)

const (
	// WorkflowType is the name under which every worker with the plugin that
	// runs workflows knows Workflow.
	WorkflowType = "concurry.Call"

	// Slack is how much longer than the call the workflow may run: enough for
	// the last workflow task to move off a worker that is gone, which takes
	// the sticky queue's 5 seconds.
	Slack = 10 * time.Second

	// MaxArgs is how many arguments a method can have.
	MaxArgs = 3

	kind wire.Kind = "submit"
)

// Request is what RunSubmittedCall runs, beside the arguments.
type Request struct {
	ActivityType string        `json:"activity_type"`
	Args         int           `json:"args"`
	CallTimeout  time.Duration `json:"call_timeout_ns,omitempty"`
	StartToClose time.Duration `json:"start_to_close_ns,omitempty"`
	Heartbeat    time.Duration `json:"heartbeat_ns,omitempty"`
	Retry        *Retry        `json:"retry,omitempty"`
	Summary      string        `json:"summary,omitempty"`
}

// Retry is temporal.RetryPolicy on the wire.
type Retry struct {
	InitialInterval        time.Duration `json:"initial_interval_ns,omitempty"`
	BackoffCoefficient     float64       `json:"backoff_coefficient,omitempty"`
	MaximumInterval        time.Duration `json:"maximum_interval_ns,omitempty"`
	MaximumAttempts        int32         `json:"maximum_attempts,omitempty"`
	NonRetryableErrorTypes []string      `json:"non_retryable_error_types,omitempty"`
}

// FromPolicy is the wire form of p, which may be nil.
func FromPolicy(p *temporal.RetryPolicy) *Retry {
	if p == nil {
		return nil
	}
	r := Retry(*p)
	return &r
}

// Input is the workflow's input. The request and the header are raw values,
// so that the user's codec applies to them and their converters do not.
func Input(r Request, header *commonpb.Payload, args []any) ([]any, error) {
	r.Args = len(args)
	p, err := wire.Seal(kind, r)
	if err != nil {
		return nil, err
	}
	return append([]any{converter.NewRawValue(p), converter.NewRawValue(header)}, args...), nil
}

// RunSubmittedCall is the workflow: it runs one activity and ends as it does,
// with its result, byte for byte, or with its *temporal.ActivityError. Its
// parameters are Input's; those that are not there are zero.
//
// A worker takes any function of this name, whatever its package, for this
// workflow; hence no shorter name.
func RunSubmittedCall(ctx workflow.Context, request, header, a, b, c converter.RawValue) (any, error) {
	var r Request
	if err := wire.Open(kind, request.Payload(), &r); err != nil {
		return nil, temporal.NewNonRetryableApplicationError(err.Error(), "BadRequest", nil)
	}
	args := make([]any, 0, MaxArgs)
	for _, raw := range []converter.RawValue{a, b, c} {
		if len(args) < r.Args {
			args = append(args, raw)
		}
	}
	options := workflow.ActivityOptions{
		ScheduleToCloseTimeout: r.CallTimeout,
		StartToCloseTimeout:    r.StartToClose,
		HeartbeatTimeout:       r.Heartbeat,
		WaitForCancellation:    true,
		Summary:                r.Summary,
	}
	if r.CallTimeout > 0 { // the call began when it was submitted
		waited := workflow.Now(ctx).Sub(workflow.GetInfo(ctx).WorkflowStartTime)
		options.ScheduleToCloseTimeout = max(r.CallTimeout-waited, time.Millisecond)
	}
	if r.Retry != nil {
		p := temporal.RetryPolicy(*r.Retry)
		options.RetryPolicy = &p
	}
	ctx = activityhost.WithHeader(workflow.WithActivityOptions(ctx, options), activityhost.NewCallerHeader(header.Payload()))
	var result converter.RawValue
	if err := workflow.ExecuteActivity(ctx, r.ActivityType, args...).Get(ctx, &result); err != nil {
		return nil, failing(err)
	}
	if result.Payload() == nil {
		return nil, nil //nolint:nilnil // the activity returned no value either
	}
	return result, nil
}

// failing is err such that the workflow fails with it: the SDK ends a workflow
// as canceled when there is a cancellation anywhere in the chain of its error,
// also as a mere cause of the method's own failure. That cause is left out.
func failing(err error) error {
	app, ok := errors.Unwrap(err).(*temporal.ApplicationError) //nolint:errorlint // what the activity ended with, and no deeper
	if !ok || !temporal.IsCanceledError(app) {
		return err
	}
	return temporal.NewApplicationErrorWithOptions(app.Message(), app.Type(), temporal.ApplicationErrorOptions{
		NonRetryable: app.NonRetryable(), Category: app.Category(), Details: failure.DetailsOf(app),
	})
}
