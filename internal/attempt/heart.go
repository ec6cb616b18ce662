package attempt

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/internal/wire"
)

const (
	// recordTimeout bounds one heartbeat request.
	recordTimeout = 10 * time.Second
	// userInterval throttles a method's own heartbeats where the activity has
	// no heartbeat timeout, as in the SDK.
	userInterval = 24 * time.Second
)

// heart is the one writer of an activity's heartbeats: automatic ones, the
// method's own and the journal's records. Details replace each other
// wholesale on the server, so all of them carry everything, and go out one
// after the other. The SDK's own writer buffers, and would put an old journal
// over a new one; it is used once, to let the SDK notice a cancellation.
type heart struct {
	out       interceptor.ActivityOutboundInterceptor
	token     []byte
	simulated bool // the SDK's test environment: no client there
	interval  time.Duration

	// sending serialises requests; taken before mu. It guards client and, from
	// the first request on, simulated.
	sending sync.Mutex
	client  client.Client // the one that simulated is known of

	mu        sync.Mutex
	journal   Journal
	user      []*commonpb.Payload // the method's latest details
	fromStart int                 // how many of them came with the activity task; -1 once replaced
	bodyRuns  bool
	userBeats bool // the method heartbeats itself, in this attempt
	pending   bool // user details not sent yet
	sentAt    time.Time
	closed    bool
	relayed   bool
	idle      bool // what was sent last says that no body runs
}

// record sends the journal, and everything else, and waits for the answer. An
// error means the server, or its absence, forbids to go on.
func (h *heart) record(ctx context.Context) error {
	h.sending.Lock()
	defer h.sending.Unlock()
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	details, err := h.details()
	h.pending = false
	h.sentAt = time.Now()
	h.idle = h.journal.Running == 0
	h.mu.Unlock()
	if err != nil {
		return err
	}
	c := h.out.GetClient(ctx)
	if !h.simulated && c != h.client {
		h.client, h.simulated = c, isMock(c)
	}
	if h.simulated {
		h.out.RecordHeartbeat(ctx, details...)
		return nil
	}
	// The activity's context may have ended already, which is when a last
	// record matters most.
	request, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	err = c.RecordActivityHeartbeat(request, h.token, details...)
	if isVerdict(err) {
		h.relay(ctx, details)
	}
	return err
}

// isMock tells the client that the SDK's test environments give to activities:
// it can do nothing but the heartbeats of the SDK's own writer.
func isMock(c client.Client) bool {
	return strings.Contains(fmt.Sprintf("%T", c.WorkflowService()), "mock")
}

// details are the user's own, then the journal, in its place: the last.
func (h *heart) details() ([]any, error) {
	details := make([]any, 0, len(h.user)+1)
	for _, p := range h.user {
		details = append(details, converter.NewRawValue(p))
	}
	p, err := wire.Seal(wire.Journal, h.journal.document())
	if err != nil {
		return nil, err
	}
	return append(details, converter.NewRawValue(p)), nil
}

// isVerdict tells answers after which this server attempt is over.
func isVerdict(err error) bool {
	if err == nil {
		return false
	}
	return temporal.IsCanceledError(err) || errors.Is(err, activity.ErrActivityPaused) ||
		errors.Is(err, activity.ErrActivityReset) || isGone(err)
}

// isGone tells that the server has given this server attempt up.
func isGone(err error) bool {
	_, ok := errors.AsType[*serviceerror.NotFound](err)
	return ok
}

// relay lets the SDK hear the verdict itself: only then does it end the
// activity's context with the right cause, and report a cancellation as one.
func (h *heart) relay(ctx context.Context, details []any) {
	h.mu.Lock()
	again := h.relayed
	h.relayed = true
	h.mu.Unlock()
	if !again {
		h.out.RecordHeartbeat(ctx, details...)
	}
}

