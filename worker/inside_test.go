package worker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdkactivity "go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/validation"
	"github.com/concurry-go/concurry/worker"
)

// witness is an interceptor that notes what it sees.
type witness struct {
	interceptor.WorkerInterceptorBase
	name string

	mu   sync.Mutex
	seen []string
}

func (w *witness) notef(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, fmt.Sprintf(format, args...))
}

func (w *witness) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.seen)
}

func (w *witness) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &witnessed{interceptor.ActivityInboundInterceptorBase{Next: next}, w}
}

type witnessed struct {
	interceptor.ActivityInboundInterceptorBase
	w *witness
}

func (w *witnessed) Init(out interceptor.ActivityOutboundInterceptor) error {
	w.w.notef("init")
	return w.Next.Init(out)
}

type witnessKey struct{}

func (w *witnessed) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	ctx = context.WithValue(ctx, witnessKey{}, w.w.name)
	out, err := w.Next.ExecuteActivity(ctx, in)
	w.w.notef("attempt %d in server attempt %d of %v: %v, %v", activity.AttemptNumber(ctx), activity.GetInfo(ctx).Attempt, in.Args, out, err)
	return out, err
}

func TestInterceptorsInsideSeeEachAttempt(t *testing.T) {
	t.Parallel()
	for e, want := range map[Engine][]string{
		InPlace: {
			"init",
			"attempt 1 in server attempt 1 of [in]: , fails", "attempt 2 in server attempt 1 of [in]: bad, <nil>", "attempt 3 in server attempt 1 of [in]: good, <nil>",
		},
		OnServer: {
			"init", "attempt 1 in server attempt 1 of [in]: , fails",
			"init", "attempt 2 in server attempt 2 of [in]: bad, <nil>",
			"init", "attempt 3 in server attempt 3 of [in]: good, <nil>",
		},
	} {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			inside, outside := &witness{name: "inside"}, &witness{name: "outside"}
			impl := &Scripted{Body: func(ctx context.Context, n int, _ string) (string, error) {
				assert.Equal(t, "inside", ctx.Value(witnessKey{}))
				switch n {
				case 1:
					return "", errors.New("fails")
				case 2:
					return "bad", nil
				}
				return "good", nil
			}}
			d, do := Define(t, e, retrypolicy.Policy{NumRetries: 3}, validation.AcceptIf("not good", func(s string) bool { return s == "good" }))
			queue, c := Queue(t), Client(t)
			w := worker.New(c, queue, worker.Options{Interceptors: []interceptor.WorkerInterceptor{outside}}, worker.Inside(inside))
			worker.Register(w, d, impl)
			require.NoError(t, w.Start())
			t.Cleanup(w.Stop)
			_, err := Submit(t, c, do, queue, "in").Get(t.Context())
			require.NoError(t, err)
			assert.Equal(t, want, inside.all())
			serverAttempts := 0
			for _, line := range want {
				if line == "init" {
					serverAttempts++
				}
			}
			assert.Len(t, outside.all(), 2*serverAttempts, "once for each server attempt: %v", outside.all())
		})
	}
}

func TestInterceptorsInsideAreInThePathOfAllActivities(t *testing.T) {
	t.Parallel()
	ofClient, first, second := &witness{name: "client"}, &witness{name: "first"}, &witness{name: "second"}
	c := testsuite.Dial(t, testsuite.Server(t), client.Options{Plugins: []client.Plugin{worker.Plugin(worker.Inside(ofClient))}})
	queue := Queue(t)
	w := worker.New(c, queue, worker.Options{EnableSessionWorker: true}, worker.Inside(first), worker.Inside(second))
	w.RegisterActivityWithOptions(func(ctx context.Context) (string, error) {
		return ctx.Value(witnessKey{}).(string), nil
	}, sdkactivity.RegisterOptions{Name: "Plain"})
	flow := func(ctx workflow.Context) ([]string, error) {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
		ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{StartToCloseTimeout: time.Minute})
		session, err := workflow.CreateSession(ctx, &workflow.SessionOptions{CreationTimeout: time.Minute, ExecutionTimeout: time.Minute})
		if err != nil {
			return nil, err
		}
		defer workflow.CompleteSession(session)
		var innermost []string
		for _, f := range []workflow.Future{
			workflow.ExecuteActivity(ctx, "Plain"), workflow.ExecuteLocalActivity(ctx, "Plain"), workflow.ExecuteActivity(session, "Plain"),
		} {
			var name string
			if err := f.Get(ctx, &name); err != nil {
				return nil, err
			}
			innermost = append(innermost, name)
		}
		return innermost, nil
	}
	w.RegisterWorkflow(flow)
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: queue}, flow)
	require.NoError(t, err)
	var innermost []string
	require.NoError(t, run.Get(t.Context(), &innermost))
	assert.Equal(t, []string{"second", "second", "second"}, innermost)
	for _, one := range []*witness{ofClient, first, second} {
		assert.Len(t, one.all(), 6, "three activities, and not the SDK's own of the session: %v", one.all())
	}
}

func TestInterceptorsInsideAreInTestEnvironmentsToo(t *testing.T) {
	t.Parallel()
	inside := &witness{}
	env := testsuite.NewActivityEnvironment(t, worker.Inside(inside))
	d, _ := Define(t, InPlace, retrypolicy.Policy{NumRetries: 2})
	testsuite.Register(t, env, d, &Scripted{Body: func(context.Context, int, string) (string, error) { return "", errDeclined }})
	_, err := env.ExecuteActivity("Scripted.Do", "in")
	require.ErrorContains(t, err, "declined")
	assert.Len(t, inside.all(), 4, "%v", inside.all())
}

func TestInterceptorsInsideThatAreNilAreTold(t *testing.T) {
	t.Parallel()
	_, err := worker.NewPlugin(worker.Inside(&witness{}, nil))
	require.EqualError(t, err, "worker: Inside: interceptor 1 is nil")
	require.ErrorContains(t, worker.New(Lazy(t), "q", sdkworker.Options{}, worker.Inside(nil)).Start(), "worker: Inside: interceptor 0 is nil")
}
