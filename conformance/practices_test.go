package conformance_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/interceptor"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
	"github.com/concurry-go/concurry/worker"
)

func TestNoOverheadWhenDisabled(t *testing.T) { //nolint:paralleltest // allocations are those of the whole process
	alone(t, "Retry Overhead", "no overhead when disabled", "no policy: the engine is not in the path; `bench` row activity-no-policy", func(t *testing.T) {
		d := activity.Define[*Model]("Model", activity.Options{})
		ask := activity.Method(d, "Ask", (*Model).Ask)
		inline := ask.Inline(&Model{Body: says(Reply{})})
		enabled := activity.Method(activity.Define[*Model]("Retried", activity.Options{Retry: retrypolicy.Policy{NumRetries: 5}}), "Ask", (*Model).Ask).
			Inline(&Model{Body: says(Reply{})})
		for name, i := range map[string]*activity.Inline[string, Reply]{"disabled": inline, "enabled, and successful": enabled} {
			assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = i.Call(t.Context(), "x") }), name)
		}
	})
}

func TestRetryOverhead(t *testing.T) {
	under(t, "Retry Overhead")
	within(t, servers, "minimal overhead on success", "nothing is sent to the server for a call that succeeds at once; `bench` rows activity-policy and requests-success", func(t *testing.T, e Engine) {
		queue, heartbeats := Queue(t), 0
		d := activity.Define[*Model]("Model", activity.Options{Retry: e.Policy(retrypolicy.Policy{NumRetries: 5}), CallTimeout: time.Minute})
		ask := activity.Method(d, "Ask", (*Model).Ask)
		c := Client(t)
		w := worker.New(c, queue, worker.Options{Interceptors: []interceptor.WorkerInterceptor{&beats{count: &heartbeats}}})
		worker.Register(w, d, &Model{Body: says(Reply{})})
		require.NoError(t, w.Start())
		defer w.Stop()
		call, err := ask.With(activity.CallOptions{TaskQueue: queue}).Submit(t.Context(), c, "x")
		require.NoError(t, err)
		_, err = call.Get(t.Context())
		require.NoError(t, err)
		assert.Zero(t, heartbeats)
	})
	everywhere(t, "overhead on retry: wait time and re-execution time", "the next attempt starts when the wait is over", func(t *testing.T, e Engine) {
		const wait = 30 * time.Millisecond
		o := call{policy: retrypolicy.Policy{NumRetries: 1, Wait: wait, Jitter: retrypolicy.NoJitter}, body: fails(errConnection)}.run(t, e)
		assert.GreaterOrEqual(t, o.elapsed[1]-o.elapsed[0], wait)
	})
	within(t, servers, "no round-trip overhead between retries", "in place, one record per retry and no new task", func(t *testing.T, e Engine) {
		var last int32
		call{policy: retrypolicy.Policy{NumRetries: 3}, body: func(ctx context.Context, _ int, _ string) (Reply, error) {
			last = activity.GetInfo(ctx).Attempt
			return Reply{}, errConnection
		}}.run(t, e)
		assert.Equal(t, map[Engine]int32{InPlace: 1, OnServer: 4}[e], last)
	})
}

// beats counts the heartbeats that activities of a worker record.
type beats struct {
	interceptor.WorkerInterceptorBase
	count *int
}

func (b *beats) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	i := &beating{count: b.count}
	i.Next = next
	return i
}

type beating struct {
	interceptor.ActivityInboundInterceptorBase
	count *int
}

func (b *beating) Init(out interceptor.ActivityOutboundInterceptor) error {
	o := &beatingOut{count: b.count}
	o.Next = out
	return b.Next.Init(o)
}

type beatingOut struct {
	interceptor.ActivityOutboundInterceptorBase
	count *int
}

func (b *beatingOut) RecordHeartbeat(ctx context.Context, details ...any) {
	*b.count++
	b.Next.RecordHeartbeat(ctx, details...)
}

