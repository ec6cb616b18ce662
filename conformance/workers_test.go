package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/validation"
	"github.com/concurry-go/concurry/worker"
)

// Multiplier is the guide's worker with state of its own.
type Multiplier struct {
	By int

	mu    sync.Mutex
	tries map[int]int
}

// Process fails once for each value.
func (m *Multiplier) Process(_ context.Context, value int) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tries == nil {
		m.tries = map[int]int{}
	}
	if m.tries[value]++; m.tries[value] == 1 {
		return 0, errConnection
	}
	return m.By * value, nil
}

// Double is Process again, to see that a policy is that of all methods.
func (m *Multiplier) Double(ctx context.Context, value int) (int, error) {
	out, err := m.Process(ctx, -value)
	return -2 * out / m.By, err
}

func multiplier(e Engine) (*activity.Definition[*Multiplier], *activity.MethodHandle[*Multiplier, int, int], *activity.MethodHandle[*Multiplier, int, int]) {
	d := activity.Define[*Multiplier]("Multiplier", activity.Options{
		Retry: e.Policy(retrypolicy.Policy{NumRetries: 3, Wait: time.Millisecond}), CallTimeout: time.Minute,
	})
	return d, activity.Method(d, "Process", (*Multiplier).Process),
		activity.Method(d, "Double", (*Multiplier).Double)
}

func TestCustomWorkersWithRetry(t *testing.T) {
	under(t, "Custom Workers with Retry")
	block(t, "`worker.Register(w, processor, &DataProcessor{Multiplier: 10})`", Example_customWorker)
	everywhere(t, "a worker type with state of its own", "any Go type", func(t *testing.T, e Engine) {
		d, process, _ := multiplier(e)
		out, err := Run(t, e, d, process, &Multiplier{By: 10}, 5)
		require.NoError(t, err)
		assert.Equal(t, 50, out)
	})
	everywhere(t, "retry configuration applies to all methods", "`activity.Options.Retry`", func(t *testing.T, e Engine) {
		d, _, double := multiplier(e)
		out, err := Run(t, e, d, double, &Multiplier{By: 10}, 5)
		require.NoError(t, err)
		assert.Equal(t, 10, out)
	})
}

// doubling is the guide's flaky_function, which fails once for each input.
func doubling(queue string) *activity.FuncHandle[int, int] {
	var mu sync.Mutex
	tries := map[int]int{}
	return activity.Func("Double", func(_ context.Context, x int) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		if tries[x]++; tries[x] == 1 {
			return 0, errConnection
		}
		return 2 * x, nil
	}, activity.FuncOptions[int, int]{
		Retry:       retrypolicy.Policy{NumRetries: 3, Wait: time.Millisecond, RetryOn: []retrypolicy.Filter{retrypolicy.ErrorIs(errConnection)}},
		CallTimeout: time.Minute, TaskQueue: queue,
	})
}

