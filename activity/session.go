package activity

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/limits"
)

const (
	// DefaultSessionTimeout is how long a session may last by default.
	DefaultSessionTimeout = time.Hour
	// DefaultSessionCreation is how long it may take by default to find a
	// worker for a session.
	DefaultSessionCreation = time.Minute
)

// SessionOptions are those of a session; see InSession.
type SessionOptions struct {
	// TaskQueue is where the workers are, one of which gets the session. Empty
	// means the queue of ctx's activity options, or else the workflow's.
	TaskQueue string
	// Timeout bounds the session. Zero means DefaultSessionTimeout.
	Timeout time.Duration
	// CreationTimeout bounds the wait for a worker that has a session free.
	// Zero means DefaultSessionCreation.
	CreationTimeout time.Duration
	// HeartbeatTimeout is after what silence the session's worker is given up.
	// Zero means Temporal's default, 20 seconds.
	HeartbeatTimeout time.Duration
}

// InSession opens a Temporal session, runs do in it, and completes it. The
// methods that do executes with the context it is given all run on one worker,
// which must have worker.Options.EnableSessionWorker. Limits of the session's
// scope live on that worker exactly as long as the session: they end, and
// everything held with them, when do returns, when the workflow is canceled or
// terminated, and when the worker dies, of which others learn within
// HeartbeatTimeout.
//
// Errors: do's own; the session's, when there is no worker for it in time. When
// the worker dies, calls in do fail with workflow.ErrSessionFailed.
//
// Workers with worker versioning have no sessions, which is Temporal's rule.
func InSession(ctx workflow.Context, o SessionOptions, do func(ctx workflow.Context) error) error {
	if o.TaskQueue != "" {
		ctx = workflow.WithTaskQueue(ctx, o.TaskQueue)
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultSessionTimeout
	}
	if o.CreationTimeout == 0 {
		o.CreationTimeout = DefaultSessionCreation
	}
	session, err := workflow.CreateSession(ctx, &workflow.SessionOptions{
		ExecutionTimeout: o.Timeout, CreationTimeout: o.CreationTimeout, HeartbeatTimeout: o.HeartbeatTimeout,
	})
	if err != nil {
		return fmt.Errorf("session: %w", err)
	}
	defer workflow.CompleteSession(session)
	return do(workflow.WithValue(session, sessionKey{}, workflow.GetSessionInfo(session)))
}

type sessionKey struct{}

// sessionOf is the ID of the open session that ctx is in; empty for none.
func sessionOf(ctx workflow.Context) string {
	info, ok := ctx.Value(sessionKey{}).(*workflow.SessionInfo)
	if !ok || info.SessionState != workflow.SessionStateOpen {
		return ""
	}
	return info.SessionID
}

var errSessionScope = errors.New("Limits: they are a session's (limits.Session), so calls are made inside activity.InSession, by Execute")

// checkSession returns an error unless a call that runs in a session, or in
// none, has the limits it needs.
func (m *method) checkSession(session string) error {
	if d, ok := m.options.Limits.(*limits.Declaration); ok && d.Scope() == limits.ScopeSession && session == "" {
		return named(m.activityType, errSessionScope)
	}
	return nil
}