func TestChoosingRetryParameters(t *testing.T) {
	under(t, "Choosing Retry Parameters")
	block(t, "`retrypolicy.FastFail()`, `retrypolicy.Aggressive()`", Example_presets)
	everywhere(t, "fast-fail for non-critical operations", "`retrypolicy.FastFail()`: one retry, linear, 0.1 s", func(t *testing.T, e Engine) {
		o := call{policy: retrypolicy.FastFail(), body: fails(errConnection)}.run(t, e)
		assert.Equal(t, 2, o.starts)
		assert.LessOrEqual(t, o.waits()[0], 100*time.Millisecond)
	})
	everywhere(t, "aggressive retry for critical operations", "`retrypolicy.Aggressive()`: ten retries, exponential, 1 s", func(t *testing.T, e Engine) {
		p := retrypolicy.Aggressive()
		assert.Equal(t, time.Second, p.Ceiling(1))
		assert.Equal(t, 512*time.Second, p.Ceiling(10))
		p.Wait = time.Microsecond // the test has no time for them
		assert.Equal(t, 11, call{policy: p, body: fails(errConnection)}.run(t, e).starts)
	})
}

func TestRetryVsCircuitBreaker(t *testing.T) {
	under(t, "Retry vs Circuit Breaker")
	everywhere(t, "fast failure when the system is down, protecting what is behind it", "`Policy.Budget`, shared by many calls; their error says so", func(t *testing.T, e Engine) {
		p := retrypolicy.Policy{NumRetries: 3}
		spent := func(retries int) func(c *call) {
			return func(c *call) {
				p.Budget = &retrypolicy.Budget{Floor: 4}
				for range retries {
					p.Budget.TryRetry(time.Now())
				}
				c.policy.Budget = p.Budget
			}
		}
		spent(0)(&call{})
		assert.Equal(t, 4, call{policy: p, body: fails(errConnection), anew: spent(0)}.run(t, e).starts)
		o := call{policy: p, body: fails(errConnection), anew: spent(3)}.run(t, e)
		assert.Equal(t, 2, o.starts, "the fourth retry is the last")
		require.ErrorContains(t, o.err, "connection reset")
		require.ErrorContains(t, o.err, "attempts: retry budget: the retry budget is spent: of the last ")
		stop, ok := retrypolicy.StopOf(o.err)
		assert.True(t, ok)
		assert.Equal(t, retrypolicy.StopBudget, stop.Stop)
		assert.Equal(t, 1, call{policy: p, body: fails(errConnection), anew: spent(4)}.run(t, e).starts)
	})
}

func TestBeSpecificWithExceptionTypes(t *testing.T) {
	under(t, "1. Be Specific with Exception Types")
	block(t, "`RetryOn` with `ErrorAs[*net.OpError]()` and its like", Example_beSpecific)
	everywhere(t, "only transient errors are retried, not bugs", "`ErrorAs[net.Error]()`", func(t *testing.T, e Engine) {
		p := retrypolicy.Policy{NumRetries: 5, RetryOn: []retrypolicy.Filter{retrypolicy.ErrorAs[net.Error]()}}
		assert.Equal(t, 6, call{policy: p, body: fails(&net.DNSError{Err: "no such host"})}.run(t, e).starts)
		assert.Equal(t, 1, call{policy: p, body: fails(errBug)}.run(t, e).starts)
	})
	everywhere(t, "everything but bugs", "`retrypolicy.Not`", func(t *testing.T, e Engine) {
		p := retrypolicy.Policy{NumRetries: 5, RetryOn: []retrypolicy.Filter{retrypolicy.Not(retrypolicy.ErrorIs(errBug))}}
		assert.Equal(t, 6, call{policy: p, body: fails(errConnection)}.run(t, e).starts)
		assert.Equal(t, 1, call{policy: p, body: fails(errBug)}.run(t, e).starts)
	})
}