func TestTaskWorkerWithRetry(t *testing.T) {
	under(t, "TaskWorker with Retry")
	block(t, "`activity.Func`, `Submit`, `SubmitMap`", Example_tasks)
	ten := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	want := []int{0, 2, 4, 6, 8, 10, 12, 14, 16, 18}
	row(t, "submit() retries automatically on failure", "`double.Submit(ctx, client, 10)`", func(t *testing.T) {
		queue, c := Queue(t), Client(t)
		double := doubling(queue)
		Start(t, c, queue, func(w *worker.Worker) { worker.RegisterFunc(w, double) })
		call, err := double.Submit(t.Context(), c, 10)
		require.NoError(t, err)
		out, err := call.Get(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 20, out)
	})
	row(t, "map() over many inputs, results in their order", "`SubmitMap`, `Map` in workflows, `Inline().Map`", func(t *testing.T) {
		queue, c := Queue(t), Client(t)
		double := doubling(queue)
		inWorkflow := func(ctx workflow.Context) ([]int, error) { return double.Map(ctx, ten, activity.Concurrency(4)) }
		Start(t, c, queue, func(w *worker.Worker) {
			worker.RegisterFunc(w, double)
			w.RegisterWorkflowWithOptions(inWorkflow, workflow.RegisterOptions{Name: "Map"})
		})
		outs, err := double.SubmitMap(t.Context(), c, ten, activity.Concurrency(4))
		require.NoError(t, err)
		assert.Equal(t, want, outs)

		run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, "Map")
		require.NoError(t, err)
		outs = nil
		require.NoError(t, run.Get(t.Context(), &outs))
		assert.Equal(t, want, outs)

		outs, err = doubling("here").Inline().WithClock(testsuite.NewClock().Clock()).Map(t.Context(), ten)
		require.NoError(t, err)
		assert.Equal(t, want, outs)
	})
	row(t, "one input that fails does not hide the others", "`*activity.MapError`, beside the results", func(t *testing.T) {
		odd := activity.Func("Odd", func(_ context.Context, x int) (int, error) {
			if x%2 == 0 {
				return 0, fmt.Errorf("%d is even", x)
			}
			return x, nil
		}, activity.FuncOptions[int, int]{Retry: retrypolicy.Policy{NumRetries: 1, Wait: retrypolicy.NoWait}, CallTimeout: time.Minute})
		outs, err := odd.Inline().Map(t.Context(), []int{1, 2, 3, 4})
		assert.Equal(t, []int{1, 0, 3, 0}, outs)
		require.ErrorContains(t, err, "2 of 4 calls failed; input 1: 2 is even")
	})
}

func TestAsyncFunctionsWithRetry(t *testing.T) {
	under(t, "Async Functions with Retry")
	block(t, "`Execute` returns a future at once", Example_asynchronousCalls)
	within(t, servers, "many calls in flight, each with its own retries", "futures in workflows", func(t *testing.T, e Engine) {
		d, process, _ := multiplier(e)
		queue, c := Queue(t), Client(t)
		all := func(ctx workflow.Context) (sum int, err error) {
			futures := make([]activity.Future[int], 20)
			for i := range futures {
				futures[i] = process.Execute(ctx, i) // does not wait
			}
			for _, f := range futures {
				out, err := f.Get(ctx)
				if err != nil {
					return 0, err
				}
				sum += out
			}
			return sum, nil
		}
		Start(t, c, queue, func(w *worker.Worker) {
			worker.Register(w, d, &Multiplier{By: 10})
			w.RegisterWorkflow(all)
		})
		run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, all)
		require.NoError(t, err)
		var sum int
		require.NoError(t, run.Get(t.Context(), &sum))
		assert.Equal(t, 1900, sum)
	})
	row(t, "a result that arrives later is judged by the policy", "`activity.Ticket`, `Complete`", func(t *testing.T) {
		queue, c := Queue(t), Client(t)
		tickets := make(chan []byte, 10)
		model := &Model{Body: func(ctx context.Context, _ int, _ string) (Reply, error) {
			ticket, err := activity.Ticket(ctx)
			if err != nil {
				return Reply{}, err
			}
			tickets <- ticket
			return Reply{}, activity.ErrResultPending
		}}
		d := activity.Define[*Model]("Model", activity.Options{
			Retry: retrypolicy.Policy{NumRetries: 3, Wait: time.Millisecond}, AttemptTimeout: time.Minute,
			HeartbeatTimeout: activity.NoHeartbeat, TaskQueue: queue,
		})
		ask := activity.Method(d, "Ask", (*Model).Ask, activity.MethodOptions[string, Reply]{RetryUntil: until(confident)})
		Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, model) })
		call, err := ask.Submit(t.Context(), c, "x")
		require.NoError(t, err)
		require.NoError(t, ask.Fail(t.Context(), c, <-tickets, errConnection))
		require.NoError(t, ask.Complete(t.Context(), c, <-tickets, Reply{Confidence: 0.1}))
		require.NoError(t, ask.Complete(t.Context(), c, <-tickets, Reply{Confidence: 0.95}))
		reply, err := call.Get(t.Context())
		require.NoError(t, err)
		assert.InDelta(t, 0.95, reply.Confidence, 0)
	})
}

