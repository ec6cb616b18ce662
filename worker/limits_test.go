package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/validation"
	"github.com/concurry-go/concurry/worker"
)

// gauge counts how many are inside at once.
type gauge struct{ now, most atomic.Int64 }

func (g *gauge) enter() {
	n := g.now.Add(1)
	for most := g.most.Load(); n > most && !g.most.CompareAndSwap(most, n); most = g.most.Load() {
	}
}

func TestAttemptsHoldWhatTheyRequireAndReleaseItBeforeTheyWait(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, e Engine) {
		set := limits.MustNew(limits.Resource("c", 3))
		var held, between []float64
		inUse := func() float64 { return set.Snapshot().Limits[0].InUse }
		impl := &Scripted{Body: func(_ context.Context, n int, _ string) (string, error) {
			held = append(held, inUse())
			if n < 3 {
				return "", errors.New("not yet")
			}
			return "ok", nil
		}}
		d := activity.Define[*Scripted]("Scripted", activity.Options{
			Retry: e.Policy(retrypolicy.Policy{NumRetries: 5, Wait: time.Millisecond}), CallTimeout: time.Minute,
			Limits: set, Requires: limits.Units{"c": 2},
			Observers: []retrypolicy.Observer{func(context.Context, retrypolicy.Event) { between = append(between, inUse()) }},
		})
		do := activity.Method(d, "Do", (*Scripted).Do)
		_, err := Run(t, e, d, do, impl, "x")
		require.NoError(t, err)
		assert.Equal(t, []float64{2, 2, 2}, held)
		assert.Equal(t, []float64{0, 0, 0}, between, "released before anything is decided")
		assert.Zero(t, set.Snapshot().Leases)
	})
}

func TestWhatAMethodAcquiresItselfEndsWithTheAttempt(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, e Engine) {
		set := limits.MustNew(limits.Resource("c", 1), limits.Rate("tokens", 1e6, time.Second).By(limits.AlgorithmTokenBucket))
		impl := &Scripted{Body: func(ctx context.Context, n int, _ string) (string, error) {
			lease, err := limits.Acquire(ctx, limits.Units{"c": 1, "tokens": 10})
			if err != nil {
				return "", err
			}
			switch n {
			case 1:
				return "", errors.New("before lease.Use, and nothing is released")
			case 2:
				panic("nor here")
			}
			return strconv.Itoa(len(lease.Units())), lease.Use(limits.Units{"tokens": 5})
		}}
		d, do := Limited(e, set, nil, retrypolicy.Policy{NumRetries: 5})
		out, err := Run(t, e, d, do, impl, "x")
		require.NoError(t, err)
		assert.Equal(t, "2", out)
		assert.Zero(t, set.Snapshot().Leases)
		assert.EqualValues(t, 3, impl.Started.Load())
	})
}

// Behind the other, which waits for what the attempt holds, it would wait until
// one of them gives up.
func TestAMethodAcquiresMoreAheadOfThoseWhoWaitForWhatItHolds(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, e Engine) {
		set := limits.MustNew(limits.Resource("c", 1), limits.Rate("tokens", 100, time.Hour))
		others, cancel := context.WithCancel(t.Context())
		defer cancel()
		impl := &Scripted{Body: func(ctx context.Context, _ int, _ string) (string, error) {
			go func() { _, _ = set.Acquire(others, limits.Units{"c": 1}) }()
			for set.Snapshot().Waiting == 0 {
				runtime.Gosched()
			}
			ctx, end := context.WithTimeout(ctx, 5*time.Second)
			defer end()
			_, err := limits.Acquire(ctx, limits.Units{"tokens": 1})
			return "ok", err
		}}
		d, do := Limited(e, set, limits.Units{"c": 1}, retrypolicy.Policy{})
		out, err := Run(t, e, d, do, impl, "x")
		require.NoError(t, err)
		assert.Equal(t, "ok", out)
	})
}

