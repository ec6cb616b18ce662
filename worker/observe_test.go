package worker_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdkactivity "go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/internal/activityhost"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/worker"
)

// counters is a metrics handler that adds up, as Temporal's SDK takes one.
type counters struct {
	mu     *sync.Mutex
	values map[string]int64
	stop   string
}

func newCounters() *counters { return &counters{mu: &sync.Mutex{}, values: map[string]int64{}} }

func (c *counters) WithTags(tags map[string]string) client.MetricsHandler {
	if stop, ok := tags[activityhost.TagStop]; ok {
		return &counters{mu: c.mu, values: c.values, stop: "{stop=" + stop + "}"}
	}
	return c
}

func (c *counters) Counter(name string) client.MetricsCounter {
	return counter(func(n int64) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.values[name+c.stop] += n
	})
}

func (*counters) Gauge(string) client.MetricsGauge { return nothing{} }

func (c *counters) Timer(name string) client.MetricsTimer {
	return timer(func(time.Duration) { c.Counter(name).Inc(1) })
}

type (
	counter func(n int64)
	timer   func(d time.Duration)
	nothing struct{}
)

func (c counter) Inc(n int64)          { c(n) }
func (t timer) Record(d time.Duration) { t(d) }
func (nothing) Update(float64)         {}

// ours are the engine's own metrics.
func (c *counters) ours() map[string]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	values := maps.Clone(c.values)
	maps.DeleteFunc(values, func(name string, _ int64) bool { return !strings.HasPrefix(name, "concurry_") })
	return values
}

func TestMetricsCountAttemptsRetriesAndGiveUps(t *testing.T) {
	t.Parallel()
	queue, metrics := Queue(t), newCounters()
	c := testsuite.Dial(t, testsuite.Server(t), client.Options{
		Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler)), MetricsHandler: metrics,
	})
	refuse := func(s string, _ retrypolicy.Attempt) error {
		if s == "bad" {
			return errors.New("no good")
		}
		return nil
	}
	script := map[string][]string{"recovers": {"bad", "error", "good"}, "does not": {"error", "bad", "bad"}, "at once": {"good"}}
	var mu sync.Mutex
	impl := &Scripted{Body: func(_ context.Context, _ int, in string) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		out := script[in][0]
		script[in] = script[in][1:]
		if out == "error" {
			return "", errors.New("service away")
		}
		return out, nil
	}}
	d, do := Define(t, InPlace, retrypolicy.Policy{NumRetries: 2}, refuse)
	plain, plainly := activity.Define[*Scripted]("Plain", activity.Options{Retry: retrypolicy.Policy{NumRetries: 1}, CallTimeout: time.Minute}), &Scripted{
		Body: func(_ context.Context, _ int, in string) (string, error) { return in, nil },
	}
	unjudged := activity.Method(plain, "Do", (*Scripted).Do)
	var seen Events
	Start(t, c, queue, func(w *worker.Worker) {
		worker.Register(w, d, impl)
		worker.Register(w, plain, plainly)
	}, worker.Observe(seen.Observe))
	for in := range map[string]bool{"recovers": true, "does not": false, "at once": true} {
		_, _ = Submit(t, c, do, queue, in).Get(t.Context())
	}
	_, err := Submit(t, c, unjudged, queue, "x").Get(t.Context())
	require.NoError(t, err)
	assert.Equal(t, map[string]int64{
		activityhost.MetricAttempts: 8, activityhost.MetricAttemptsFailed: 2, activityhost.MetricAttemptsRefused: 3,
		activityhost.MetricRetries: 4, activityhost.MetricRetryWait: 4, activityhost.MetricGiveUps + "{stop=retries spent}": 1,
	}, metrics.ours())
	assert.Len(t, seen.Told(), 8)
	assert.Contains(t, seen.Told(), "Plain.Do 1 accepted: accept", "also where nothing has to be judged")
}