func TestAllExecutionModes(t *testing.T) {
	under(t, "All Execution Modes")
	block(t, "one handle: `Inline`, `Execute`, `ExecuteLocal`, `Submit`", Example_executionModes)
	everywhere(t, "retries work across all of them, in the same way", "the engines of this page", func(t *testing.T, e Engine) {
		o := call{
			policy: retrypolicy.Policy{NumRetries: 3, Jitter: retrypolicy.NoJitter}, until: until(hasText),
			body: func(_ context.Context, n int, _ string) (Reply, error) {
				switch n {
				case 1:
					return Reply{}, errConnection
				case 2:
					return Reply{}, nil
				default:
					return Reply{Text: "x"}, nil
				}
			},
		}.run(t, e)
		require.NoError(t, o.err)
		assert.Equal(t, []string{
			"1 failed: retry in 1ms (connection reset)",
			"2 refused: retry in 2ms (the reply has no data)",
			"3 accepted: accept",
		}, o.trace())
	})
	row(t, "sync mode: in this process, without a server", "`Inline(impl).Call`", func(t *testing.T) {
		assert.Equal(t, 3, call{policy: retrypolicy.Policy{NumRetries: 2}, body: fails(errBug)}.run(t, Sync).starts)
	})
	within(t, servers, "distributed: any number of worker processes on one task queue", "`worker.New` in each; durable", func(t *testing.T, e Engine) {
		d, process, _ := multiplier(e)
		queue, c := Queue(t), Client(t)
		shared := &Multiplier{By: 10} // the state is one, and fails once for each value
		for range 3 {
			Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, shared) })
		}
		outs, err := process.With(activity.CallOptions{TaskQueue: queue}).SubmitMap(t.Context(), c, []int{1, 2, 3, 4, 5, 6, 7, 8, 9})
		require.NoError(t, err)
		assert.Equal(t, []int{10, 20, 30, 40, 50, 60, 70, 80, 90}, outs)
	})
	row(t, "a local activity: on the workflow's own worker", "`ExecuteLocal`", func(t *testing.T) {
		d, process, _ := multiplier(InPlace)
		env := testsuite.NewWorkflowEnvironment(t)
		testsuite.Register(t, env, d, &Multiplier{By: 10})
		env.ExecuteWorkflow(func(ctx workflow.Context) (int, error) { return process.ExecuteLocal(ctx, 4).Get(ctx) })
		var out int
		require.NoError(t, env.GetWorkflowResult(&out))
		assert.Equal(t, 40, out)
	})
}

func TestContextAwareValidation(t *testing.T) {
	under(t, "Retry with Context-Aware Validation")
	block(t, "`func(r Reply, a retrypolicy.Attempt) error`", Example_contextAwareValidation)
	everywhere(t, "strict in the first two attempts, relaxed later", "`Attempt.Number` in validators", func(t *testing.T, e Engine) {
		relaxing := func(r Reply, a retrypolicy.Attempt) error {
			want := 0.7
			if a.Number <= 2 {
				want = 0.9
			}
			if r.Confidence <= want {
				return fmt.Errorf("confidence %.1f in attempt %d", r.Confidence, a.Number)
			}
			return nil
		}
		o := call{policy: retrypolicy.Policy{NumRetries: 5}, until: until(relaxing), body: says(Reply{Confidence: 0.8})}.run(t, e)
		require.NoError(t, o.err)
		assert.Equal(t, 3, o.starts)
	})
	everywhere(t, "elapsed time and earlier outcomes in validators", "`Attempt.Elapsed()`, `Attempt.Previous()`", func(t *testing.T, e Engine) {
		var seen []string
		curious := func(r Reply, a retrypolicy.Attempt) error {
			var before []string
			for _, o := range a.Previous() {
				earlier, err := retrypolicy.ResultOf[Reply](o)
				before = append(before, fmt.Sprint(o.Number, earlier.Text, o.Reason, err))
			}
			seen = append(seen, fmt.Sprint(a.Elapsed() >= 0, before))
			return errors.New(r.Text + " is no good")
		}
		call{policy: retrypolicy.Policy{NumRetries: 2}, until: until(curious), anew: func(*call) { seen = nil }, body: says(Reply{Text: "a"}, Reply{Text: "b"}, Reply{Text: "c"})}.run(t, e)
		assert.Equal(t, []string{
			"true []", "true [1aa is no good<nil>]", "true [1aa is no good<nil> 2bb is no good<nil>]",
		}, seen)
	})
}