func TestCallLimitsAreChargedOncePerCall(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, e Engine) {
		attempts := limits.Calls(100, time.Hour).EachAttempt()
		attempts.Name = "attempts"
		set := limits.MustNew(limits.Calls(100, time.Hour), attempts, limits.Resource("c", 5))
		impl := &Scripted{Body: func(ctx context.Context, n int, _ string) (string, error) {
			if _, err := limits.Acquire(ctx, limits.Units{"c": 1}); err != nil {
				return "", err
			}
			if n < 4 {
				return "", errors.New("not yet")
			}
			return "", nil
		}}
		d, do := Limited(e, set, nil, retrypolicy.Policy{NumRetries: 5})
		_, err := Run(t, e, d, do, impl, "x")
		require.NoError(t, err)
		usage := set.Snapshot().Limits
		assert.InDelta(t, 1, usage[0].InUse, 0, "retries don't count")
		assert.InDelta(t, 4, usage[1].InUse, 0, "unless they are asked to")
	})
}

func TestCallsWaitForLimitsAndNoneIsLost(t *testing.T) {
	t.Parallel()
	for _, e := range []Engine{InPlace, OnServer} {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			const calls, capacity = 30, 3
			queue, c := Queue(t), Client(t)
			var inside gauge
			var failing sync.Map
			impl := &Scripted{Body: func(_ context.Context, _ int, in string) (string, error) {
				inside.enter()
				defer inside.now.Add(-1)
				if _, failed := failing.LoadOrStore(in, true); !failed {
					return "", errors.New("once")
				}
				return in, nil
			}}
			d, do := Limited(e, limits.PerWorker(limits.Resource("c", capacity)), limits.Units{"c": 1}, retrypolicy.Policy{NumRetries: 3})
			w := Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
			outs, err := do.With(activity.CallOptions{TaskQueue: queue}).SubmitMap(t.Context(), c, Inputs(calls))
			require.NoError(t, err)
			assert.Equal(t, Inputs(calls), outs)
			assert.EqualValues(t, 2*calls, impl.Started.Load(), "waiting for limits is no attempt")
			assert.LessOrEqual(t, inside.most.Load(), int64(capacity))
			sets, err := worker.Limits(w, d)
			require.NoError(t, err)
			for _, s := range sets.Snapshots() {
				assert.Zero(t, s.Leases)
			}
		})
	}
}

