package worker_test

import (
	"context"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/worker"
)

// panel is a metrics handler that remembers the last value of gauges.
type panel struct {
	client.MetricsHandler
	mu   *sync.Mutex
	last map[string]float64
	tags string
}

func newPanel() *panel {
	return &panel{MetricsHandler: client.MetricsNopHandler, mu: &sync.Mutex{}, last: map[string]float64{}}
}

func (p *panel) WithTags(tags map[string]string) client.MetricsHandler {
	tagged := *p
	tagged.tags = "{" + tags["activity_type"] + "," + tags["limit"] + "," + tags["task_queue"] + "}"
	return &tagged
}

func (p *panel) Gauge(name string) client.MetricsGauge {
	return gaugeFunc(func(v float64) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.last[name+p.tags] = v
	})
}

type gaugeFunc func(float64)

func (g gaugeFunc) Update(v float64) { g(v) }

func (p *panel) shown() map[string]float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.last)
}

func TestLimitMetricsShowWhatIsInUse(t *testing.T) {
	t.Parallel()
	queue, c, shown := Queue(t), Client(t), newPanel()
	release := make(chan struct{})
	impl := &Scripted{Body: func(context.Context, int, string) (string, error) { <-release; return "", nil }}
	d, do := Limited(InPlace, limits.PerWorker(limits.Resource("connections", 2), limits.Rate("requests", 10, time.Hour)), limits.Units{"connections": 2, "requests": 1}, quick(0))
	w := worker.New(c, queue, worker.Options{WorkerStopTimeout: time.Second}, worker.LimitMetrics(shown, time.Millisecond))
	worker.Register(w, d, impl)
	require.NoError(t, w.Start())
	first, second := Submit(t, c, do, queue, ""), Submit(t, c, do, queue, "")
	name := func(gauge, limit string) string {
		return "concurry_limit_" + gauge + "{Scripted.Do," + limit + "," + queue + "}"
	}
	require.Eventually(t, func() bool {
		s := shown.shown()
		return s[name("waiting", "connections")] == 1 && s[name("oldest_wait", "connections")] > 0 &&
			s[name("in_use", "connections")] == 2 && s[name("utilization", "connections")] == 1 &&
			s[name("in_use", "requests")] == 1 && s[name("utilization", "requests")] == 0.1
	}, Timeout, time.Millisecond, "%v", shown.shown())
	close(release)
	for _, call := range []*activity.Call[string]{first, second} {
		_, err := call.Get(t.Context())
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return shown.shown()[name("in_use", "connections")] == 0 }, Timeout, time.Millisecond)
	w.Stop()
	assert.Zero(t, shown.shown()[name("in_use", "requests")], "a worker that is gone uses nothing")
}

func TestLimitMetricsRefuseWhatTheyCannotUse(t *testing.T) {
	t.Parallel()
	_, err := worker.NewPlugin(worker.LimitMetrics(nil, 0))
	require.EqualError(t, err, "worker: LimitMetrics: the handler is nil")
	_, err = worker.NewPlugin(worker.LimitMetrics(newPanel(), -1))
	require.EqualError(t, err, "worker: LimitMetrics: every -1ns: must be positive, or 0 (the default, 10s)")
}