// The table in docs/observability.md has every metric there is, and no other.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/observability.md")
	require.NoError(t, err)
	var documented []string
	for line := range strings.SplitSeq(string(text), "\n") {
		if name, ok := strings.CutPrefix(line, "| `concurry_"); ok {
			name, _, _ = strings.Cut(name, "`")
			documented = append(documented, "concurry_"+name)
		}
	}
	assert.Equal(t, []string{
		activityhost.MetricAttempts, activityhost.MetricAttemptsFailed, activityhost.MetricAttemptsRefused, activityhost.MetricAttemptsLost,
		activityhost.MetricRetries, activityhost.MetricRetryWait, activityhost.MetricGiveUps, activityhost.MetricLimitWait, activityhost.MetricLimitHandBacks,
		activityhost.MetricLimitInUse, activityhost.MetricLimitUtilization, activityhost.MetricLimitWaiting, activityhost.MetricLimitOldestWait,
	}, documented)
}

// The first server attempt is one of a worker without the engine.
func TestLostAttemptIsToldOfByTheWorkerThatFindsOut(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	var seen Events
	impl := &Scripted{Body: func(context.Context, int, string) (string, error) { return "", errors.New("no disk") }}
	d := activity.Define[*Scripted]("Scripted", activity.Options{
		Retry: retrypolicy.Policy{NumRetries: 1, Wait: time.Millisecond}, CallTimeout: time.Minute, HeartbeatTimeout: time.Second, TaskQueue: queue,
	})
	do := activity.Method(d, "Do", (*Scripted).Do)
	started, over := make(chan struct{}), make(chan struct{})
	bare := sdkworker.New(c, queue, sdkworker.Options{})
	bare.RegisterActivityWithOptions(func(context.Context, string) (string, error) {
		close(started)
		<-over // it does not heartbeat
		return "", sdkactivity.ErrResultPending
	}, sdkactivity.RegisterOptions{Name: "Scripted.Do"})
	require.NoError(t, bare.Start())
	call := Submit(t, c, do, queue, "")
	Next(t, started)
	go bare.Stop()
	defer close(over)
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) }, worker.Observe(seen.Observe))
	_, err := call.Get(t.Context())
	require.ErrorContains(t, err, "no disk")
	assert.Equal(t, []string{
		"Scripted.Do 1 lost: retry (left no outcome: its worker was shut down, killed or cut off (activity Heartbeat timeout))",
		"Scripted.Do 2 failed: give up, retries spent (no disk)",
	}, seen.Told())
}

func TestCancellationAndShutdownAreToldOf(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	var seen Events
	running := make(chan struct{}, 10)
	impl := &Scripted{Body: func(ctx context.Context, _ int, _ string) (string, error) {
		running <- struct{}{}
		<-ctx.Done()
		return "", ctx.Err()
	}}
	d := activity.Define[*Scripted]("Scripted", activity.Options{
		Retry: retrypolicy.Policy{NumRetries: 3, Wait: time.Millisecond}, CallTimeout: time.Minute, HeartbeatTimeout: time.Second,
		Observers: []retrypolicy.Observer{seen.Observe},
	})
	do := activity.Method(d, "Do", (*Scripted).Do)
	first := worker.New(c, queue, worker.Options{WorkerStopTimeout: time.Millisecond})
	worker.Register(first, d, impl)
	require.NoError(t, first.Start())
	call := Submit(t, c, do, queue, "")
	<-running
	first.Stop()
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	<-running
	require.NoError(t, call.Cancel(t.Context(), "enough"))
	_, err := call.Get(t.Context())
	require.Error(t, err)
	assert.Equal(t, []string{
		"Scripted.Do 1 lost: retry (attempt 1 was cut off: worker is now shutdown)",
		"Scripted.Do 2 failed: give up, canceled (context canceled)",
	}, seen.Told())
}

func TestObserverThatPanicsChangesNothing(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, e Engine) {
		impl := &Scripted{Body: func(_ context.Context, n int, in string) (string, error) {
			if n == 1 {
				return "", errors.New("not yet")
			}
			return in, nil
		}}
		var seen Events
		d := activity.Define[*Scripted]("Scripted", activity.Options{
			Retry: e.Policy(retrypolicy.Policy{NumRetries: 3, Wait: time.Millisecond}), CallTimeout: time.Minute,
			Observers: []retrypolicy.Observer{
				func(context.Context, retrypolicy.Event) { panic("out of cheese") },
				seen.Observe,
			},
		})
		do := activity.Method(d, "Do", (*Scripted).Do)
		out, err := Run(t, e, d, do, impl, "x")
		require.NoError(t, err)
		assert.Equal(t, "x", out)
		assert.Equal(t, []string{"Scripted.Do 1 failed: retry (not yet)", "Scripted.Do 2 accepted: accept"}, seen.Told())
	})
}

