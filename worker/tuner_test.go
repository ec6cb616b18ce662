package worker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/worker"
)

// exhausted is a machine without anything left: the resource-based supplier
// hands out its minimum.
type exhausted struct{}

func (exhausted) MemoryUsage(*sdkworker.SysInfoContext) (float64, error) { return 1, nil }
func (exhausted) CpuUsage(*sdkworker.SysInfoContext) (float64, error)    { return 1, nil } //nolint:staticcheck // Temporal's name

// ofActivities is a tuner with a supplier of one's own for activities.
func ofActivities(s sdkworker.SlotSupplier, err error) sdkworker.WorkerTuner {
	fixed, fixedErr := sdkworker.NewFixedSizeTuner(sdkworker.FixedSizeTunerOptions{})
	if err := errors.Join(err, fixedErr); err != nil {
		panic(err)
	}
	tuner, err := sdkworker.NewCompositeTuner(sdkworker.CompositeTunerOptions{
		WorkflowSlotSupplier: fixed.GetWorkflowTaskSlotSupplier(), LocalActivitySlotSupplier: fixed.GetLocalActivitySlotSupplier(),
		NexusSlotSupplier: fixed.GetNexusSlotSupplier(), ActivitySlotSupplier: s, SessionActivitySlotSupplier: fixed.GetSessionActivitySlotSupplier(),
	})
	if err != nil {
		panic(err)
	}
	return tuner
}

// bounded is somebody's own supplier, which does not say how many there are.
type bounded struct{ sdkworker.SlotSupplier }

func (bounded) MaxSlots() int { return 0 }

// slotsOf are all the ways to give a worker a number of slots.
func slotsOf(n int) map[string]func(o *sdkworker.Options) []worker.Option {
	return map[string]func(o *sdkworker.Options) []worker.Option{
		"MaxConcurrentActivityExecutionSize": func(o *sdkworker.Options) []worker.Option {
			o.MaxConcurrentActivityExecutionSize = n
			return nil
		},
		"fixed-size tuner": func(o *sdkworker.Options) []worker.Option {
			o.Tuner, _ = sdkworker.NewFixedSizeTuner(sdkworker.FixedSizeTunerOptions{NumActivitySlots: n})
			return nil
		},
		"resource-based": func(o *sdkworker.Options) []worker.Option {
			controller := sdkworker.DefaultResourceControllerOptions()
			controller.InfoSupplier = exhausted{}
			supplier, err := sdkworker.NewResourceBasedSlotSupplier(sdkworker.NewResourceController(controller),
				sdkworker.ResourceBasedSlotSupplierOptions{MinSlots: n, MaxSlots: 1000})
			o.Tuner = ofActivities(supplier, err)
			return nil
		},
		"a supplier of one's own": func(o *sdkworker.Options) []worker.Option {
			supplier, err := sdkworker.NewFixedSizeSlotSupplier(n)
			o.Tuner = ofActivities(bounded{supplier}, err)
			return nil
		},
		"Slots": func(*sdkworker.Options) []worker.Option {
			return []worker.Option{worker.Slots(limits.MustNew(limits.Resource("half", 2*n)), limits.Units{"half": 2})}
		},
		"Slots of a pool": func(*sdkworker.Options) []worker.Option {
			set := func(n int) limits.Member { return limits.Member{Set: limits.MustNew(limits.Resource("slot", n))} }
			members := []limits.Member{set(1)}
			if n > 1 {
				members = append(members, set(n-1))
			}
			pool, err := limits.NewPool(members...)
			if err != nil {
				panic(err)
			}
			return []worker.Option{worker.Slots(pool, limits.Units{"slot": 1})}
		},
	}
}

// The waiting calls wait for a limit that nobody gives free, or an hour for
// their next attempt: a call that needs neither would wait for them as long.
func TestCallThatCouldRunDoesNotWaitForCallsThatWaitInPlace(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 8} {
		for how, configure := range slotsOf(n) {
			for _, why := range []string{"limits", "retries"} {
				t.Run(fmt.Sprintf("%d/%s/%s", n, how, why), func(t *testing.T) {
					t.Parallel()
					queue, c := Queue(t), testsuite.Client(t)
					o := activity.FuncOptions[string, string]{
						Retry: retrypolicy.Policy{
							NumRetries: 5, Wait: time.Hour, Backoff: retrypolicy.Constant, Jitter: retrypolicy.NoJitter, InPlace: 2 * time.Hour,
						},
						AttemptTimeout: time.Minute, TaskQueue: queue,
					}
					method := func(name string, o activity.FuncOptions[string, string], err error) *activity.FuncHandle[string, string] {
						return activity.Func(name, func(_ context.Context, in string) (string, error) { return in, err }, o)
					}
					free, waits := method("Free", o, nil), method("Fails", o, errDeclined)
					if why == "limits" {
						taken := limits.MustNew(limits.Resource("r", 1))
						_, err := taken.TryAcquire(limits.Units{"r": 1})
						require.NoError(t, err)
						o.Limits, o.Requires = taken, limits.Units{"r": 1}
						waits = method("Waits", o, nil)
					}
					options := sdkworker.Options{DisableWorkflowWorker: true, WorkerStopTimeout: time.Second}
					refine := configure(&options)
					w := worker.New(c, queue, options, refine...)
					worker.RegisterFunc(w, waits)
					worker.RegisterFunc(w, free)
					require.NoError(t, w.Start())
					t.Cleanup(w.Stop)
					for range n + 5 {
						_, err := waits.Submit(t.Context(), c, "")
						require.NoError(t, err)
					}
					for range 3 {
						call, err := free.Submit(t.Context(), c, "free")
						require.NoError(t, err)
						ctx, cancel := context.WithTimeout(t.Context(), Timeout)
						out, err := call.Get(ctx)
						cancel()
						require.NoError(t, err)
						assert.Equal(t, "free", out)
					}
				})
			}
		}
	}
}

