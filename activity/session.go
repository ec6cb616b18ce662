package activity

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/internal/activityhost"
	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/retrypolicy"
)

const (
	// DefaultSessionTimeout is how long a session may last by default.
	DefaultSessionTimeout = time.Hour
	// DefaultSessionCreationTimeout is how long it may take by default to find a
	// worker for a session.
	DefaultSessionCreationTimeout = time.Minute
)

// SessionOptions are the options of [InSession], which returns an error if a duration
// is negative.
type SessionOptions struct {
	// TaskQueue is where the workers are, one of which gets the session. Empty
	// means the queue of ctx's activity options, or else the workflow's.
	TaskQueue string
	// Timeout bounds the session. Zero means DefaultSessionTimeout.
	Timeout time.Duration
	// CreationTimeout bounds the wait for a worker that has a session free.
	// Zero means DefaultSessionCreationTimeout.
	CreationTimeout time.Duration
	// HeartbeatTimeout is after what silence the session's worker is given up.
	// Zero means Temporal's default, 20 seconds.
	HeartbeatTimeout time.Duration
}

// InSession opens a Temporal session, runs do in it, and completes it. The
// activities that do executes with the context it is given all run on one worker,
// which must have worker.Options.EnableSessionWorker. Limits of the session's
// scope live on that worker exactly as long as the session: they end, and
// everything held with them, when do returns, when the workflow is canceled or
// terminated, and when the worker dies, of which others learn within
// HeartbeatTimeout.
//
// Errors: do's own; the session's, when there is no worker for it in time.
//
// A session fails when its worker stops or dies, or when Timeout has passed. Running
// calls then end, and no further calls are made. For these calls Future.Get and Map
// return an error that names the method and the reason, and for which errors.Is(err,
// workflow.ErrSessionFailed) is true. InSession returns such an error too, if do
// returns a cancellation that nobody requested. To go on in another session:
//
//	for {
//		err := activity.InSession(ctx, activity.SessionOptions{}, render)
//		if !errors.Is(err, workflow.ErrSessionFailed) {
//			return err
//		}
//	}
//
// Bodies of the session that has failed may be running still, where its worker has
// only lost touch. Cancelling the workflow cancels, as everywhere.
//
// A worker that stops lets bodies in its sessions finish for WorkerStopTimeout, and
// those outside sessions after that: its Stop may take twice that time. Then the
// session has failed. Activities that are called by workflow.ExecuteActivity are in
// the session too: limits of worker.Policies are the session's, and their futures
// have Temporal's errors.
//
// Workers with worker versioning have no sessions, which is Temporal's rule.
func InSession(ctx workflow.Context, o SessionOptions, do func(ctx workflow.Context) error) error {
	if err := o.check(); err != nil {
		return named("session", err)
	}
	if o.TaskQueue != "" {
		ctx = workflow.WithTaskQueue(ctx, o.TaskQueue)
	}
	o.Timeout = cmp.Or(o.Timeout, DefaultSessionTimeout)
	o.CreationTimeout = cmp.Or(o.CreationTimeout, DefaultSessionCreationTimeout)
	o.HeartbeatTimeout = cmp.Or(o.HeartbeatTimeout, sdkHeartbeat)
	s := &openSession{outer: ctx, options: o}
	session, err := workflow.CreateSession(activityhost.WithSession(ctx, &s.session), &workflow.SessionOptions{
		ExecutionTimeout: o.Timeout, CreationTimeout: o.CreationTimeout, HeartbeatTimeout: o.HeartbeatTimeout,
	})
	if err != nil {
		return s.notOpened(err)
	}
	s.session.Info = workflow.GetSessionInfo(session)
	defer workflow.CompleteSession(session)
	return s.ended(do(workflow.WithValue(session, sessionKey{}, s)))
}

// sdkHeartbeat is the SDK's default.
const sdkHeartbeat = 20 * time.Second

func (o *SessionOptions) check() error {
	var errs []error
	check := func(field string, value time.Duration) {
		if value < 0 {
			errs = append(errs, &retrypolicy.FieldError{Field: field, Value: value, Allowed: "must be positive, or 0 for the default"})
		}
	}
	check("Timeout", o.Timeout)
	check("CreationTimeout", o.CreationTimeout)
	check("HeartbeatTimeout", o.HeartbeatTimeout)
	return errors.Join(errs...)
}

// openSession is a session that InSession has opened. A nil one is none.
type openSession struct {
	outer   workflow.Context // the caller's, which ends only when somebody cancels it
	options SessionOptions
	session activityhost.CallerSession
}

