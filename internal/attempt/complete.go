package attempt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/internal/converters"
	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/retrypolicy"
)

// ErrNoTicket is returned where no engine runs the method.
var ErrNoTicket = errors.New("no ticket: the method does not run as an activity under a policy")

// ticket is what somebody else needs to complete an attempt.
type ticket struct {
	Version  int             `json:"v"`
	Method   string          `json:"method"`
	Token    []byte          `json:"token"`
	Attempt  int             `json:"attempt"`
	CallEnd  time.Time       `json:"call_end,omitzero"`
	Journal  json.RawMessage `json:"journal"`
	Activity activityName    `json:"activity,omitzero"`
	// Details are the method's own heartbeat details, which the journal's record
	// would replace.
	Details [][]byte `json:"details,omitempty"`
	// Call are the caller's numbers, which decide here too.
	Call *numbers `json:"call,omitempty"`
}

// activityName is what converters are told of the activity.
type activityName struct {
	Namespace    string                               `json:"namespace,omitempty"`
	WorkflowID   string                               `json:"workflow_id,omitempty"`
	WorkflowType string                               `json:"workflow_type,omitempty"`
	ActivityID   string                               `json:"activity_id,omitempty"`
	TaskQueue    string                               `json:"task_queue,omitempty"`
	Nexus        *converter.NexusSerializationContext `json:"nexus,omitempty"`
}

type executionKey struct{}

// Ticket makes a ticket for the running attempt.
func Ticket(ctx context.Context) ([]byte, error) {
	e, _ := ctx.Value(executionKey{}).(*execution)
	if e == nil || e.info.IsLocalActivity {
		return nil, ErrNoTicket
	}
	call := e.spec.numbers()
	t := ticket{
		Version: wire.Version, Method: e.spec.Method, Token: e.info.TaskToken, CallEnd: e.call, Call: &call,
		Activity: activityName{
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
	if t.Journal, err = json.Marshal(h.journal.document()); err != nil {
		return nil, fmt.Errorf("ticket: %w", err)
	}
	return json.Marshal(t)
}

// infoOf returns the activity of a ticket as requests need it.
func infoOf(t *ticket) *activity.Info {
	return &activity.Info{
		TaskToken: t.Token, Namespace: t.Activity.Namespace, ActivityID: t.Activity.ActivityID,
		WorkflowExecution: workflow.Execution{ID: t.Activity.WorkflowID},
		WorkflowType:      &workflow.Type{Name: t.Activity.WorkflowType},
		ActivityType:      activity.Type{Name: t.Method}, TaskQueue: t.Activity.TaskQueue,
		NexusSerializationContext: t.Activity.Nexus,
	}
}

// userDetails returns the method's own heartbeat details.
func userDetails(t *ticket) ([]*commonpb.Payload, error) {
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
func readTicket(s *Spec, encoded []byte) (*ticket, *Spec, error) {
	var t ticket
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
	merged, err := s.withNumbers(*t.Call)
	return &t, merged, err
}

// Complete judges the outcome of an attempt whose method returned
// ErrResultPending, as the engine would have, and reports the decision: the
// result, the call's end, or a retry.
func Complete(ctx context.Context, s *Spec, c client.Client, encoded []byte, out any, err error) error {
	t, merged, problem := readTicket(s, encoded)
	if problem != nil {
		return fmt.Errorf("%s: ticket: %w", s.Method, problem)
	}
	s = merged
	var d document
	if problem := json.Unmarshal(t.Journal, &d); problem != nil {
		return fmt.Errorf("%s: ticket: %w", s.Method, problem)
	}
	user, problem := userDetails(t)
	if problem != nil {
		return fmt.Errorf("%s: ticket: %w", s.Method, problem)
	}
	server := newRequests(ctx, c, converters.OfClient(c), infoOf(t), new(atomic.Int64))
	results := converters.Plain(server.data)
	j := journalOf(d, results)
	clock := Clock{}.WithDefaults()
	call := past{outcomes: j.earlier()}
	if !j.FirstStart.IsZero() {
		call.elapsed = clock.Now().Sub(j.FirstStart)
	}
	a := retrypolicy.Attempt{Number: t.Attempt, Method: s.Method, Past: call}
	decision := s.Judge(j, out, err, a, &clock, Room{Server: true, Call: t.CallEnd}, func(v any) retrypolicy.Value { return wire.EncodeBy(results, v) })
	logProblem(ctx, "A retry filter panicked; it counts as no.", s.Method, decision.Problem)
	if problem := report(ctx, s, c, &server, user, j, &decision, out); problem != nil {
		return problem
	}
	logProblem(ctx, "An observer of attempts panicked.", s.Method, notify(ctx, s.Observers, decision.event(a)))
	return nil
}

// report sends a decision about somebody else's outcome.
func report(ctx context.Context, s *Spec, c client.Client, server *requests, user []*commonpb.Payload, j *Journal, d *Decision, out any) error {
	if d.Action == WaitServer {
		details, err := server.details(ctx, user, *j)
		if err != nil {
			return err
		}
		switch err := server.heartbeat(ctx, details); {
		case temporal.IsCanceledError(err): // nobody waits for another attempt
			d.Action = End
			*d = s.end(j, *d, retrypolicy.StopCanceled, "")
		case err != nil && !isVerdict(err), isGone(err):
			return err
		default:
			failure, err := server.encodedFailure(handBack(d.Err, d.Delay))
			if err != nil {
				return err
			}
			return server.fail(ctx, failure, details)
		}
	}
	o := client.CompleteActivityOptions{TaskToken: server.info.TaskToken}
	o.Namespace, o.WorkflowID, o.WorkflowType = server.info.Namespace, server.info.WorkflowExecution.ID, server.info.WorkflowType.Name
	o.ActivityType, o.TaskQueue, o.NexusSerializationContext = server.info.ActivityType.Name, server.info.TaskQueue, server.info.NexusSerializationContext
	if d.Action == Accept {
		o.Result = out
	} else {
		o.Err = final(d.Err, nil)
	}
	return c.CompleteActivityWithOptions(ctx, o)
}
