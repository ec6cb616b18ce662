package attempt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

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
	e.heart.mu.Lock()
	journal, err := json.Marshal(e.heart.journal.document())
	attempt := e.heart.journal.Running
	e.heart.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("ticket: %w", err)
	}
	call := e.spec.numbers()
	return json.Marshal(ticket{
		Version: wire.Version, Method: e.spec.Method, Token: e.info.TaskToken,
		Attempt: attempt, CallEnd: e.call, Journal: journal, Call: &call,
	})
}

// completed is the call of an attempt that somebody else completes.
type completed struct {
	journal *Journal
	clock   *Clock
}

func (c completed) Elapsed() time.Duration {
	if c.journal.FirstStart.IsZero() {
		return 0
	}
	return c.clock.Now().Sub(c.journal.FirstStart)
}
func (c completed) Args() []any                     { return nil }
func (c completed) Previous() []retrypolicy.Outcome { return c.journal.earlier() }

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
	a := retrypolicy.Attempt{Number: t.Attempt, Method: s.Method, Call: completed{j, &clock}}
	decision := s.Judge(j, out, err, a, &clock, Room{Server: true, Call: t.CallEnd}, encodeForWire)
	logProblem(ctx, "A retry filter panicked; it counts as no.", s.Method, decision.Problem)
	logProblem(ctx, "An observer of attempts panicked.", s.Method, notify(ctx, s.Observers, decision.event(a)))
	switch decision.Action {
	case Accept:
		return c.CompleteActivity(ctx, t.Token, out, nil)
	case End:
		return c.CompleteActivity(ctx, t.Token, nil, final(decision.Err))
	default:
		p, err := wire.Seal(wire.Journal, j.document())
		if err != nil {
			return err
		}
		if err := c.RecordActivityHeartbeat(ctx, t.Token, converter.NewRawValue(p)); err != nil && !isVerdict(err) {
			return err
		}
		return c.CompleteActivity(ctx, t.Token, nil, handBack(decision.Err, decision.Delay))
	}
}
