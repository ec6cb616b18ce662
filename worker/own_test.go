package worker_test

import (
	"context"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdkactivity "go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	sdkworker "go.temporal.io/sdk/worker"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/worker"
)

// Each of two workers has one unit, and the body on each waits for the other.
func TestWorkersThatShareAPluginHaveLimitsOfTheirOwn(t *testing.T) {
	t.Parallel()
	for name, plugins := range map[string]func(p func() *worker.PluginSet) (ofClient []client.Plugin, ofWorker func() []sdkworker.Plugin){
		"the client's": func(p func() *worker.PluginSet) ([]client.Plugin, func() []sdkworker.Plugin) {
			return []client.Plugin{p()}, func() []sdkworker.Plugin { return nil }
		},
		"one in both workers' options": func(p func() *worker.PluginSet) ([]client.Plugin, func() []sdkworker.Plugin) {
			shared := p()
			return nil, func() []sdkworker.Plugin { return []sdkworker.Plugin{shared} }
		},
		"the client's, and one each": func(p func() *worker.PluginSet) ([]client.Plugin, func() []sdkworker.Plugin) {
			return []client.Plugin{p()}, func() []sdkworker.Plugin { return []sdkworker.Plugin{worker.Plugin()} }
		},
		"one each": func(p func() *worker.PluginSet) ([]client.Plugin, func() []sdkworker.Plugin) {
			return nil, func() []sdkworker.Plugin { return []sdkworker.Plugin{p()} }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shown := newPanel()
			ofClient, ofWorker := plugins(func() *worker.PluginSet {
				return worker.Plugin(worker.Policies{"Meet": {
					Retry: retrypolicy.Policy{InPlace: time.Hour}, Limits: limits.PerWorker(limits.Resource("r", 1)), Requires: limits.Units{"r": 1},
				}}, worker.LimitMetrics(shown, time.Millisecond))
			})
			c := testsuite.Dial(t, testsuite.Server(t), client.Options{Plugins: ofClient})
			var inside atomic.Int32
			both, leave := make(chan struct{}), make(chan struct{})
			var queues []string
			var workers []sdkworker.Worker
			for i := range 2 {
				queue := Queue(t)
				w := sdkworker.New(c, queue, sdkworker.Options{DisableWorkflowWorker: true, MaxConcurrentActivityExecutionSize: 4 + 100*i, Plugins: ofWorker()})
				w.RegisterActivityWithOptions(func(context.Context) error {
					if inside.Add(1) == 2 {
						close(both)
					}
					<-leave
					return nil
				}, sdkactivity.RegisterOptions{Name: "Meet"})
				require.NoError(t, w.Start())
				queues, workers = append(queues, queue), append(workers, w)
			}
			var calls []client.ActivityHandle
			for _, queue := range queues {
				h, err := c.ExecuteActivity(t.Context(), client.StartActivityOptions{
					ID: queue, TaskQueue: queue, StartToCloseTimeout: time.Hour, HeartbeatTimeout: 10 * time.Second,
				}, "Meet")
				require.NoError(t, err)
				calls = append(calls, h)
			}
			Next(t, both)
			for _, queue := range queues {
				gauge := "concurry_limit_in_use{Meet,r," + queue + "}"
				assert.Eventually(t, func() bool { return shown.shown()[gauge] == 1 }, Timeout, time.Millisecond, "%s of %v", gauge, shown.shown())
			}
			close(leave)
			for _, h := range calls {
				require.NoError(t, h.Get(t.Context(), nil))
			}
			for i, w := range workers {
				w.Stop()
				assert.Zero(t, shown.shown()["concurry_limit_in_use{Meet,r,"+queues[i]+"}"], "a worker that is gone uses nothing")
			}
		})
	}
}