// A wait longer than InPlace goes to the server, which counts no attempt, and
// does not use up the few server attempts that calls without limits have.
func TestLongWaitForLimitsIsTheServers(t *testing.T) {
	t.Parallel()
	queue := Queue(t)
	set := limits.MustNew(limits.Resource("c", 1))
	held, err := set.Acquire(t.Context(), limits.Units{"c": 1})
	require.NoError(t, err)
	metrics := newCounters()
	c := testsuite.Dial(t, testsuite.Server(t), client.Options{MetricsHandler: metrics, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	var serverAttempt atomic.Int32
	impl := &Scripted{Body: func(ctx context.Context, n int, _ string) (string, error) {
		serverAttempt.Store(activity.GetInfo(ctx).Attempt)
		return fmt.Sprint(n, len(activity.Previous(ctx))), nil
	}}
	d := activity.Define[*Scripted]("Short", activity.Options{
		Retry: retrypolicy.Policy{InPlace: 10 * time.Millisecond}, CallTimeout: time.Minute, Limits: set, Requires: limits.Units{"c": 1},
	})
	short := activity.Method(d, "Do", (*Scripted).Do)
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	call := Submit(t, c, short, queue, "x")
	require.Eventually(t, func() bool { return metrics.ours()["concurry_limit_hand_backs"] >= 3 }, 30*time.Second, 10*time.Millisecond)
	held.Release()
	out, err := call.Get(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "1 0", out, "the first attempt, and nothing before it")
	assert.GreaterOrEqual(t, serverAttempt.Load(), int32(4))
	assert.Positive(t, metrics.ours()["concurry_limit_wait"])
}

// However long the wait in place may be: one that the worker's end cuts off says
// nothing about the room on other workers.
func TestWaitForLimitsComesBackSoonWhenItsWorkerStops(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	d := activity.Define[*Scripted]("Scripted", activity.Options{
		Retry: retrypolicy.Policy{InPlace: time.Hour}, CallTimeout: 3 * time.Hour, Limits: limits.PerWorker(limits.Resource("c", 1)), Requires: limits.Units{"c": 1},
	})
	do := activity.Method(d, "Do", (*Scripted).Do)
	impl := &Scripted{Body: func(context.Context, int, string) (string, error) { return "there", nil }}
	start := func() *worker.Worker {
		return Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	}
	full := start()
	sets, err := worker.Limits(full, d)
	require.NoError(t, err)
	_, err = sets.For("").Acquire(t.Context(), limits.Units{"c": 1})
	require.NoError(t, err)
	call := Submit(t, c, do, queue, "x")
	require.Eventually(t, func() bool { return sets.Snapshots()[""].Waiting == 1 }, 20*time.Second, 5*time.Millisecond)
	full.Stop()
	start()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := call.Get(ctx)
	require.NoError(t, err)
	assert.Equal(t, "there", out)
	assert.EqualValues(t, 1, impl.Started.Load())
}

func TestWaitForLimitsEndsWithTheCall(t *testing.T) {
	t.Parallel()
	full := func(t *testing.T) *limits.Set {
		t.Helper()
		set := limits.MustNew(limits.Resource("c", 1))
		lease, err := set.Acquire(t.Context(), limits.Units{"c": 1})
		require.NoError(t, err)
		t.Cleanup(lease.Release)
		return set
	}
	for _, e := range []Engine{Sync, InPlace, OnServer} {
		t.Run("timeout/"+string(e), func(t *testing.T) {
			t.Parallel()
			set := full(t)
			d := activity.Define[*Scripted]("Scripted", activity.Options{
				Retry: e.Policy(retrypolicy.Policy{}), CallTimeout: 4 * time.Second, Limits: set, Requires: limits.Units{"c": 1},
			})
			do := activity.Method(d, "Do", (*Scripted).Do)
			impl := &Scripted{}
			_, err := Run(t, e, d, do, impl, "x")
			require.ErrorContains(t, err, "limits: no room for c, 0 ahead")
			assert.Zero(t, impl.Started.Load())
			assert.Zero(t, set.Snapshot().Waiting)
			if e != Sync {
				var app *temporal.ApplicationError
				require.ErrorAs(t, err, &app)
				assert.Equal(t, "LimitWait", app.Type())
			}
		})
	}
	// In place the heartbeats tell of it, or else the record with which the call
	// goes to the server.
	for name, waits := range map[string]struct{ inPlace, heartbeat time.Duration }{
		"cancellation in place":   {time.Hour, time.Second},
		"cancellation on the way": {time.Second, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			queue, c, set := Queue(t), Client(t), full(t)
			d := activity.Define[*Scripted]("Scripted", activity.Options{
				Retry: retrypolicy.Policy{InPlace: waits.inPlace}, CallTimeout: time.Minute, HeartbeatTimeout: waits.heartbeat,
				Limits: set, Requires: limits.Units{"c": 1},
			})
			do := activity.Method(d, "Do", (*Scripted).Do)
			Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, &Scripted{}) })
			call := Submit(t, c, do, queue, "x")
			require.Eventually(t, func() bool { return set.Snapshot().Waiting == 1 }, 20*time.Second, 5*time.Millisecond)
			require.NoError(t, call.Cancel(t.Context(), "enough"))
			_, err := call.Get(t.Context())
			var canceled *temporal.CanceledError
			require.ErrorAs(t, err, &canceled)
			assert.Zero(t, set.Snapshot().Waiting)
		})
	}
}

