package activityhost

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"

	"github.com/concurry-go/concurry/internal/engine"
	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/retrypolicy"
)

const (
	// recordTimeout bounds the wait for one answer, and a whole hand-back.
	recordTimeout = 10 * time.Second
	// beatShare is after which part of the heartbeat timeout a sign of life is
	// sent, as by the SDK: services bill each.
	beatShare = 0.8
)

// heartbeat is a server attempt's journal, and the one writer of its heartbeats:
// signs of life, the method's own and the journal's records. Details replace each
// other wholesale on the server, so all of them carry everything, and go out one
// after the other. The SDK's own writer buffers, and would put an old journal
// over a new one; it is used once, to let the SDK notice a verdict.
//
// At most one request is under way and one due. A record, which something waits
// for, goes before a sign of life.
type heartbeat struct {
	out   interceptor.ActivityOutboundInterceptor
	owner owner

	once   sync.Once
	server *requests // nil in the SDK's test environments, which have no server

	mu      sync.Mutex
	journal engine.Journal

	user      []*commonpb.Payload // the method's latest details, without codec
	fromTask  int                 // how many of them came with the activity task; -1 once replaced
	bodyRuns  bool
	userBeats bool  // the method heartbeats itself, in this attempt
	pending   bool  // user details not sent yet
	failed    error // why the running attempt has failed, whatever it returns

	sentAt time.Time
	heard  time.Time // of the server, for the last time
	idle   bool      // what was sent last says that no body runs
	closed bool      // nothing is sent any more

	// unfit tells that a request did not end cleanly. It may still arrive, with an
	// older journal than the next one's: nothing more is started here.
	unfit bool

	sending bool          // a request is under way, or about to be
	due     bool          // another sign of life follows it
	turn    chan struct{} // closed when the record that waits has its turn
}

// errUnfit is why nothing is started: the server might put an older journal over
// the record of the start.
var errUnfit = errors.New("an earlier heartbeat of this server attempt is still on its way to the server, or lost")

// owner is whose heartbeats they are.
type owner interface {
	// connect makes what requests are sent with; nil without a server.
	connect(ctx context.Context) *requests
	// tooLarge ends the running attempt, which has recorded what the server would
	// not take.
	tooLarge(err error)
}

// to returns what requests are sent with; nil without a server.
func (h *heartbeat) to(ctx context.Context) *requests {
	h.once.Do(func() { h.server = h.owner.connect(ctx) })
	return h.server
}

// open reads what earlier server attempts left: the user's details, and the
// journal behind them.
func (h *heartbeat) open(ctx context.Context, results func(context.Context) converter.DataConverter) (found *engine.Journal, err error) {
	if !h.out.HasHeartbeatDetails(ctx) {
		return nil, nil //nolint:nilnil // there is none
	}
	payloads, err := rawDetails(ctx, h.out)
	if err != nil {
		return nil, err
	}
	if n := len(payloads); n > 0 && wire.Is(wire.Journal, payloads[n-1]) {
		var d wire.JournalDocument
		if err := wire.Open(wire.Journal, payloads[n-1], &d); err != nil {
			return nil, err
		}
		found, payloads = engine.JournalOf(d, results(ctx)), payloads[:n-1]
	}
	h.user, h.fromTask = payloads, len(payloads)
	return found, nil
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

// view returns a copy of the journal.
func (h *heartbeat) view() engine.Journal {
	h.mu.Lock()
	defer h.mu.Unlock()
	j := h.journal
	j.Outcomes = slices.Clone(j.Outcomes)
	return j
}

// started returns how many bodies the call has started.
func (h *heartbeat) started() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.journal.Started
}

// running returns the attempt that has started and not ended; 0 is none.
func (h *heartbeat) running() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.journal.Running
}

// earlier returns the outcomes before the attempt that runs, or was last judged.
func (h *heartbeat) earlier() []retrypolicy.Outcome {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.journal.Earlier()
}

// firstStart returns when the call's first attempt started; zero if that is not
// known.
func (h *heartbeat) firstStart() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.journal.FirstStart
}

// change lets f change the journal.
func (h *heartbeat) change(f func(j *engine.Journal)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(&h.journal)
}

// begin starts the next attempt. told reports that the server was told in this
// server attempt that no body runs.
func (h *heartbeat) begin(now func() time.Time) (n int, told bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.journal.FirstStart.IsZero() && now != nil {
		h.journal.FirstStart = now()
	}
	h.userBeats, h.bodyRuns, h.failed = false, true, nil
	return h.journal.Begin(), h.idle
}