func TestUseExponentialBackoffForNetworkCalls(t *testing.T) {
	under(t, "2. Use Exponential Backoff for Network Calls")
	block(t, "the default", Example_networkCalls)
	everywhere(t, "five retries, each ceiling twice the one before", "`Policy{NumRetries: 5}`", func(t *testing.T, e Engine) {
		o := call{policy: retrypolicy.Policy{NumRetries: 5, Jitter: retrypolicy.NoJitter}, body: fails(errConnection)}.run(t, e)
		assert.Equal(t, []time.Duration{1e6, 2e6, 4e6, 8e6, 16e6}, o.waits())
	})
}

func TestSetReasonableRetryLimits(t *testing.T) {
	under(t, "3. Set Reasonable Retry Limits")
	block(t, "`NumRetries: 3`, and `MaxElapsed` where time matters more than numbers", Example_retryLimits)
	everywhere(t, "a number of retries", "`Policy.NumRetries`", func(t *testing.T, e Engine) {
		for _, n := range []int{3, 7} {
			assert.Equal(t, n+1, call{policy: retrypolicy.Policy{NumRetries: n}, body: fails(errConnection)}.run(t, e).starts)
		}
	})
	everywhere(t, "a time within which retries start", "`Policy.MaxElapsed`; the error says so", func(t *testing.T, e Engine) {
		o := call{
			policy: retrypolicy.Policy{NumRetries: 100, MaxElapsed: time.Minute},
			body:   fails(retrypolicy.After(errConnection, time.Hour)),
		}.run(t, e)
		assert.Equal(t, 1, o.starts)
		require.ErrorContains(t, o.err, "connection reset")
		require.ErrorContains(t, o.err, ": the wait of 1h0m0s that was asked for does not fit into")
		require.ErrorContains(t, o.err, "what is left of MaxElapsed")
		assert.Equal(t, retrypolicy.StopMaxElapsed, o.events[0].Stop)
	})
}

func TestCombineRetriesWithTimeouts(t *testing.T) {
	under(t, "4. Combine Retries with Timeouts")
	block(t, "`CallTimeout`, `AttemptTimeout`, and `call.Get` with a deadline", Example_timeouts)
	everywhere(t, "a total timeout including retries", "`Options.CallTimeout`: a wait that cannot fit is not begun", func(t *testing.T, e Engine) {
		if e == Environment {
			// Temporal's environment ends such a call itself, on its own
			// clock, with the last failure all the same.
			o := call{
				policy: retrypolicy.Policy{NumRetries: 3, Wait: time.Hour, Jitter: retrypolicy.NoJitter}, body: fails(errConnection),
			}.run(t, e)
			require.ErrorContains(t, o.err, "connection reset")
			assert.Equal(t, 1, o.starts)
			return
		}
		o := call{policy: retrypolicy.Policy{NumRetries: 3, Wait: time.Hour, Jitter: retrypolicy.NoJitter}, body: fails(errConnection)}.run(t, e)
		assert.Equal(t, 1, o.starts)
		require.ErrorContains(t, o.err, "connection reset")
		require.ErrorContains(t, o.err, ": the wait of 1h0m0s does not fit into")
		assert.Equal(t, retrypolicy.StopCallTimeout, o.events[0].Stop)
	})
	everywhere(t, "a timeout for each attempt", "`Options.AttemptTimeout`: the body's context ends, the next attempt starts", func(t *testing.T, e Engine) {
		o := call{
			policy: retrypolicy.Policy{NumRetries: 1}, tune: func(o *activity.Options) { o.AttemptTimeout = 50 * time.Millisecond },
			body: func(ctx context.Context, n int, _ string) (Reply, error) {
				if n == 1 {
					<-ctx.Done()
					return Reply{}, ctx.Err()
				}
				return Reply{Text: "in time"}, nil
			},
		}.run(t, e)
		require.NoError(t, o.err)
		assert.Equal(t, "in time", o.reply.Text)
		assert.Equal(t, 2, o.starts)
	})
	row(t, "a caller's own deadline, which leaves the call running", "`call.Get(ctx)`", func(t *testing.T) {
		queue, c := Queue(t), Client(t)
		release := make(chan struct{})
		model := &Model{Body: func(context.Context, int, string) (Reply, error) { <-release; return Reply{Text: "late"}, nil }}
		d := activity.Define[*Model]("Model", activity.Options{Retry: retrypolicy.Policy{NumRetries: 3}, CallTimeout: time.Minute, TaskQueue: queue})
		ask := activity.Method(d, "Ask", (*Model).Ask)
		Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, model) })
		call, err := ask.Submit(t.Context(), c, "x")
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err = call.Get(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "it goes on")
		close(release)
		reply, err := call.Get(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "late", reply.Text)
	})
}