// The first worker of the plugin has four slots, and the second many: the one
// that waits on the first is not alone for what happens on the second.
func TestWorkersThatShareAPluginCountTheirOwnWaits(t *testing.T) {
	t.Parallel()
	plugin := worker.Plugin(worker.Policies{"Flaky": {Retry: retrypolicy.Policy{NumRetries: 1, Wait: 300 * time.Millisecond, Jitter: retrypolicy.NoJitter}}})
	c := testsuite.Dial(t, testsuite.Server(t), client.Options{Plugins: []client.Plugin{plugin}})
	serverAttempts := make(chan int32, 100)
	run := func(slots int) string {
		queue := Queue(t)
		w := sdkworker.New(c, queue, sdkworker.Options{DisableWorkflowWorker: true, MaxConcurrentActivityExecutionSize: slots})
		w.RegisterActivityWithOptions(func(ctx context.Context) error {
			serverAttempts <- sdkactivity.GetInfo(ctx).Attempt
			if activity.Previous(ctx) == nil {
				return errDeclined
			}
			return nil
		}, sdkactivity.RegisterOptions{Name: "Flaky"})
		require.NoError(t, w.Start())
		t.Cleanup(w.Stop)
		return queue
	}
	small, large := run(3), run(100)
	for queue, want := range map[string]int32{small: 2, large: 1} {
		h, err := c.ExecuteActivity(t.Context(), client.StartActivityOptions{ID: queue, TaskQueue: queue, StartToCloseTimeout: time.Hour, HeartbeatTimeout: 10 * time.Second}, "Flaky")
		require.NoError(t, err)
		require.NoError(t, h.Get(t.Context(), nil))
		assert.EqualValues(t, 1, <-serverAttempts)
		assert.Equal(t, want, <-serverAttempts)
	}
}

func TestPoliciesOfAClientAreNotMissedOnAWorkerWithAPluginOfItsOwn(t *testing.T) {
	t.Parallel()
	policies := func(name string) *worker.PluginSet {
		return worker.Plugin(worker.Policies{name: {Retry: retrypolicy.Policy{NumRetries: 1}}})
	}
	c := testsuite.Dial(t, testsuite.Server(t), client.Options{Plugins: []client.Plugin{policies("Elsewhere")}})
	start := func(p *worker.PluginSet) error {
		w := sdkworker.New(c, Queue(t), sdkworker.Options{DisableWorkflowWorker: true, Plugins: []sdkworker.Plugin{p}})
		w.RegisterActivity(refund)
		err := w.Start()
		if err == nil {
			t.Cleanup(w.Stop)
		}
		return err
	}
	require.NoError(t, start(policies("refund")))
	require.ErrorContains(t, start(policies("refnud")), "worker: Policies: refnud: no such activity is registered; there are refund")

	// What one worker lacks, another of the same plugin may have.
	both := policies("refund")
	require.NoError(t, start(both))
	w := sdkworker.New(c, Queue(t), sdkworker.Options{DisableWorkflowWorker: true, Plugins: []sdkworker.Plugin{both}})
	w.RegisterActivityWithOptions(refund, sdkactivity.RegisterOptions{Name: "Other"})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
}

func TestReplayerHasTheInterceptorOnce(t *testing.T) {
	t.Parallel()
	o := sdkworker.WorkflowReplayerOptions{}
	for range 2 {
		require.NoError(t, worker.Plugin(worker.Policies{"X": {}}).ConfigureWorkflowReplayer(t.Context(), sdkworker.PluginConfigureWorkflowReplayerOptions{WorkflowReplayerOptions: &o}))
	}
	assert.Len(t, o.Interceptors, 1)
}

func TestWorkerIsOneOfTemporals(t *testing.T) {
	t.Parallel()
	var w sdkworker.Worker = worker.New(Lazy(t), "q", worker.Options{})
	w.RegisterActivity(refund)
	assert.Panics(t, func() { w.RegisterActivity(refund) }, "it has it already: the call went through")
	for i := range reflect.TypeFor[worker.Worker]().NumField() {
		field := reflect.TypeFor[worker.Worker]().Field(i)
		assert.False(t, field.IsExported(), "by %s one could pass Start, which registers, and Stop", field.Name)
	}
}
