package main

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"sync"
	"time"

	sdkactivity "go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite/devserver"
	"github.com/concurry-go/concurry/worker"
)

const (
	raw       = "Temporal's own"
	shortWait = 10 * time.Millisecond
)

func serverRows() []row {
	return append(requestRows(), row{
		name:    "short-waits",
		about:   "a workflow whose activity fails twice with waits of 10 ms, on a server with stock timing: waits in place against Temporal's retry policy",
		demands: []demand{{figure: "times faster", atLeast: true, limit: 15, unit: "x"}},
		measure: shortWaitsRow,
	})
}

// shortWaitsRow lets both sides take turns on one server.
func shortWaitsRow(ctx context.Context, e *effort) (*result, error) {
	srv, err := devserver.Start(ctx, devserver.Options{Profile: devserver.Stock, Output: os.Stderr})
	if err != nil {
		return nil, err
	}
	defer srv.Stop() //nolint:errcheck // nothing of it is needed any more
	both := sides(retrypolicy.Policy{NumRetries: 5, Backoff: retrypolicy.Constant, Wait: shortWait, Jitter: retrypolicy.NoJitter})
	engine, own := both[0], both[1]
	engine.body.failures, own.body.failures = 2, 2
	var whole, spans [2][]float64
	err = engine.host(srv, client.Options{}, func(callEngine func(context.Context) error) error {
		return own.host(srv, client.Options{}, func(callOwn func(context.Context) error) error {
			for range max(e.rounds/8, 1) {
				for i, call := range []func(context.Context) error{callEngine, callOwn} {
					start := time.Now()
					if err := call(ctx); err != nil {
						return err
					}
					whole[i] = append(whole[i], time.Since(start).Seconds()*1e3)
					spans[i] = append(spans[i], both[i].body.span().Seconds()*1e3)
				}
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	divide := func(x, y float64) float64 { return x / y }
	r := &result{}
	r.set(ours, median(whole[0]), "ms")
	r.set(raw, median(whole[1]), "ms")
	r.set("times faster", median(pairwise(whole[1], whole[0], divide)), "x")
	r.set("first start to last end", median(spans[0]), "ms")
	r.set("Temporal's, same span", median(spans[1]), "ms")
	r.set("times faster in the span", median(pairwise(spans[1], spans[0], divide)), "x")
	return r, nil
}

// side is one way to run the same activity from a workflow.
type side struct {
	name     string
	body     *flaky
	register func(w *worker.Worker)
	execute  func(ctx workflow.Context) error
}

// sides are the engine under a policy, and Temporal's retry policy with the
// same numbers for an activity the engine does not know.
func sides(p retrypolicy.Policy) []*side {
	engine, own := &side{name: ours, body: &flaky{}}, &side{name: raw, body: &flaky{}}
	d := activity.Define[*flaky]("Bench", activity.Options{Retry: p, CallTimeout: perCall, HeartbeatTimeout: perTry})
	do := activity.Method(d, "Do", (*flaky).Do)
	engine.register = func(w *worker.Worker) { worker.Register(w, d, engine.body) }
	engine.execute = func(ctx workflow.Context) error {
		_, err := do.Execute(ctx, 7).Get(ctx)
		return err
	}
	own.register = func(w *worker.Worker) {
		w.RegisterActivityWithOptions(own.body.Do, sdkactivity.RegisterOptions{Name: benchJob})
	}
	own.execute = func(ctx workflow.Context) error {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
			StartToCloseTimeout: perCall, HeartbeatTimeout: perTry,
			RetryPolicy: &temporal.RetryPolicy{
				InitialInterval: max(p.Ceiling(1), time.Millisecond), BackoffCoefficient: 1, MaximumAttempts: int32(p.Attempts()),
			},
		})
		return workflow.ExecuteActivity(ctx, benchJob, 7).Get(ctx, nil)
	}
	return []*side{engine, own}
}

// host runs a worker for the side while use makes calls, each a workflow.
func (s *side) host(srv *devserver.Server, o client.Options, use func(call func(context.Context) error) error) error {
	o.Logger = quiet()
	c, err := srv.Dial(o)
	if err != nil {
		return err
	}
	defer c.Close()
	queue := "bench-" + rand.Text()
	w := worker.New(c, queue, sdkworker.Options{})
	s.register(w)
	w.RegisterWorkflowWithOptions(s.execute, workflow.RegisterOptions{Name: "Bench"})
	if err := w.Start(); err != nil {
		return err
	}
	defer w.Stop()
	call := func(ctx context.Context) error {
		s.body.reset()
		run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: queue}, "Bench")
		if err != nil {
			return err
		}
		return run.Get(ctx, nil)
	}
	if err := call(context.Background()); err != nil { // warms up: pollers, caches
		return err
	}
	return use(call)
}

// body is what one start of a body does.
type body struct {
	failures int // starts of a call that fail
	lasts    time.Duration
	beats    bool // every second, as a body that knows of heartbeats does
}

// flaky fails the first attempts of a call, and remembers when it ran.
type flaky struct {
	body

	mu          sync.Mutex
	started     int
	first, last time.Time
}

var errFlaky = errors.New("not yet")

// Do is the activity.
func (f *flaky) Do(ctx context.Context, in int) (int, error) {
	for end := time.Now().Add(f.lasts); time.Now().Before(end); time.Sleep(time.Second) {
		if f.beats {
			sdkactivity.RecordHeartbeat(ctx)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.started++
	f.last = time.Now()
	if f.started == 1 {
		f.first = f.last
	}
	if f.started <= f.failures {
		return 0, errFlaky
	}
	return in, nil
}

func (f *flaky) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.started = 0
}

func (f *flaky) span() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last.Sub(f.first)
}
