package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/concurry-go/concurry/internal/activityhost"
	"github.com/concurry-go/concurry/limits"
)

// DefaultLimitMetricsInterval is how often LimitMetrics reports where every is zero.
const DefaultLimitMetricsInterval = 10 * time.Second

// LimitMetrics keeps gauges of the limits of the worker's methods in handler,
// such as the client's own MetricsHandler, while the worker runs. They have the
// tags "limit", the limit's name, "activity_type": the first in alphabetical
// order that is bound by it, and "task_queue", the worker's: each worker has
// limits of its own, also where several share a plugin.
//
//   - concurry_limit_in_use: units held, or counting against a rate
//   - concurry_limit_utilization: in use as a part of the capacity, the highest
//     of all keys
//   - concurry_limit_waiting: requests that wait for the set
//   - concurry_limit_oldest_wait: seconds that the first of them has waited
//
// Values of all keys and sessions are summed. Limits that nobody holds any more are
// reported as 0.
// Workers of one process that host the same methods on one task queue want
// handlers with tags of their own.
//
// every is how often they are reported; zero means DefaultLimitMetricsInterval.
func LimitMetrics(handler client.MetricsHandler, every time.Duration) Option {
	return option(func(h *activityhost.Host) error {
		switch {
		case handler == nil:
			return errors.New("worker: LimitMetrics: the handler is nil")
		case every < 0:
			return fmt.Errorf("worker: LimitMetrics: every %v: must be positive, or 0 (the default, %v)", every, DefaultLimitMetricsInterval)
		case every == 0:
			every = DefaultLimitMetricsInterval
		}
		h.Reports = append(h.Reports, &limitReport{handler: handler, every: every})
		return nil
	})
}

// limitReport is an activityhost.Report of the host's limits.
type limitReport struct {
	handler client.MetricsHandler
	every   time.Duration
}

type reported struct{ activityType, limit string }

// Run reports until ctx ends, and then that nothing is in use.
func (r *limitReport) Run(ctx context.Context, h *activityhost.Host) {
	known := map[reported]bool{} // what has been reported before
	ticks := time.NewTicker(r.every)
	defer ticks.Stop()
	for {
		r.report(h.TaskQueue, known, h.LimitSnapshots())
		select {
		case <-ticks.C:
		case <-ctx.Done():
			r.report(h.TaskQueue, known, nil)
			return
		}
	}
}

// gauges are what is reported of one limit.
type gauges struct {
	inUse, utilization float64
	waiting            int
	oldest             time.Duration
}

func (r *limitReport) report(taskQueue string, known map[reported]bool, all map[string][]limits.Snapshot) {
	sums := map[reported]*gauges{}
	for key := range known {
		sums[key] = &gauges{}
	}
	for activityType, snapshots := range all {
		for _, s := range snapshots {
			for _, l := range s.Limits {
				key := reported{activityType, l.Name}
				g := sums[key]
				if g == nil {
					g = &gauges{}
					sums[key], known[key] = g, true
				}
				g.inUse += l.InUse
				g.utilization = max(g.utilization, l.Utilization)
				g.waiting += s.Waiting
				g.oldest = max(g.oldest, s.OldestWait)
			}
		}
	}
	for key, g := range sums {
		m := r.handler.WithTags(map[string]string{"activity_type": key.activityType, "limit": key.limit, "task_queue": taskQueue})
		m.Gauge(activityhost.MetricLimitInUse).Update(g.inUse)
		m.Gauge(activityhost.MetricLimitUtilization).Update(g.utilization)
		m.Gauge(activityhost.MetricLimitWaiting).Update(float64(g.waiting))
		m.Gauge(activityhost.MetricLimitOldestWait).Update(g.oldest.Seconds())
	}
}

// reporting runs a host's reports while its worker runs.
type reporting struct {
	mu     sync.Mutex
	cancel context.CancelFunc
	over   bool
	done   sync.WaitGroup
}

func (r *reporting) begin(h *activityhost.Host) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(context.Background())
	for _, report := range h.Reports {
		r.done.Go(func() { report.Run(ctx, h) })
	}
}

// end waits until the last report is made.
func (r *reporting) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	if r.cancel != nil {
		r.cancel()
	}
	r.done.Wait()
}
