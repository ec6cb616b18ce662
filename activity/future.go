package activity

import "go.temporal.io/sdk/workflow"

// Future is the result of Execute, for workflow code.
type Future[Out any] struct {
	future workflow.Future
	method string
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
// RetryValidationError. Of a call whose session has failed it is one that
// errors.Is(err, workflow.ErrSessionFailed) tells; see InSession.
func (f Future[Out]) Get(ctx workflow.Context) (Out, error) {
	var out Out
	err := f.future.Get(ctx, &out)
	if err != nil {
		err = f.session.ended(f.method, err)
	}
	return out, err
}

// IsReady reports whether Get returns at once.
func (f Future[Out]) IsReady() bool { return f.future.IsReady() }

// Future is the future itself, for workflow.Selector. Its errors are Temporal's
// alone.
func (f Future[Out]) Future() workflow.Future { return f.future }
