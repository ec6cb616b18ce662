package activity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/internal/failure"
	"github.com/concurry-go/concurry/retrypolicy"
)

// DefaultConcurrency is how many calls of a map are under way at once.
const DefaultConcurrency = 100

// MapOption refines a map over many inputs.
type MapOption func(*mapping)

// Concurrency sets how many calls of a map are under way at once: at least 1.
// Without it they are [DefaultConcurrency]. In a workflow the maximum is 2,000, the
// number of pending activities that Temporal allows a workflow; with more, its
// workflow tasks fail for ever.
func Concurrency(n int) MapOption { return func(m *mapping) { m.concurrency = n } }

// StopOnError ends a map with the first call that fails: calls under way are
// canceled (submitted ones asked to end), and no further ones started.
func StopOnError() MapOption { return func(m *mapping) { m.stop = true } }

// MapError is the error of a map some of whose calls failed. errors.Is,
// errors.As and validation.As look at all of them.
type MapError struct {
	// Errors has the error of each input, nil where the call succeeded.
	Errors []error
}

// Error returns how many calls failed, and the first failure.
func (e *MapError) Error() string {
	failed, first := 0, -1
	for i, err := range e.Errors {
		if err == nil {
			continue
		}
		if failed++; first < 0 {
			first = i
		}
	}
	if first < 0 {
		return "no call failed"
	}
	return fmt.Sprintf("%d of %d calls failed; input %d: %v", failed, len(e.Errors), first, e.Errors[first])
}

// Unwrap returns the errors of the calls that failed.
func (e *MapError) Unwrap() []error {
	var failed []error
	for _, err := range e.Errors {
		if err != nil {
			failed = append(failed, err)
		}
	}
	return failed
}

// mostPending is how many pending activities a server allows a workflow
// (limit.numPendingActivities.error).
const mostPending = 2000

// errNotStarted is the error of inputs whose call StopOnError prevented.
var errNotStarted = errors.New("not called, since another call of the map has failed")

// mapping is one map over n inputs.
type mapping struct {
	concurrency int
	stop        bool

	// admit reports whether a worker may go on with another input; nil is yes.
	admit  func() bool
	next   atomic.Int64
	failed atomic.Bool
	errs   []error
}

func newMapping(activityType string, n int, options []MapOption) (*mapping, error) {
	m := &mapping{concurrency: DefaultConcurrency, errs: make([]error, n)}
	for _, o := range options {
		o(m)
	}
	if m.concurrency < 1 {
		return nil, named(activityType, &retrypolicy.FieldError{Field: "Concurrency", Value: m.concurrency, Allowed: "must be at least 1"})
	}
	m.concurrency = min(m.concurrency, n)
	return m, nil
}

// work makes calls until there is no input left, or none is admitted. cancel ends
// those of others.
func (m *mapping) work(cancel func(), call func(i int) error) {
	for int(m.next.Load()) < len(m.errs) && (m.admit == nil || m.admit()) {
		i := int(m.next.Add(1)) - 1
		switch {
		case i >= len(m.errs):
			return
		case m.stop && m.failed.Load():
			m.errs[i] = errNotStarted
			continue
		}
		m.one(i, cancel, call)
	}
}

// one makes one call. One that ends its goroutine has failed.
func (m *mapping) one(i int, cancel func(), call func(i int) error) {
	m.errs[i] = failure.ErrGoexit
	defer func() {
		if m.errs[i] != nil && m.stop {
			m.failed.Store(true)
			cancel()
		}
	}()
	m.errs[i] = call(i)
}

// run is work on goroutines.
func (m *mapping) run(ctx context.Context, call func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var done sync.WaitGroup
	var worker func()
	worker = func() {
		over := false
		defer func() {
			if !over { // a call has ended this goroutine: another takes its place
				done.Go(worker)
			}
		}()
		m.work(cancel, func(i int) error { return call(ctx, i) })
		over = true
	}
	for range m.concurrency {
		done.Go(worker)
	}
	done.Wait()
	return m.err()
}

// rest gives inputs that were not admitted their error.
func (m *mapping) rest(err func() error) {
	for i := int(m.next.Load()); i < len(m.errs); i++ {
		m.errs[i] = err()
	}
}

func (m *mapping) err() error {
	for _, err := range m.errs {
		if err != nil {
			return &MapError{Errors: m.errs}
		}
	}
	return nil
}

