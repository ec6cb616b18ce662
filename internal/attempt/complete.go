package attempt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/retrypolicy"
)

// ErrNoTicket is returned where no engine runs the method.
var ErrNoTicket = errors.New("no ticket: the method does not run as an activity under a policy")

// ticket is what somebody else needs to complete an attempt.
type ticket struct {
	Version int             `json:"v"`
	Method  string          `json:"method"`
	Token   []byte          `json:"token"`
	Attempt int             `json:"attempt"`
	CallEnd time.Time       `json:"call_end,omitzero"`
	Journal json.RawMessage `json:"journal"`
	// Details are the method's own heartbeat details, which the journal's record
	// would replace.
	Details [][]byte `json:"details,omitempty"`
	// Call are the caller's numbers, which decide here too.
	Call *numbers `json:"call,omitempty"`
}

type executionKey struct{}

// Ticket makes a ticket for the running attempt.
func Ticket(ctx context.Context) ([]byte, error) {
	e, ok := ctx.Value(executionKey{}).(*execution)
	if !ok || e.info.IsLocalActivity {
		return nil, ErrNoTicket
	}
	call := e.spec.numbers()
	t := ticket{Version: wire.Version, Method: e.spec.Method, Token: e.info.TaskToken, CallEnd: e.call, Call: &call}
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

// details are the heartbeat details of a call that goes on with j.
func (t *ticket) details(j *Journal) ([]any, error) {
	var details []any
	for _, data := range t.Details {
		p := &commonpb.Payload{}
		if err := p.Unmarshal(data); err != nil {
			return nil, err
		}
		details = append(details, converter.NewRawValue(p))
	}
	p, err := wire.Seal(wire.Journal, j.document())
	if err != nil {
		return nil, err
	}
	return append(details, converter.NewRawValue(p)), nil
}

// Complete judges the outcome of an attempt whose method returned
// ErrResultPending, as the engine would have, and reports the decision: the
// result, the call's end, or a retry.
func (s *Spec) Complete(ctx context.Context, c client.Client, encoded []byte, out any, err error) error {
	var t ticket
	if jsonErr := json.Unmarshal(encoded, &t); jsonErr != nil {
		return fmt.Errorf("%s: ticket: it is none of activity.Ticket: %w", s.Method, jsonErr)
	}
	if t.Version != wire.Version {
		return fmt.Errorf("%s: ticket: format %d is not known here, %d is; upgrade", s.Method, t.Version, wire.Version)
	}
	if t.Method != s.Method {
		return fmt.Errorf("%s: ticket: it is one of %s", s.Method, t.Method)
	}
	if t.Call != nil {
		merged, mergeErr := s.withNumbers(*t.Call)
		if mergeErr != nil {
			return fmt.Errorf("%s: ticket: %w", s.Method, mergeErr)
		}
		s = merged
	}
	var d document
	if jsonErr := json.Unmarshal(t.Journal, &d); jsonErr != nil {
		return fmt.Errorf("%s: ticket: %w", s.Method, jsonErr)
	}
	j := d.journal()
	clock := Clock{}.WithDefaults()
	call := past{outcomes: j.earlier()}
	if !j.FirstStart.IsZero() {
		call.elapsed = clock.Now().Sub(j.FirstStart)
	}
	a := retrypolicy.Attempt{Number: t.Attempt, Method: s.Method, Call: call}
	decision := s.Judge(j, out, err, a, &clock, Room{Server: true, Call: t.CallEnd}, encodeForWire)
	logProblem(ctx, "A retry filter panicked; it counts as no.", s.Method, decision.Problem)
	if decision.Action == WaitServer {
		details, err := t.details(j)
		if err != nil {
			return fmt.Errorf("%s: ticket: %w", s.Method, err)
		}
		switch err := c.RecordActivityHeartbeat(ctx, t.Token, details...); {
		case temporal.IsCanceledError(err): // nobody waits for another attempt
			decision.Action = End
			decision = s.end(j, decision, retrypolicy.StopCanceled, "")
		case err != nil && !isVerdict(err):
			return err
		}
	}
	switch decision.Action {
	case Accept:
		err = c.CompleteActivity(ctx, t.Token, out, nil)
	case End:
		err = c.CompleteActivity(ctx, t.Token, nil, final(decision.Err))
	default:
		err = c.CompleteActivity(ctx, t.Token, nil, handBack(decision.Err, decision.Delay))
	}
	if err != nil {
		return err
	}
	logProblem(ctx, "An observer of attempts panicked.", s.Method, notify(ctx, s.Observers, decision.event(a)))
	return nil
}