// takeBack undoes begin: the body was not started.
func (h *heartbeat) takeBack() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.journal.TakeBack()
	h.bodyRuns = false
}

// bodyEnded brings the signs of life back: nobody else beats while validators run
// and waits are slept. The error is why the attempt has failed, whatever its body
// returned.
func (h *heartbeat) bodyEnded() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.userBeats, h.bodyRuns = false, false
	return h.failed
}

// judged puts the journal in place that a judgement has made of view's.
func (h *heartbeat) judged(j engine.Journal) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.journal = j
}

// lost notes that the running attempt left no outcome.
func (h *heartbeat) lost(reason string) {
	h.change(func(j *engine.Journal) {
		if j.Running != 0 {
			j.Lose(reason)
		}
	})
}

// countLimitWait counts a hand-back to wait for limits, and returns how many there were
// in a row before.
func (h *heartbeat) countLimitWait() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.journal.LimitWaits++
	return h.journal.LimitWaits - 1
}

// close ends all heartbeats of the server attempt.
func (h *heartbeat) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
}

// silence returns for how long the server has not been heard of.
func (h *heartbeat) silence() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Since(h.heard)
}

// fit reports whether another attempt may start in this server attempt.
func (h *heartbeat) fit() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.unfit
}

// record sends the journal, and everything else, and waits for the answer. An
// error means the server, or its absence, forbids to go on.
func (h *heartbeat) record(ctx context.Context) error {
	if err := h.takeTurn(ctx); err != nil {
		return err
	}
	var err error
	if h.fit() {
		err = h.send(ctx, recordTimeout)
	} else {
		err = errUnfit
	}
	h.passTurn(ctx)
	return err
}

// takeTurn waits until no other request is under way.
func (h *heartbeat) takeTurn(ctx context.Context) error {
	h.mu.Lock()
	if !h.sending {
		h.sending = true
		h.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	h.turn = turn
	h.mu.Unlock()
	patience := time.NewTimer(h.patience(ctx))
	defer patience.Stop()
	select {
	case <-turn:
		return nil
	case <-patience.C:
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.turn == nil { // it came at the same moment
		return nil
	}
	h.turn, h.unfit = nil, true
	return errUnfit
}

// patience is how long another request's answer is waited for.
func (h *heartbeat) patience(ctx context.Context) time.Duration {
	if server := h.to(ctx); server != nil {
		return server.patience()
	}
	return recordTimeout
}

// passTurn lets the record that waits send, or else the sign of life that is due.
func (h *heartbeat) passTurn(ctx context.Context) {
	for {
		h.mu.Lock()
		if h.turn != nil {
			close(h.turn)
			h.turn = nil
			h.mu.Unlock()
			return
		}
		again := h.due && !h.closed
		h.due, h.sending = false, again
		h.mu.Unlock()
		if !again {
			return
		}
		_ = h.send(ctx, h.patience(ctx))
	}
}

// beat sends what is due: the method's pending details, or a sign of life unless
// the method gives its own. It reports whether that was not answered, so that
// another try is wanted soon.
func (h *heartbeat) beat(ctx context.Context) (unanswered bool) {
	h.mu.Lock()
	switch {
	case h.closed || !h.pending && h.userBeats:
		h.mu.Unlock()
		return false
	case h.sending:
		h.due = true
		h.mu.Unlock()
		return false
	}
	h.sending = true
	h.mu.Unlock()
	err := h.send(ctx, h.patience(ctx))
	h.passTurn(ctx)
	return err != nil && !isVerdict(err)
}

// send sends one request; whoever calls it has the turn.
func (h *heartbeat) send(ctx context.Context, timeout time.Duration) error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	user, journal := h.user, h.journal
	journal.Outcomes = slices.Clone(journal.Outcomes)
	h.pending, h.sentAt, h.idle = false, time.Now(), journal.Running == 0
	h.mu.Unlock()
	server := h.to(ctx)
	if server == nil {
		h.out.RecordHeartbeat(ctx, rawValues(user, &journal)...)
		return nil
	}
	details, err := server.details(ctx, user, journal)
	if err != nil { // nothing was sent
		if _, ok := errors.AsType[*sizeError](err); ok {
			h.dropUser(err)
		}
		return err
	}
	// The activity's context may have ended already, which is when a last
	// record matters most.
	request, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	err = server.heartbeat(request, details)
	h.mu.Lock()
	if err == nil || isVerdict(err) {
		h.heard = time.Now()
	} else {
		h.unfit = true
	}
	closed := h.closed
	h.mu.Unlock()
	if isVerdict(err) && !closed {
		h.relay(ctx, user, &journal)
	}
	return err
}
