package activity

import (
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// Future is the result of Execute, for workflow code.
type Future[Out any] struct {
	future workflow.Future
	method string
	queue  string // where the call waits for a worker
	// session is what the call runs in; nil for none.
	session *openSession
}

// failing is the future of a call that is not made.
func failing[Out any](ctx workflow.Context, err error) Future[Out] {
	future, settable := workflow.NewFuture(ctx)
	settable.SetError(err)
	return Future[Out]{future: future}
}

// Get waits for the result. Errors are Temporal's: an *temporal.ActivityError
// around what the method returned; validation.As finds a
// RetryValidationError. Around that of a call that no worker has taken up in time
// is one that names the task queue. Of a call whose session has failed it is one
// for which errors.Is(err, workflow.ErrSessionFailed) is true; see [InSession].
func (f Future[Out]) Get(ctx workflow.Context) (Out, error) {
	var out Out
	err := f.future.Get(ctx, &out)
	if err != nil {
		err = f.explain(err)
	}
	return out, err
}

func (f Future[Out]) explain(err error) error {
	if f.session.failed() && isCutOff(err) {
		return f.session.failure(f.method+": ended with its session: ", err)
	}
	activityError, ok := err.(*temporal.ActivityError) //nolint:errorlint // the outermost, and no deeper
	if ok && f.queue != "" && activityError.StartedEventID() == 0 && maybeUnstarted(activityError.Unwrap()) {
		return named(f.method, notTakenUp(f.queue, err))
	}
	return err
}

// IsReady reports whether Get returns at once.
func (f Future[Out]) IsReady() bool { return f.future.IsReady() }

// Future returns Temporal's future, for a workflow.Selector. Its errors are
// Temporal's, without what [Future.Get] adds.
func (f Future[Out]) Future() workflow.Future { return f.future }
