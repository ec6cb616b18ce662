package activityhost

import (
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/internal/engine"
	"github.com/concurry-go/concurry/internal/wire"
)

// SessionKey is the Temporal header field that tells an activity which session
// it runs in.
const SessionKey = "concurry-session"

const sessionKind wire.Kind = "session"

// CallerSession is a session as the workflow knows it that has opened it.
type CallerSession struct {
	// Info is Temporal's; nil until the session is open.
	Info *workflow.SessionInfo
	// creation is the session's own activity, which runs as long as the session;
	// nil where no interceptor of ours has seen it.
	creation workflow.Future
}

type callerSessionKey struct{}

// WithSession makes activities started from ctx tell that they run in s, once it
// is open.
func WithSession(ctx workflow.Context, s *CallerSession) workflow.Context {
	return workflow.WithValue(ctx, callerSessionKey{}, s)
}

// Has reports whether the session is open, has failed, or whatever state says.
func (s *CallerSession) Has(state workflow.SessionState) bool {
	return s.Info != nil && s.Info.SessionState == state
}

// Failure is what a session that has failed ended with; nil if that is not known.
func (s *CallerSession) Failure(ctx workflow.Context) error {
	if s.creation == nil || !s.creation.IsReady() {
		return nil
	}
	return s.creation.Get(ctx, nil)
}

// sessionHeader is the header of an activity that runs in a session; nil for any
// other. The activity that ends the session is none of those.
func sessionHeader(ctx workflow.Context, activityType string) (*commonpb.Payload, error) {
	s, ok := ctx.Value(callerSessionKey{}).(*CallerSession)
	if !ok || activityType == sessionCompletion || !s.Has(workflow.SessionStateOpen) {
		return nil, nil //nolint:nilnil // there is none
	}
	return wire.Seal(sessionKind, wire.Session{ID: s.Info.SessionID})
}

// watchSession notes the activity that runs as long as the session.
func watchSession(ctx workflow.Context, activityType string, f workflow.Future) {
	if s, ok := ctx.Value(callerSessionKey{}).(*CallerSession); ok && activityType == sessionCreation {
		s.creation = f
	}
}

// sessionFromHeader is the ID of the session that an activity runs in; empty for
// none.
func sessionFromHeader(header map[string]*commonpb.Payload) (string, error) {
	p := header[SessionKey]
	if p == nil {
		return "", nil
	}
	var d wire.Session
	if err := wire.Open(sessionKind, p, &d); err != nil {
		return "", fmt.Errorf("header %q: %w", SessionKey, err)
	}
	return d.ID, nil
}

// specForCall is the worker's spec with what the caller's header says of the call.
func specForCall(h *engine.SpecCache, header map[string]*commonpb.Payload) (*engine.Spec, error) {
	spec, err := h.ForHeader(header[engine.HeaderKey])
	if err != nil {
		return nil, err
	}
	session, err := sessionFromHeader(header)
	if err != nil || session == "" {
		return spec, err
	}
	in := *spec
	in.Session = session
	return &in, nil
}