// The call ends with its last outcome, and says that it was the limits.
func TestWaitForLimitsEndsWithTheLastOutcome(t *testing.T) {
	t.Parallel()
	for _, e := range []Engine{Sync, InPlace, OnServer} {
		for _, refused := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/refused %v", e, refused), func(t *testing.T) {
				t.Parallel()
				set := limits.MustNew(limits.Rate("r", 1, time.Hour))
				impl := &Scripted{Body: func(context.Context, int, string) (string, error) {
					if refused {
						return "bad", nil
					}
					return "", errors.New("no disk")
				}}
				d := activity.Define[*Scripted]("Scripted", activity.Options{
					Retry: e.Policy(retrypolicy.Policy{NumRetries: 3, Wait: time.Millisecond}), CallTimeout: 4 * time.Second,
					Limits: set, Requires: limits.Units{"r": 1},
				})
				do := activity.Method(d, "Do", (*Scripted).Do, activity.MethodOptions[string, string]{
					RetryUntil: []validation.Validator[string]{func(s string, _ retrypolicy.Attempt) error {
						if s == "bad" {
							return errors.New("no good")
						}
						return nil
					}},
				})
				_, err := Run(t, e, d, do, impl, "x")
				assert.EqualValues(t, 1, impl.Started.Load())
				stop, ok := retrypolicy.StopOf(err)
				assert.True(t, ok, "%v", err)
				assert.Equal(t, retrypolicy.StopLimits, stop.Stop)
				if _, late := errors.AsType[*temporal.TimeoutError](err); !late { // a slow server ends the call itself
					require.ErrorContains(t, err, "no room for r")
				}
				var rve *validation.RetryValidationError
				assert.Equal(t, refused, validation.As(err, &rve))
				if !refused {
					require.ErrorContains(t, err, "no disk")
				}
			})
		}
	}
}

func TestWaitForLimitsDoesNotEatTheAttemptsTimeout(t *testing.T) {
	t.Parallel()
	for _, e := range []Engine{Sync, InPlace} {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			set := limits.MustNew(limits.Resource("c", 1))
			lease, err := set.Acquire(t.Context(), limits.Units{"c": 1})
			require.NoError(t, err)
			time.AfterFunc(600*time.Millisecond, lease.Release)
			impl := &Scripted{Body: func(ctx context.Context, _ int, _ string) (string, error) {
				deadline, _ := ctx.Deadline()
				if left := time.Until(deadline); left < 400*time.Millisecond {
					return "", fmt.Errorf("%v left of half a second", left)
				}
				return "in time", nil
			}}
			d := activity.Define[*Scripted]("Scripted", activity.Options{
				Retry: e.Policy(retrypolicy.Policy{}), AttemptTimeout: 500 * time.Millisecond, Limits: set, Requires: limits.Units{"c": 1},
			})
			do := activity.Method(d, "Do", (*Scripted).Do)
			out, err := Run(t, e, d, do, impl, "x")
			require.NoError(t, err)
			assert.Equal(t, "in time", out)
		})
	}
}

func TestKeysOfCallsAreIndependent(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, e Engine) {
		keyed := limits.MustNewKeyed(limits.Resource("c", 1))
		busy, err := keyed.For("tenant a").Acquire(t.Context(), limits.Units{"c": 1})
		require.NoError(t, err)
		defer busy.Release()
		d := activity.Define[*Scripted]("Scripted", activity.Options{CallTimeout: 20 * time.Second, Limits: keyed, Requires: limits.Units{"c": 1}})
		do := activity.Method(d, "Do", (*Scripted).Do, activity.MethodOptions[string, string]{LimitKey: func(tenant string) string { return tenant }})
		impl := &Scripted{Body: func(context.Context, int, string) (string, error) { return strconv.Itoa(keyed.Len()), nil }}
		out, err := Run(t, e, d, do, impl, "tenant b")
		require.NoError(t, err)
		assert.Equal(t, "2", out)
	})
}

