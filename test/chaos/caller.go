package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/concurry-go/concurry/activity"
)

// caller keeps calls under way.
type caller struct {
	plan    *plan
	client  client.Client
	queue   string // of the workers
	flows   string // of this process's workflows
	methods []method
	log     *diary

	next    atomic.Int64
	pausing sync.WaitGroup

	mu      sync.Mutex
	results []*result
	flying  []*result // workflows' calls that have been made, and have not ended
}

// result is a call that was made, and what became of it. The caller's mutex
// guards it until all calls have ended.
type result struct {
	spec  spec
	shape *shape
	call  string // as bodies know it

	begun, ended time.Time
	orphan       bool // it may never have reached the server
	hung         bool
	canceled     bool // it was asked to end
	resets       int  // how often an operator may have given it a new budget
	outcome      outcome

	started map[int]bool // attempts that the ledger has; the judge's
}

// keep makes calls until time is over, and returns when all that it has made
// have ended, or when nothing more is waited for.
func (c *caller) keep(until, patience context.Context) error {
	var wait sync.WaitGroup
	errs := make(chan error, c.plan.options.calls)
	for range c.plan.options.calls {
		wait.Go(func() {
			for until.Err() == nil {
				if err := c.one(patience, c.plan.call(int(c.next.Add(1)-1))); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wait.Wait()
	close(errs)
	return <-errs // the first, or nil
}

// one makes a call and waits for its end. An error is the program's.
func (c *caller) one(patience context.Context, s spec) error {
	r := &result{spec: s, shape: c.plan.shapes[s.Shape], call: s.ID, begun: time.Now()}
	f, err := c.begin(patience, r)
	if err != nil && !errors.Is(err, errNeverMade) {
		return fmt.Errorf("call %s, a %s: %w", s.ID, s.Kind, err)
	}
	c.mu.Lock()
	c.results = append(c.results, r)
	if s.Kind == inWorkflow && f != nil {
		c.flying = append(c.flying, r)
	}
	c.mu.Unlock()
	if f == nil {
		return nil
	}
	if s.CancelAfter > 0 {
		stop := time.AfterFunc(s.CancelAfter, func() { c.cancel(patience, r, f) })
		defer stop.Stop()
	}
	results := c.await(patience, r, f)
	c.mu.Lock()
	defer c.mu.Unlock()
	r.ended = time.Now()
	for i, other := range c.flying {
		if other == r {
			c.flying = append(c.flying[:i], c.flying[i+1:]...)
			break
		}
	}
	for _, one := range results {
		c.results = append(c.results, &result{
			spec: s, shape: r.shape, call: one.Call, begun: r.begun, ended: r.ended, canceled: r.canceled, outcome: one.Outcome,
		})
	}
	return nil
}

// flight is a call that was made.
type flight struct {
	get    func(ctx context.Context) (sessionEnd, error)
	cancel func(ctx context.Context) error
	// describe is what the server knows of it.
	describe func(ctx context.Context) (any, error)
}

// requestTimeout bounds one try of a request of the caller's.
const requestTimeout = 20 * time.Second

// errNeverMade is the end of tries to make a call: the server was away until the
// end, and may have it all the same.
var errNeverMade = errors.New("there was no more time")

// begin makes a call. It tries until the server has it, or until errNeverMade.
// Another error is one that trying again does not mend.
func (c *caller) begin(patience context.Context, r *result) (*flight, error) {
	for {
		ctx, cancel := context.WithTimeout(patience, requestTimeout)
		f, err := c.make(ctx, r)
		cancel()
		switch {
		case err == nil:
			return f, nil
		case patience.Err() != nil:
			r.orphan = true
			return nil, errNeverMade
		case !isOutage(err):
			return nil, err
		}
		pause(patience, 100*time.Millisecond)
	}
}

func (c *caller) make(ctx context.Context, r *result) (*flight, error) {
	if r.spec.Kind != submitted {
		return c.makeWorkflow(ctx, r)
	}
	h := c.methods[r.spec.Shape].handle.With(activity.CallOptions{ID: r.call})
	var call *activity.Call[output]
	var err error
	if r.orphan { // the server may have it since the last try
		call, err = h.Attach(ctx, c.client, r.call)
	}
	if !r.orphan || errors.Is(err, activity.ErrUnknownID) {
		call, err = h.Submit(ctx, c.client, r.spec.Input)
	}
	if err != nil {
		r.orphan = true
		return nil, err
	}
	r.orphan = false
	return &flight{
		get: func(ctx context.Context) (sessionEnd, error) {
			out, err := call.Get(ctx)
			return sessionEnd{Outcome: outcomeOf(out, err)}, err
		},
		cancel:   func(ctx context.Context) error { return call.Cancel(ctx, "chaos") },
		describe: func(ctx context.Context) (any, error) { return call.Describe(ctx) },
	}, nil
}

// isOutage reports whether a request failed because of a server that was away.
func isOutage(err error) bool {
	_, unavailable := errors.AsType[*serviceerror.Unavailable](err)
	_, late := errors.AsType[*serviceerror.DeadlineExceeded](err)
	_, canceled := errors.AsType[*serviceerror.Canceled](err)
	_, busy := errors.AsType[*serviceerror.ResourceExhausted](err)
	_, internal := errors.AsType[*serviceerror.Internal](err)
	_, nameless := errors.AsType[*serviceerror.NamespaceNotFound](err) // of a server that comes up
	return nameless || unavailable || late || canceled || busy || internal || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, activity.ErrIDInUse)
}

// await waits for the end of a call, over outages.
func (c *caller) await(patience context.Context, r *result, f *flight) []inner {
	for {
		ctx, cancel := context.WithTimeout(patience, time.Minute)
		end, err := f.get(ctx)
		cancel()
		if isEnd(err) {
			c.mu.Lock()
			r.outcome = end.Outcome
			c.mu.Unlock()
			return end.Calls
		}
		if patience.Err() != nil {
			text := fmt.Sprintf("%v; %s", err, f.ask())
			c.mu.Lock()
			r.hung, r.outcome.Text = true, text
			c.mu.Unlock()
			return nil
		}
		pause(patience, 100*time.Millisecond)
	}
}

// ask is what the server says of a call that does not end.
func (f *flight) ask() string {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	d, err := f.describe(ctx)
	if err != nil {
		return fmt.Sprintf("the server says of it: %v", err)
	}
	return fmt.Sprintf("the server says of it: %+v", d)
}

func (c *caller) cancel(patience context.Context, r *result, f *flight) {
	c.mu.Lock()
	r.canceled = true
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(patience, requestTimeout)
	defer cancel()
	err := f.cancel(ctx)
	c.log.notef("cancel of %s: %v", r.call, err)
}