// One slot is no reason to give a retry without a wait to the server.
func TestRetryWithoutAWaitStaysAlsoWhereNoneMayWait(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	var serverAttempts []int32
	impl := &Scripted{Body: func(ctx context.Context, _ int, _ string) (string, error) {
		serverAttempts = append(serverAttempts, activity.GetInfo(ctx).Attempt)
		return "", errDeclined
	}}
	d, do := ScriptedWith(activity.Options{Retry: retrypolicy.Policy{NumRetries: 2, Wait: retrypolicy.NoWait}})
	w := worker.New(c, queue, worker.Options{MaxConcurrentActivityExecutionSize: 1})
	worker.Register(w, d, impl)
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	_, err := Submit(t, c, do, queue, "").Get(t.Context())
	require.ErrorContains(t, err, "declined")
	assert.Equal(t, []int32{1, 1, 1}, serverAttempts)
}

// Three slots let nobody wait; a hundred, for activities of sessions, do.
func TestActivitiesOfSessionsWaitInTheirOwnSlots(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	few, err := sdkworker.NewFixedSizeTuner(sdkworker.FixedSizeTunerOptions{NumActivitySlots: 3})
	require.NoError(t, err)
	many, err := sdkworker.NewFixedSizeSlotSupplier(100)
	require.NoError(t, err)
	tuner, err := sdkworker.NewCompositeTuner(sdkworker.CompositeTunerOptions{
		WorkflowSlotSupplier: few.GetWorkflowTaskSlotSupplier(), LocalActivitySlotSupplier: few.GetLocalActivitySlotSupplier(),
		NexusSlotSupplier: few.GetNexusSlotSupplier(), ActivitySlotSupplier: few.GetActivityTaskSlotSupplier(), SessionActivitySlotSupplier: many,
	})
	require.NoError(t, err)
	impl := &Scripted{Body: func(ctx context.Context, _ int, _ string) (string, error) {
		if activity.AttemptNumber(ctx) == 1 {
			return "", errDeclined
		}
		return fmt.Sprint("server attempt ", activity.GetInfo(ctx).Attempt), nil
	}}
	d, do := Define(t, InPlace, retrypolicy.Policy{NumRetries: 1})
	w := worker.New(c, queue, worker.Options{EnableSessionWorker: true, Tuner: tuner})
	worker.Register(w, d, impl)
	flow := func(ctx workflow.Context) (outs []string, err error) {
		outside, err := do.Execute(ctx, "").Get(ctx)
		if err != nil {
			return nil, err
		}
		err = activity.InSession(ctx, activity.SessionOptions{}, func(ctx workflow.Context) error {
			inside, err := do.Execute(ctx, "").Get(ctx)
			local, alsoErr := do.ExecuteLocal(ctx, "").Get(ctx)
			outs = []string{outside, inside, local}
			return errors.Join(err, alsoErr)
		})
		return outs, err
	}
	w.RegisterWorkflow(flow)
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: queue}, flow)
	require.NoError(t, err)
	var outs []string
	require.NoError(t, run.Get(t.Context(), &outs))
	assert.Equal(t, []string{"server attempt 2", "server attempt 1", "server attempt 1"}, outs)
}

func TestLaterPluginDecidesAboutSlots(t *testing.T) {
	t.Parallel()
	set := limits.MustNew(limits.Resource("slot", 1))
	slots := worker.Slots(set, limits.Units{"slot": 1})
	configured := func(o sdkworker.Options, plugins ...*worker.PluginSet) (sdkworker.Options, error) {
		var err error
		for _, p := range plugins {
			err = errors.Join(err, p.ConfigureWorker(t.Context(), sdkworker.PluginConfigureWorkerOptions{WorkerInstanceKey: "key", WorkerOptions: &o}))
		}
		return o, err
	}
	o, err := configured(sdkworker.Options{MaxConcurrentActivityExecutionSize: 7, MaxConcurrentWorkflowTaskExecutionSize: 5}, worker.Plugin(), worker.Plugin())
	require.NoError(t, err)
	assert.Equal(t, 7, o.Tuner.GetActivityTaskSlotSupplier().MaxSlots())
	assert.Equal(t, 5, o.Tuner.GetWorkflowTaskSlotSupplier().MaxSlots())
	assert.Zero(t, o.MaxConcurrentActivityExecutionSize, "the SDK takes a tuner, or numbers")

	for name, plugins := range map[string][]*worker.PluginSet{
		"the client's": {worker.Plugin(slots), worker.Plugin()},
		"the worker's": {worker.Plugin(), worker.Plugin(slots)},
	} {
		o, err := configured(sdkworker.Options{}, plugins...)
		require.NoError(t, err, name)
		assert.Zero(t, o.Tuner.GetActivityTaskSlotSupplier().MaxSlots(), name)
		_, err = configured(sdkworker.Options{MaxConcurrentActivityExecutionSize: 7}, plugins...)
		require.ErrorContains(t, err, "worker: MaxConcurrentActivityExecutionSize 7: must be 0 with Slots, which decide it", name)
	}
	_, err = configured(sdkworker.Options{MaxConcurrentWorkflowTaskExecutionSize: 1}, worker.Plugin())
	require.ErrorContains(t, err, "worker: MaxConcurrentWorkflowTaskExecutionSize 1: must be 0 (the default, 1000), or at least 2")
}