func TestBadLimitsAreRefusedBeforeAnythingRuns(t *testing.T) {
	t.Parallel()
	options := func(source limits.Source, requires limits.Units) activity.Options {
		return activity.Options{CallTimeout: time.Minute, Limits: source, Requires: requires}
	}
	_, err := activity.NewDefinition[*Scripted]("Scripted", options(limits.PerWorker(limits.Resource("c", 0), limits.Rate("r", 1, 0)), nil))
	require.ErrorContains(t, err, `Scripted: Limits: limit "c": Capacity 0: must be a whole number from 1`)
	require.ErrorContains(t, err, `Scripted: Limits: limit "r": Window 0s: must be above 0`)
	_, err = activity.NewDefinition[*Scripted]("Scripted", options((*limits.Declaration)(nil), nil))
	require.ErrorContains(t, err, `Scripted: Limits: declaration "nil": must be made by limits.PerWorker, PerSession or PerSessionOrWorker`)
	for want, o := range map[string]activity.Options{
		`Scripted.Do: Requires: limits: units of "d" 1: no such limit; there are c`:        options(limits.PerWorker(limits.Resource("c", 1)), limits.Units{"d": 1}),
		`Scripted.Do: Requires: limits: units of "c" 2: must be from 1 to 1, which is all`: options(limits.PerSessionOrWorker(limits.Resource("c", 1)), limits.Units{"c": 2}),
		`Scripted.Do: Requires: limits: units of "c" 0: must be from 1`:                    options(limits.MustNew(limits.Resource("c", 1)), limits.Units{"c": 0}),
		`Scripted.Do: Requires map[c:1]: must be empty without Limits`:                     options(nil, limits.Units{"c": 1}),
	} {
		d := activity.Define[*Scripted]("Scripted", o)
		_, err = activity.NewMethod(d, "Do", (*Scripted).Do)
		require.ErrorContains(t, err, want)
	}
	d := activity.Define[*Scripted]("Scripted", options(limits.MustNew(limits.Resource("c", 1)), nil))
	_, err = activity.NewMethod(d, "Do", (*Scripted).Do, activity.MethodOptions[string, string]{LimitKey: func(string) string { return "" }})
	require.ErrorContains(t, err, "Scripted.Do: LimitKey \"a function\": must be nil unless Limits is a declaration or a keyed set")
}

func TestLimitKeyThatPanicsEndsTheCall(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, e Engine) {
		d := activity.Define[*Scripted]("Scripted", activity.Options{CallTimeout: 20 * time.Second, Limits: limits.PerWorker(limits.Resource("c", 1))})
		do := activity.Method(d, "Do", (*Scripted).Do, activity.MethodOptions[string, string]{LimitKey: func(string) string { panic("out of cheese") }})
		impl := &Scripted{}
		_, err := Run(t, e, d, do, impl, "x")
		require.ErrorContains(t, err, "LimitKey panicked: out of cheese")
		assert.Zero(t, impl.Started.Load())
	})
}

func TestLimitsOfAWorkerCanBeSeenAndResized(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	running, release := make(chan struct{}), make(chan struct{})
	impl := &Scripted{Body: func(context.Context, int, string) (string, error) {
		running <- struct{}{}
		<-release
		return "", nil
	}}
	d, do := Limited(InPlace, limits.PerWorker(limits.Resource("c", 1)), limits.Units{"c": 1}, retrypolicy.Policy{})
	w := Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	calls := []*activity.Call[string]{Submit(t, c, do, queue, "1"), Submit(t, c, do, queue, "2")}
	<-running
	sets, err := worker.Limits(w, d)
	require.NoError(t, err)
	assert.InDelta(t, 1, sets.Snapshots()[""].Limits[0].InUse, 0)
	require.NoError(t, sets.Resize("c", 2))
	<-running // the second
	close(release)
	for _, call := range calls {
		_, err := call.Get(t.Context())
		require.NoError(t, err)
	}
	plain, _ := Limited(InPlace, nil, nil, retrypolicy.Policy{})
	_, err = worker.Limits(w, plain)
	require.EqualError(t, err, "worker: Limits: Scripted has none")
	own, _ := Limited(InPlace, limits.MustNew(limits.Resource("c", 1)), nil, retrypolicy.Policy{})
	_, err = worker.Limits(w, own)
	require.EqualError(t, err, "worker: Limits: those of Scripted are a *limits.Set of the program's own, with Snapshot and Resize")
}