func TestConditionalRetryBasedOnMethodArguments(t *testing.T) {
	under(t, "Conditional Retry Based on Method Arguments")
	block(t, "`retrypolicy.Arg[string](a, 0)`", Example_filterByArguments)
	everywhere(t, "no retry for premium users", "`retrypolicy.Arg`", func(t *testing.T, e Engine) {
		p := retrypolicy.Policy{NumRetries: 3, RetryOn: []retrypolicy.Filter{func(err error, a retrypolicy.Attempt) bool {
			user, _ := retrypolicy.Arg[string](a, 0)
			return user != "premium" && errors.Is(err, errConnection)
		}}}
		assert.Equal(t, 1, call{policy: p, body: fails(errConnection), prompt: "premium"}.run(t, e).starts)
		assert.Equal(t, 4, call{policy: p, body: fails(errConnection), prompt: "standard"}.run(t, e).starts)
	})
	within(t, activities, "arguments are those of the call in every attempt", "decoded afresh where a body could change them", func(t *testing.T, e Engine) {
		d := activity.Define[*Sorter]("Sorter", activity.Options{Retry: e.Policy(retrypolicy.Policy{NumRetries: 2, Wait: time.Millisecond}), CallTimeout: time.Minute})
		sort := activity.Method(d, "Sort", (*Sorter).Sort)
		s := &Sorter{}
		_, err := Run(t, e, d, sort, s, []string{"b", "a"})
		require.Error(t, err)
		assert.Equal(t, []string{"[b a]", "[b a]", "[b a]"}, s.seen)
	})
}

// Sorter changes its argument and fails.
type Sorter struct{ seen []string }

// Sort notes what it was given.
func (s *Sorter) Sort(_ context.Context, words []string) ([]string, error) {
	s.seen = append(s.seen, fmt.Sprint(words))
	words[0], words[1] = words[1], words[0]
	return nil, errBug
}

func TestExponentialBackoffWithMaxWait(t *testing.T) {
	under(t, "Exponential Backoff with Max Wait")
	block(t, "`Policy.MaxWait`, or a `retrypolicy.BackoffFunc`", Example_maxWait)
	everywhere(t, "waits are capped", "`Policy.MaxWait`", func(t *testing.T, e Engine) {
		o := call{
			policy: retrypolicy.Policy{NumRetries: 5, MaxWait: 3 * time.Millisecond, Jitter: retrypolicy.NoJitter}, body: fails(errConnection),
		}.run(t, e)
		assert.Equal(t, []time.Duration{1e6, 2e6, 3e6, 3e6, 3e6}, o.waits())
	})
	everywhere(t, "a calculator of your own", "`retrypolicy.BackoffFunc`", func(t *testing.T, e Engine) {
		square := retrypolicy.BackoffFunc(func(wait time.Duration, n int) time.Duration { return wait * time.Duration(n*n) })
		o := call{policy: retrypolicy.Policy{NumRetries: 3, Backoff: square, Jitter: retrypolicy.NoJitter}, body: fails(errConnection)}.run(t, e)
		assert.Equal(t, []time.Duration{1e6, 4e6, 9e6}, o.waits())
	})
}

func TestRetryWithFallbackValues(t *testing.T) {
	under(t, "Retry with Fallback Values")
	block(t, "`validation.Best`", Example_fallback)
	everywhere(t, "the best result of all attempts", "`validation.Best`", func(t *testing.T, e Engine) {
		o := call{
			policy: retrypolicy.Policy{NumRetries: 3}, until: until(confident),
			body: says(Reply{Confidence: 0.1}, Reply{Text: "best", Confidence: 0.6}, Reply{Confidence: 0.2}, Reply{Confidence: 0.6}),
		}.run(t, e)
		best, err := validation.Best(o.refused(t), func(r Reply) float64 { return r.Confidence })
		require.NoError(t, err)
		assert.Equal(t, "best", best.Text, "the earliest of equals")
	})
}
