package worker_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdkactivity "go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	sdkworker "go.temporal.io/sdk/worker"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/worker"
)

// shopActivities is a struct of activities, and charge a function.
type shopActivities struct{}

func (*shopActivities) ChargeCard(context.Context) error { return nil }
func (*shopActivities) Ship(context.Context) error       { return nil }
func refund(context.Context) error                       { return nil }

func TestPoliciesOfActivitiesThatTheWorkerLacksAreTold(t *testing.T) {
	t.Parallel()
	policies := func(names ...string) worker.Policies {
		p := worker.Policies{}
		for _, name := range names {
			p[name] = activity.Options{Retry: retrypolicy.Policy{NumRetries: 1}}
		}
		return p
	}
	start := func(t *testing.T, c client.Client, plugin *worker.PluginSet, register func(w sdkworker.Worker)) error {
		t.Helper()
		o := sdkworker.Options{DisableWorkflowWorker: true}
		if plugin != nil {
			o.Plugins = []sdkworker.Plugin{plugin}
		}
		w := sdkworker.New(c, Queue(t), o)
		register(w)
		err := w.Start()
		if err == nil {
			t.Cleanup(w.Stop)
		}
		return err
	}
	all := func(w sdkworker.Worker) {
		w.RegisterActivity(&shopActivities{})
		w.RegisterActivity(refund)
		w.RegisterActivityWithOptions(refund, sdkactivity.RegisterOptions{Name: "Refund.Again"})
		w.RegisterActivityWithOptions(&shopActivities{}, sdkactivity.RegisterOptions{Name: "Shop_"})
	}
	require.NoError(t, start(t, Client(t), worker.Plugin(policies("ChargeCard", "refund", "Refund.Again", "Shop_Ship")), all))
	err := start(t, Client(t), worker.Plugin(policies("ChargeCrad")), func(w sdkworker.Worker) { w.RegisterActivity(&shopActivities{}) })
	require.ErrorContains(t, err, "worker: Policies: ChargeCrad: no such activity is registered; there are ")
	require.ErrorContains(t, err, "ChargeCard, Ship")

	// Where others may have it, nobody complains.
	require.NoError(t, start(t, Client(t), worker.Plugin(policies("Anything")), func(w sdkworker.Worker) {
		w.RegisterDynamicActivity(func(context.Context, converter.EncodedValues) error { return nil }, sdkactivity.DynamicRegisterOptions{})
	}))
	c := testsuite.Dial(t, testsuite.Server(t), client.Options{Plugins: []client.Plugin{worker.Plugin(policies("Elsewhere"))}})
	require.NoError(t, start(t, c, nil, all))
}

func TestPoliciesRefuseWhatTheCallersOptionsDecide(t *testing.T) {
	t.Parallel()
	_, err := worker.NewPlugin(worker.Policies{"A": {
		CallTimeout: time.Second, TaskQueue: "q", HeartbeatTimeout: time.Minute, ForeignWorkers: true,
	}})
	for _, want := range []string{"CallTimeout 1s", `TaskQueue "q"`, "HeartbeatTimeout 1m0s", "ForeignWorkers true"} {
		require.ErrorContains(t, err, "worker: Policies: A: "+want+": must be unset in Policies: the caller's own activity options decide it")
	}
	_, err = worker.NewPlugin(worker.Policies{"A": {HeartbeatTimeout: activity.NoHeartbeat, AttemptTimeout: time.Second}})
	require.NoError(t, err)
}

// Numbers of a single call that nobody sends must not be another call.
func TestNumbersOfACallWithoutPluginAreAnError(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	impl := &Scripted{Body: func(context.Context, int, string) (string, error) { return "", errDeclined }}
	d, do := Define(t, InPlace, retrypolicy.Policy{NumRetries: 3})
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	zero := 0
	once := do.With(activity.CallOptions{TaskQueue: queue}).With(activity.CallOptions{NumRetries: &zero})
	_, err := once.Submit(t.Context(), c, "x")
	require.ErrorContains(t, err, "Scripted.Do: Submit: NumRetries and AttemptTimeout of CallOptions, and sessions, need concurry's plugin where the call is made")

	call, err := once.Submit(t.Context(), testsuite.Client(t), "x")
	require.NoError(t, err)
	before := impl.Started.Load()
	_, err = call.Get(t.Context())
	require.ErrorContains(t, err, "declined")
	assert.LessOrEqual(t, impl.Started.Load()-before, int64(1))
}

func TestLaterCallOptionsKeepEarlierOnes(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), testsuite.Client(t)
	impl := &Scripted{Body: func(_ context.Context, _ int, in string) (string, error) { return in, nil }}
	d, do := Define(t, InPlace, retrypolicy.Policy{})
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	call, err := do.With(activity.CallOptions{ID: queue + "-7", TaskQueue: queue}).With(activity.CallOptions{Summary: "seventh"}).Submit(t.Context(), c, "x")
	require.NoError(t, err)
	assert.Equal(t, queue+"-7", call.ID())
	_, err = call.Get(t.Context())
	require.NoError(t, err)
}