type sessionKey struct{}

// sessionOf is the session that ctx is in; nil for none.
func sessionOf(ctx workflow.Context) *openSession {
	s, _ := ctx.Value(sessionKey{}).(*openSession)
	return s
}

// open reports whether calls run in the session.
func (s *openSession) open() bool { return s != nil && s.session.Has(workflow.SessionStateOpen) }

// failed reports whether the session has failed, and nobody has canceled it.
func (s *openSession) failed() bool {
	return s != nil && s.session.Has(workflow.SessionStateFailed) && s.outer.Err() == nil
}

// notOpened is the error of a session that there is no worker for.
func (s *openSession) notOpened(err error) error {
	timeout, ok := errors.AsType[*temporal.TimeoutError](err)
	if !ok || timeout.TimeoutType() != enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START {
		return fmt.Errorf("session: %w", err)
	}
	return fmt.Errorf("session: no worker of task queue %q took it within %v: its workers need worker.Options.EnableSessionWorker, and one of them room for a session: %w",
		queueOf(s.outer), s.options.CreationTimeout, err)
}

// queueOf is the task queue of activities that ctx starts.
func queueOf(ctx workflow.Context) string {
	return cmp.Or(workflow.GetActivityOptions(ctx).TaskQueue, workflow.GetInfo(ctx).TaskQueueName)
}

// notCalled is the error of a call that is not made since its session has failed;
// nil where it can be.
func (s *openSession) notCalled(method string) error {
	switch {
	case s.failed():
		return s.failure(method+": not called: ", nil)
	case s != nil && s.session.Has(workflow.SessionStateFailed):
		return s.outer.Err()
	default:
		return nil
	}
}

// ended is the error of the session whose function has returned err: a
// cancellation that nobody has asked for is the session's failure.
func (s *openSession) ended(err error) error {
	if s.failed() && temporal.IsCanceledError(err) {
		return s.failure("", err)
	}
	return err
}

// isCutOff reports whether a call ended without an answer of its worker's.
func isCutOff(err error) bool {
	if activityError, ok := err.(*temporal.ActivityError); ok { //nolint:errorlint // the outermost, and no deeper
		err = activityError.Unwrap()
	}
	switch err.(type) { //nolint:errorlint // see above
	case *temporal.CanceledError, *temporal.TimeoutError:
		return true
	default:
		return false
	}
}

func (s *openSession) failure(prefix string, cause error) error {
	text := prefix + workflow.ErrSessionFailed.Error()
	if why := s.why(); why != "" {
		text += ": " + why
	}
	return &sessionError{text: text, cause: cause}
}

// why is what the session has failed of; empty where that is not known, as in a
// replayer without the plugin.
func (s *openSession) why() string {
	err := s.session.Failure(s.outer)
	if err == nil {
		return ""
	}
	if timeout, ok := errors.AsType[*temporal.TimeoutError](err); ok {
		switch timeout.TimeoutType() {
		case enumspb.TIMEOUT_TYPE_HEARTBEAT:
			return fmt.Sprintf("its worker gave no sign of life for %v", s.options.HeartbeatTimeout)
		case enumspb.TIMEOUT_TYPE_START_TO_CLOSE:
			return fmt.Sprintf("its Timeout of %v is over", s.options.Timeout)
		}
	}
	if app, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		if app.Type() == "SessionWorkerShutdown" { // the SDK's
			return "its worker was stopped"
		}
		return app.Message()
	}
	return err.Error()
}

// sessionError is the error of a session that has failed, and of calls in it.
type sessionError struct {
	text string
	// cause is what a call, or the function, ended with; nil for none. It may be
	// a cancellation, by which the SDK would end the workflow as canceled.
	cause error
}

func (e *sessionError) Error() string { return e.text }

// Unwrap makes it a workflow.ErrSessionFailed.
func (e *sessionError) Unwrap() error { return workflow.ErrSessionFailed }

// As finds what the cause has, unless it is a cancellation.
func (e *sessionError) As(target any) bool {
	if _, canceled := target.(**temporal.CanceledError); canceled || e.cause == nil {
		return false
	}
	return errors.As(e.cause, target)
}

var errSessionScope = errors.New("Limits: they are a session's (limits.PerSession), so calls are made inside activity.InSession, by Execute")

// checkScope returns an error unless a call that runs in a session, or in none,
// has the limits it needs.
func (m *method) checkScope(inSession bool) error {
	if d, ok := m.options.Limits.(*limits.Declaration); ok && d.Scope() == limits.ScopeSession && !inSession {
		return errSessionScope
	}
	return nil
}