func TestBadOptionsOfAWorkerAreTold(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]worker.Option{
		"worker: Observe: observer 0 is nil": worker.Observe(nil),
		"worker: Random: the source is nil":  worker.Random(nil),
		"worker: option 0 is nil":            nil,
	} {
		_, err := worker.NewPlugin(o)
		require.EqualError(t, err, want)
		err = worker.New(Client(t), Queue(t), worker.Options{}, o).Start()
		require.ErrorContains(t, err, want)
	}
}

func TestEventsCanBeKept(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, e Engine) {
		kept := make(chan retrypolicy.Event, 10)
		var reads sync.WaitGroup
		impl := &Scripted{Body: func(context.Context, int, string) (string, error) { return "", errors.New("x") }}
		d, do := ScriptedWith(activity.Options{
			Retry: e.Policy(retrypolicy.Policy{NumRetries: 3, Wait: time.Millisecond}),
			Observers: []retrypolicy.Observer{func(_ context.Context, event retrypolicy.Event) {
				kept <- event
				reads.Go(func() { _ = event.Previous() }) // a race, if the call goes on with the same
			}},
		})
		_, err := Run(t, e, d, do, impl, "in")
		require.Error(t, err)
		reads.Wait()
		close(kept)
		n := 0
		for event := range kept {
			assert.Len(t, event.Previous(), n, "before attempt %d", event.Number)
			assert.Equal(t, []any{"in"}, event.Args())
			n++
		}
		assert.Equal(t, 4, n)
	})
}

func TestRetryThatTheCallersOptionsForbidCostsNoBudget(t *testing.T) {
	t.Parallel()
	budget := &retrypolicy.Budget{}
	own := workflow.ActivityOptions{StartToCloseTimeout: time.Minute, RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1}}
	p := quick(3)
	p.InPlace, p.Budget = -1, budget
	_, err := receipt(t, shop(t, Client(t), &payments{charge: declines}, own, activity.Options{Retry: p}))
	require.Error(t, err)
	attempts, retries := budget.Recent(time.Now())
	assert.Equal(t, 1, attempts)
	assert.Zero(t, retries, "none was made")
}

func TestAttemptCutOffUnderTheCallersLastOneIsGivenUp(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	var seen Events
	running := make(chan struct{})
	impl := &payments{charge: func(ctx context.Context, _ int, _ []string) (string, error) {
		close(running)
		<-ctx.Done()
		return "", ctx.Err()
	}}
	w := worker.New(c, queue, worker.Options{WorkerStopTimeout: 50 * time.Millisecond},
		worker.Policies{"ChargeCard": {Retry: quick(3)}}, worker.Observe(seen.Observe))
	w.RegisterActivityWithOptions(impl.ChargeCard, sdkactivity.RegisterOptions{Name: "ChargeCard"})
	require.NoError(t, w.Start())
	_, err := c.ExecuteActivity(t.Context(), client.StartActivityOptions{
		ID: queue, TaskQueue: queue, StartToCloseTimeout: time.Minute, RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1},
	}, "ChargeCard", []string{"a"})
	require.NoError(t, err)
	<-running
	w.Stop()
	require.Eventually(t, func() bool { return len(seen.Told()) == 1 }, Timeout, time.Millisecond)
	assert.Contains(t, seen.Told()[0], "ChargeCard 1 lost: give up, caller's options")
}

func TestMethodWithoutAPolicyIsObservedToo(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, e Engine) {
		var seen Events
		impl := &Scripted{Body: func(context.Context, int, string) (string, error) { return "", errors.New("away") }}
		d, do := ScriptedWith(activity.Options{Observers: []retrypolicy.Observer{seen.Observe}})
		_, err := Run(t, e, d, do, impl, "")
		require.ErrorContains(t, err, "away")
		assert.Equal(t, []string{"Scripted.Do 1 failed: give up, retries spent (away)"}, seen.Told())
	})
}
