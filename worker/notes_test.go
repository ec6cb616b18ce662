package worker_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdkactivity "go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	sdkworker "go.temporal.io/sdk/worker"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/worker"
)

func TestEmptyTaskQueueIsRefusedBeforePolling(t *testing.T) {
	t.Parallel()
	for queue, want := range map[string]string{
		"":           `worker: New: taskQueue "": must not be empty`,
		"/_sys/mine": `worker: New: taskQueue "/_sys/mine": must not begin with /_sys/, as Temporal's own do`,
	} {
		w := worker.New(Lazy(t), queue, worker.Options{})
		require.EqualError(t, w.Start(), want)
		require.EqualError(t, w.Run(nil), want)
	}
}

func TestOptionsThatDoNotGoTogetherAreToldByStart(t *testing.T) {
	t.Parallel()
	err := worker.New(Lazy(t), "q", worker.Options{MaxConcurrentWorkflowTaskExecutionSize: 1}).Start()
	require.ErrorContains(t, err, "worker: MaxConcurrentWorkflowTaskExecutionSize 1: must be 0 (the default, 1000), or at least 2")
}

func TestPolicyForAMethodOfADefinitionIsRefused(t *testing.T) {
	t.Parallel()
	d, _ := Define(t, InPlace, retrypolicy.Policy{})
	policies := worker.Policies{"Scripted.Do": {Retry: retrypolicy.Policy{NumRetries: 1}}}
	const want = "worker: Scripted.Do: it is a method of a definition, whose options stand there: remove it from Policies"
	w := worker.New(Lazy(t), "q", worker.Options{}, policies)
	worker.Register(w, d, &Scripted{})
	require.EqualError(t, w.Start(), want)

	c, err := client.NewLazyClient(client.Options{HostPort: "127.0.0.1:1", Plugins: []client.Plugin{worker.Plugin(policies)}})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	w = worker.New(c, "q", worker.Options{})
	worker.Register(w, d, &Scripted{})
	require.EqualError(t, w.Start(), want, "those of the client's plugin")
}

// logLines are what a logger is given, with their level first.
type logLines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logLines) about(what string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, what) {
			found = append(found, line)
		}
	}
	return found
}

func TestLimitsThatNobodyRequiresAreTold(t *testing.T) {
	t.Parallel()
	told := &logLines{}
	c := testsuite.Dial(t, testsuite.Server(t), client.Options{
		Logger: log.NewStructuredLogger(slog.New(slog.NewTextHandler(told, &slog.HandlerOptions{Level: slog.LevelInfo}))),
	})
	source := func() limits.Source { return limits.PerWorker(limits.Resource("c", 2)) }
	define := func(name string, o activity.Options, methods ...activity.MethodOptions[int, int]) *activity.Definition[*Scripted] {
		o.CallTimeout = time.Minute
		d := activity.Define[*Scripted](name, o)
		activity.Method(d, "Do", (*Scripted).Do)
		for _, m := range methods {
			activity.Method(d, "Again", (*Scripted).Again, m)
		}
		return d
	}
	one := limits.Units{"c": 1}
	queue := Queue(t)
	w := worker.New(c, queue, worker.Options{DisableWorkflowWorker: true, Interceptors: nil}, worker.Policies{
		"IdlePolicy":  {Limits: source()},
		"RightPolicy": {Limits: source(), Requires: one},
	})
	worker.Register(w, define("Idle", activity.Options{Limits: source()}), &Scripted{})
	for _, d := range []*activity.Definition[*Scripted]{
		define("Without", activity.Options{}),
		define("Requires", activity.Options{Limits: source(), Requires: one}),
		define("OneRequires", activity.Options{Limits: source()}, activity.MethodOptions[int, int]{Requires: one}),
		define("OneRequiresOf", activity.Options{Limits: source()}, activity.MethodOptions[int, int]{
			RequiresOf: func(int) limits.Units { return one },
		}),
		define("Counts", activity.Options{Limits: limits.PerWorker(limits.Resource("c", 2), limits.Calls(9, time.Second))}),
	} {
		worker.Register(w, d, &Scripted{})
	}
	for _, name := range []string{"IdlePolicy", "RightPolicy"} {
		w.RegisterActivityWithOptions(func(context.Context) error { return nil }, sdkactivity.RegisterOptions{Name: name})
	}
	require.NoError(t, w.Start())
	h, err := c.ExecuteActivity(t.Context(), client.StartActivityOptions{ID: queue, TaskQueue: queue, StartToCloseTimeout: time.Minute}, "RightPolicy")
	require.NoError(t, err)
	require.NoError(t, h.Get(t.Context(), nil)) // it polls
	w.Stop()
	require.Len(t, told.about("limits.Acquire"), 2, "%v", told.about(""))
	for _, name := range []string{"Idle", "IdlePolicy"} {
		notes := told.about(`msg="` + name + " has Limits, but neither Requires nor RequiresOf, and no limits.Calls: they bound only what its methods acquire themselves with limits.Acquire. If they acquire nothing, set Requires to what each attempt needs.\"")
		require.Len(t, notes, 1, "%v", told.about(""))
		assert.Contains(t, notes[0], "level=INFO")
		assert.Contains(t, notes[0], queue)
	}
	var _ sdkworker.Worker = w
}