func TestLogRetryAttempts(t *testing.T) {
	under(t, "5. Log Retry Attempts")
	block(t, "`retrypolicy.LogTo`, or an observer of your own", Example_logging)
	everywhere(t, "each retry is logged", "`Options.Observers`, `retrypolicy.LogTo`", func(t *testing.T, e Engine) {
		var out buffer
		log := slog.New(slog.NewTextHandler(&out, nil))
		call{policy: retrypolicy.Policy{NumRetries: 1}, body: fails(errConnection), anew: func(*call) { out.reset() }, tune: func(o *activity.Options) {
			o.Observers = append(o.Observers, retrypolicy.LogTo(log))
		}}.run(t, e)
		lines := out.lines()
		require.Len(t, lines, 2)
		assert.Contains(t, lines[0], `level=WARN msg="attempt failed, retrying" method=Model.Ask attempt=1 verdict=failed`)
		assert.Contains(t, lines[0], `reason="connection reset" wait=`)
		assert.Contains(t, lines[1], `level=ERROR msg="attempt failed, giving up" method=Model.Ask attempt=2`)
	})
	everywhere(t, "a filter can log too", "as the guide does", func(t *testing.T, e Engine) {
		var logged []int
		p := retrypolicy.Policy{NumRetries: 2, RetryOn: []retrypolicy.Filter{func(_ error, a retrypolicy.Attempt) bool {
			logged = append(logged, a.Number)
			return true
		}}}
		call{policy: p, body: fails(errConnection), anew: func(*call) { logged = nil }}.run(t, e)
		assert.Equal(t, []int{1, 2}, logged, "and it does not say so after the last attempt")
	})
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b.Reset()
}

func (b *buffer) lines() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Split(strings.TrimSpace(b.b.String()), "\n")
}

func TestTestRetryLogic(t *testing.T) {
	under(t, "6. Test Retry Logic")
	block(t, "`Inline` with `testsuite.Clock`", Example_testing)
	everywhere(t, "a worker retries on transient errors", "the same test in any engine", func(t *testing.T, e Engine) {
		o := call{
			policy: retrypolicy.Policy{NumRetries: 3, RetryOn: []retrypolicy.Filter{retrypolicy.ErrorIs(errConnection)}},
			body:   failsUntil(3, errConnection), prompt: "x",
		}.run(t, e)
		require.NoError(t, o.err)
		assert.Equal(t, "x", o.reply.Text)
	})
	everywhere(t, "retries eventually give up: the initial attempt and two retries", "`rve.Attempts`", func(t *testing.T, e Engine) {
		o := call{policy: retrypolicy.Policy{NumRetries: 2}, until: until(func(Reply, retrypolicy.Attempt) error { return validation.ErrRefused }), body: says(Reply{})}.run(t, e)
		assert.Equal(t, 3, o.refused(t).Attempts)
	})
	row(t, "waits take no time in tests", "`testsuite.NewClock`, `testsuite.NewWorkflowEnvironment`", func(t *testing.T) {
		for _, e := range []Engine{Sync, Environment} {
			begin := time.Now()
			o := call{
				policy: retrypolicy.Policy{NumRetries: 3, Wait: time.Hour, InPlace: 24 * time.Hour, Jitter: retrypolicy.NoJitter}, body: failsUntil(4, errConnection),
				tune: func(o *activity.Options) { o.CallTimeout = 24 * time.Hour },
			}.run(t, e)
			require.NoError(t, o.err)
			assert.Equal(t, []time.Duration{time.Hour, 2 * time.Hour, 4 * time.Hour}, o.waits())
			assert.Less(t, time.Since(begin), time.Hour)
		}
	})
}