// Map calls the method with every input, for workflow code, and waits for all
// of them. Results are in the order of the inputs; those of calls that failed
// are zero, and the error is a *MapError then. With CallOptions.ID, or an
// ActivityID in ctx, each call has that ID and "-" and the input's index.
//
// A workflow's history has room for a few thousand calls: 51,200 events and 50 MiB,
// of which a call takes three to six events, and its input and result. More inputs
// than could ever fit are an error at the start, 14,342 in a new workflow or 8,366
// at a Concurrency of 1. A map that runs out of room on its way makes no further
// calls. In both cases errors.Is(err, ErrHistoryFull); SubmitMap has no such limit.
//
// A workflow that ends with the error should end with one of its Errors: Temporal
// carries a chain of causes, not several, so of a MapError only the text arrives.
func (h Handle[In, Out]) Map(ctx workflow.Context, ins []In, options ...MapOption) ([]Out, error) {
	m, err := newMapping(h.m.activityType, len(ins), options)
	if err != nil {
		return nil, err
	}
	if m.concurrency > mostPending {
		return nil, named(h.m.activityType, &retrypolicy.FieldError{Field: "Concurrency", Value: m.concurrency, Allowed: fmt.Sprintf("must be at most %d in a workflow", mostPending)})
	}
	if h.call.ID == "" {
		h.call.ID = workflow.GetActivityOptions(ctx).ActivityID
	}
	room := mapRoom{ctx: ctx, method: h.m.activityType, concurrency: m.concurrency}
	if err := room.refuse(len(ins)); err != nil {
		return nil, err
	}
	m.admit = room.admit
	outs := make([]Out, len(ins))
	session := sessionOf(ctx)
	callCtx, cancel := workflow.WithCancel(ctx)
	defer cancel()
	done := workflow.NewWaitGroup(ctx)
	for range m.concurrency {
		done.Add(1)
		workflow.Go(callCtx, func(ctx workflow.Context) {
			defer done.Done()
			m.work(cancel, func(i int) (err error) {
				if err := cmp.Or(session.notCalled(h.m.activityType), ctx.Err()); err != nil {
					return err
				}
				room.begin()
				defer room.end()
				outs[i], err = h.ofInput(i).Execute(ctx, ins[i]).Get(ctx)
				return err
			})
		})
	}
	// The workers end by themselves when ctx is canceled.
	waitCtx, _ := workflow.NewDisconnectedContext(ctx)
	done.Wait(waitCtx)
	m.rest(room.full)
	return outs, m.err()
}

// SubmitMap submits a call for every input, from any program, and waits for all
// of them; see Map and Submit. Concurrency bounds the calls submitted and not
// ended. When ctx ends first, calls that were submitted go on; to find them again
// give an ID, and Attach to it with "-" and the input's index. A second map with
// the ID of one that is under way fails with ErrIDInUse for each call that is.
func (h Handle[In, Out]) SubmitMap(ctx context.Context, c client.Client, ins []In, options ...MapOption) ([]Out, error) {
	m, err := newMapping(h.m.activityType, len(ins), options)
	if err != nil {
		return nil, err
	}
	outs := make([]Out, len(ins))
	caller := ctx
	return outs, m.run(ctx, func(ctx context.Context, i int) error {
		// Whether a request that is cut off has reached the server is not known,
		// so StopOnError does not cut this one off.
		call, err := h.ofInput(i).Submit(caller, c, ins[i])
		if err != nil {
			return err
		}
		if outs[i], err = call.Get(ctx); err != nil && ctx.Err() != nil && caller.Err() == nil {
			// Another call has failed, and StopOnError is set.
			return errors.Join(err, call.Cancel(caller, "another call of the map has failed"))
		}
		return err
	})
}

// Map calls the method with every input in this process; see Handle.Map.
func (i *Inline[In, Out]) Map(ctx context.Context, ins []In, options ...MapOption) ([]Out, error) {
	m, err := newMapping(i.spec.Method, len(ins), options)
	if err != nil {
		return nil, err
	}
	outs := make([]Out, len(ins))
	return outs, m.run(ctx, func(ctx context.Context, n int) (err error) {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		outs[n], err = i.callApart(ctx, ins[n])
		return err
	})
}

// ofInput is the handle for the call of one input.
func (h Handle[In, Out]) ofInput(i int) Handle[In, Out] {
	if h.call.ID != "" {
		h.call.ID += "-" + strconv.Itoa(i)
	}
	return h
}