// beat sends what is due: the method's pending details, or a sign of life
// unless the method gives its own.
func (h *heart) beat(ctx context.Context) {
	h.mu.Lock()
	due := !h.closed && (h.pending || !h.userBeats)
	h.mu.Unlock()
	if due {
		_ = h.record(ctx) // a verdict has been relayed; an outage shows in the next one
	}
}

// userHeartbeat is the method's RecordHeartbeat. The first goes out at once,
// later ones at most every interval.
func (h *heart) userHeartbeat(ctx context.Context, details []any) {
	payloads := make([]*commonpb.Payload, 0, len(details))
	for _, d := range details {
		// Encoded here and now, as the SDK does: the method may change d.
		p, err := converter.GetDefaultDataConverter().ToPayload(d)
		if err != nil {
			panic(err) // as the SDK does
		}
		payloads = append(payloads, p)
	}
	if len(details) == 1 && details[0] == nil {
		payloads = nil
	}
	h.mu.Lock()
	h.user, h.fromStart = payloads, -1
	h.pending = true
	if h.bodyRuns && ctx.Err() == nil { // else it is an observer, or what an earlier attempt left running
		h.userBeats = true
	}
	due := time.Since(h.sentAt) >= h.interval
	h.mu.Unlock()
	if due {
		h.beat(ctx)
	}
}

// bodyEnded brings the automatic heartbeats back: nobody else beats while
// validators run and waits are slept.
func (h *heart) bodyEnded() {
	h.mu.Lock()
	h.userBeats, h.bodyRuns = false, false
	h.mu.Unlock()
}

// close ends all heartbeats of the activity.
func (h *heart) close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
}

// open reads what earlier server attempts left: the user's details, and the
// journal behind them.
func (h *heart) open(ctx context.Context, attempt int32) error {
	var found *Journal
	if h.out.HasHeartbeatDetails(ctx) {
		payloads, err := rawDetails(ctx, h.out)
		if err != nil {
			return err
		}
		if n := len(payloads); n > 0 && wire.Is(wire.Journal, payloads[n-1]) {
			var d document
			if err := wire.Open(wire.Journal, payloads[n-1], &d); err != nil {
				return err
			}
			found, payloads = d.journal(), payloads[:n-1]
		}
		h.user, h.fromStart = payloads, len(payloads)
	}
	if found == nil && attempt <= 1 {
		h.journal.ServerAttempt = attempt // a new call allocates nothing
		return nil
	}
	h.journal = *Opened(found, attempt)
	return nil
}

// rawDetails returns heartbeat details undecoded, but through the codec.
func rawDetails(ctx context.Context, out interceptor.ActivityOutboundInterceptor) ([]*commonpb.Payload, error) {
	for room := 8; ; room *= 4 {
		raw, pointers := make([]converter.RawValue, room), make([]any, room)
		for i := range raw {
			pointers[i] = &raw[i]
		}
		if err := out.GetHeartbeatDetails(ctx, pointers...); err != nil {
			return nil, err
		}
		if raw[room-1].Payload() != nil && room < 1<<16 {
			continue
		}
		var payloads []*commonpb.Payload
		for _, r := range raw {
			if r.Payload() != nil {
				payloads = append(payloads, r.Payload())
			}
		}
		return payloads, nil
	}
}

// hasUser and getUser are what the method sees of heartbeat details.
func (h *heart) hasUser() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.user) > 0
}

func (h *heart) getUser(ctx context.Context, pointers []any) error {
	h.mu.Lock()
	user, fromStart := h.user, h.fromStart
	h.mu.Unlock()
	if len(user) == 0 {
		return temporal.ErrNoData
	}
	pointers = pointers[:min(len(pointers), len(user))]
	if fromStart >= 0 {
		return h.out.GetHeartbeatDetails(ctx, pointers...) // with the client's converter
	}
	for i, ptr := range pointers {
		if err := converter.GetDefaultDataConverter().FromPayload(user[i], ptr); err != nil {
			return err
		}
	}
	return nil
}