// The second of two calls stays on the server, although the worker is idle.
func TestSlotsKeepTheWorkerFromPollingWithoutRoom(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	set := limits.MustNew(limits.Resource("gpu", 1))
	running, release := make(chan struct{}), make(chan struct{})
	impl := &Scripted{Body: func(context.Context, int, string) (string, error) {
		running <- struct{}{}
		<-release
		return "", nil
	}}
	d, do := Define(t, InPlace, retrypolicy.Policy{})
	w := worker.New(c, queue, worker.Options{DisableWorkflowWorker: true}, worker.Slots(set, limits.Units{"gpu": 1}))
	worker.Register(w, d, impl)
	require.NoError(t, w.Start())
	first, second := Submit(t, c, do, queue, "1"), Submit(t, c, do, queue, "2")
	<-running
	assert.InDelta(t, 1, set.Snapshot().Limits[0].InUse, 0)
	states := func() (waiting int) {
		for _, call := range []*activity.Call[string]{first, second} {
			if d, err := call.Describe(t.Context()); err == nil && d.State == activity.CallWaiting {
				waiting++
			}
		}
		return waiting
	}
	assert.Equal(t, 1, states())
	release <- struct{}{}
	<-running
	release <- struct{}{}
	for _, call := range []*activity.Call[string]{first, second} {
		_, err := call.Get(t.Context())
		require.NoError(t, err)
	}
	w.Stop()
	assert.Zero(t, set.Snapshot().Leases, "also the slot of the poll that brought nothing")
}

func TestBadSlotsAreTold(t *testing.T) {
	t.Parallel()
	set := limits.MustNew(limits.Resource("gpu", 1))
	_, err := worker.NewPlugin(worker.Slots(nil, nil))
	require.EqualError(t, err, "worker: Slots: the limiter is nil")
	_, err = worker.NewPlugin(worker.Slots(set, limits.Units{"gpu": 2}))
	require.ErrorContains(t, err, `worker: Slots: limits: units of "gpu" 2: must be from 1 to 1`)
	err = worker.New(Lazy(t), "q", worker.Options{MaxConcurrentActivityExecutionSize: 5}, worker.Slots(set, limits.Units{"gpu": 1})).Start()
	require.ErrorContains(t, err, "worker: MaxConcurrentActivityExecutionSize 5: must be 0 with Slots, which decide it")
}

func TestPoliciesHaveLimitsToo(t *testing.T) {
	t.Parallel()
	var inside gauge
	release := make(chan struct{})
	impl := &payments{charge: func(context.Context, int, []string) (string, error) {
		inside.enter()
		defer inside.now.Add(-1)
		<-release
		return "charged", nil
	}}
	queue, c := Queue(t), Client(t)
	checkout := func(ctx workflow.Context) error {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute, HeartbeatTimeout: 10 * time.Second})
		var all []workflow.Future
		for range 6 {
			all = append(all, workflow.ExecuteActivity(ctx, impl.ChargeCard, []string{"a"}))
		}
		for _, f := range all {
			if err := f.Get(ctx, nil); err != nil {
				return err
			}
		}
		return nil
	}
	w := sdkworker.New(c, queue, sdkworker.Options{Plugins: []sdkworker.Plugin{worker.Plugin(worker.Policies{"ChargeCard": {
		Limits: limits.PerWorker(limits.Resource("c", 2)), Requires: limits.Units{"c": 1},
	}})}})
	w.RegisterActivity(impl)
	w.RegisterWorkflow(checkout)
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, checkout)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return inside.now.Load() == 2 }, 20*time.Second, time.Millisecond)
	close(release)
	require.NoError(t, run.Get(t.Context(), nil))
	assert.EqualValues(t, 2, inside.most.Load())
	assert.Len(t, impl.serverAttempts(), 6)
}
