package activityhost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/internal/converters"
	"github.com/concurry-go/concurry/internal/engine"
	"github.com/concurry-go/concurry/internal/failure"
	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/retrypolicy"
)

// ErrNoTicket is returned where no engine runs the method.
var ErrNoTicket = errors.New("no ticket: the method does not run as an activity under a policy")

// Ticket makes a ticket for the running attempt.
func Ticket(ctx context.Context) ([]byte, error) {
	e, _ := ctx.Value(engine.DriverKey{}).(*execution)
	if e == nil || e.info.IsLocalActivity {
		return nil, ErrNoTicket
	}
	call := e.spec.Numbers()
	t := wire.Ticket{
		Version: wire.Version, Method: e.spec.Method, Token: e.info.TaskToken, CallEnd: e.call, Call: &call,
		Activity: wire.ActivityName{
			Namespace: e.info.Namespace, WorkflowID: e.info.WorkflowExecution.ID, ActivityID: e.info.ActivityID,
			TaskQueue: e.info.TaskQueue, Nexus: e.info.NexusSerializationContext,
		},
	}
	if e.info.WorkflowType != nil {
		t.Activity.WorkflowType = e.info.WorkflowType.Name
	}
	h := &e.heart
	h.mu.Lock()
	defer h.mu.Unlock()
	t.Attempt = h.journal.Running
	for _, p := range h.user {
		data, err := p.Marshal()
		if err != nil {
			return nil, fmt.Errorf("ticket: %w", err)
		}
		t.Details = append(t.Details, data)
	}
	var err error
	if t.Journal, err = json.Marshal(h.journal.Document()); err != nil {
		return nil, fmt.Errorf("ticket: %w", err)
	}
	return json.Marshal(t)
}

// infoOf returns the activity of a ticket as requests need it.
func infoOf(t *wire.Ticket) *activity.Info {
	return &activity.Info{
		TaskToken: t.Token, Namespace: t.Activity.Namespace, ActivityID: t.Activity.ActivityID,
		WorkflowExecution: workflow.Execution{ID: t.Activity.WorkflowID},
		WorkflowType:      &workflow.Type{Name: t.Activity.WorkflowType},
		ActivityType:      activity.Type{Name: t.Method}, TaskQueue: t.Activity.TaskQueue,
		NexusSerializationContext: t.Activity.Nexus,
	}
}

// userDetails returns the method's own heartbeat details.
func userDetails(t *wire.Ticket) ([]*commonpb.Payload, error) {
	payloads := make([]*commonpb.Payload, len(t.Details))
	for i, data := range t.Details {
		payloads[i] = &commonpb.Payload{}
		if err := payloads[i].Unmarshal(data); err != nil {
			return nil, err
		}
	}
	return payloads, nil
}

// readTicket checks a ticket of a method, and returns it with the policy that the call
// has.
func readTicket(s *engine.Spec, encoded []byte) (*wire.Ticket, *engine.Spec, error) {
	var t wire.Ticket
	if err := json.Unmarshal(encoded, &t); err != nil {
		return nil, nil, fmt.Errorf("it is none of activity.Ticket: %w", err)
	}
	if t.Version != wire.Version {
		return nil, nil, fmt.Errorf("format %d is not known here, %d is; upgrade", t.Version, wire.Version)
	}
	if t.Method != s.Method {
		return nil, nil, fmt.Errorf("it is one of %s", t.Method)
	}
	if t.Call == nil {
		return &t, s, nil
	}
	merged, err := s.WithNumbers(*t.Call)
	return &t, merged, err
}

// Complete judges the outcome of an attempt whose method returned
// ErrResultPending, as the engine would have, and reports the decision: the
// result, the call's end, or a retry.
func Complete(ctx context.Context, s *engine.Spec, c client.Client, encoded []byte, out any, err error) error {
	t, merged, problem := readTicket(s, encoded)
	if problem != nil {
		return fmt.Errorf("%s: ticket: %w", s.Method, problem)
	}
	s = merged
	var d wire.JournalDocument
	if problem := wire.Read(wire.Journal, t.Journal, &d); problem != nil {
		return fmt.Errorf("%s: ticket: %w", s.Method, problem)
	}
	user, problem := userDetails(t)
	if problem != nil {
		return fmt.Errorf("%s: ticket: %w", s.Method, problem)
	}
	server := newRequests(ctx, c, converters.OfClient(c), infoOf(t), new(atomic.Int64))
	results := converters.Plain(server.data)
	j := engine.JournalOf(d, results)
	clock := engine.Clock{}.WithDefaults()
	call := engine.PastCall{Earlier: j.Earlier()}
	if !j.FirstStart.IsZero() {
		call.Took = clock.Now().Sub(j.FirstStart)
	}
	a := retrypolicy.Attempt{Number: t.Attempt, Method: s.Method, Past: call}
	decision := s.Judge(j, out, err, a, &clock, engine.Bounds{ServerWaits: true, CallUntil: t.CallEnd}, func(v any) retrypolicy.Value { return wire.EncodeBy(results, v) })
	engine.LogProblem(ctx, "A retry filter panicked; it counts as no.", s.Method, decision.Problem)
	if problem := report(ctx, s, c, &server, user, j, &decision, out); problem != nil {
		return problem
	}
	engine.LogProblem(ctx, "An observer of attempts panicked.", s.Method, engine.Notify(ctx, s.Observers, decision.Event(a)))
	return nil
}

// report sends a decision about somebody else's outcome.
func report(ctx context.Context, s *engine.Spec, c client.Client, server *requests, user []*commonpb.Payload, j *engine.Journal, d *engine.Decision, out any) error {
	if d.Action == engine.WaitServer {
		details, err := server.details(ctx, user, *j)
		if err != nil {
			return err
		}
		switch err := server.heartbeat(ctx, details); {
		case temporal.IsCanceledError(err): // nobody waits for another attempt
			d.Action = engine.End
			*d = s.End(j, *d, retrypolicy.StopCanceled, "")
		case err != nil && !isVerdict(err), isGone(err):
			return err
		default:
			failure, err := server.encodedFailure(failure.HandBack(d.Err, d.Delay))
			if err != nil {
				return err
			}
			return server.fail(ctx, failure, details)
		}
	}
	o := client.CompleteActivityOptions{TaskToken: server.info.TaskToken}
	o.Namespace, o.WorkflowID, o.WorkflowType = server.info.Namespace, server.info.WorkflowExecution.ID, server.info.WorkflowType.Name
	o.ActivityType, o.TaskQueue, o.NexusSerializationContext = server.info.ActivityType.Name, server.info.TaskQueue, server.info.NexusSerializationContext
	if d.Action == engine.Accept {
		o.Result = out
	} else {
		o.Err = failure.Final(d.Err, nil)
	}
	return c.CompleteActivityWithOptions(ctx, o)
}
