package activity_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/grpc"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/worker"
)

// A request that is cut off may have reached the server all the same.
func TestStopOnErrorForgetsNoCallThatWasBeingSubmitted(t *testing.T) {
	t.Parallel()
	queue := Queue(t)
	slow := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		err := invoke(ctx, method, req, reply, cc, opts...)
		if strings.HasSuffix(method, "StartActivityExecution") {
			select { // the answer is on its way
			case <-time.After(300 * time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return err
	}
	c := testsuite.Dial(t, testsuite.Server(t), client.Options{
		Logger:            log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
		ConnectionOptions: client.ConnectionOptions{DialOptions: []grpc.DialOption{grpc.WithUnaryInterceptor(slow)}},
	})
	impl := &Scripted{Body: func(ctx context.Context, _ int, _ string) (string, error) { <-ctx.Done(); return "", ctx.Err() }}
	d, do := ScriptedWith(activity.Options{Retry: retrypolicy.Policy{NumRetries: 3}, HeartbeatTimeout: 5 * time.Second})
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	// With its ID in use, input 0 fails while the others are on their way.
	_, err := do.With(activity.CallOptions{TaskQueue: queue, ID: queue + "-0"}).Submit(t.Context(), Client(t), "")
	require.NoError(t, err)
	_, err = do.With(activity.CallOptions{TaskQueue: queue, ID: queue}).SubmitMap(t.Context(), c, Inputs(5), activity.StopOnError())
	require.ErrorIs(t, err, activity.ErrIDInUse)
	for i := 1; i < 5; i++ {
		call, err := do.Attach(t.Context(), c, fmt.Sprint(queue, "-", i))
		if err != nil {
			require.ErrorIs(t, err, activity.ErrUnknownID)
			continue
		}
		require.Eventually(t, func() bool {
			state, err := call.Describe(t.Context())
			return err == nil && state.State == activity.CallCanceled
		}, Timeout, 10*time.Millisecond, "input %d goes on", i)
	}
}

func TestMapUsesTheActivityIDOfItsWorkflowsOptions(t *testing.T) {
	t.Parallel()
	env := testsuite.NewWorkflowEnvironment(t)
	var ids []string
	impl := &Scripted{Body: func(ctx context.Context, _ int, in string) (string, error) {
		ids = append(ids, in+"="+activity.GetInfo(ctx).ActivityID)
		return in, nil
	}}
	d, do := ScriptedWith(activity.Options{Retry: retrypolicy.Policy{NumRetries: 1}})
	testsuite.Register(t, env, d, impl)
	env.ExecuteWorkflow(func(ctx workflow.Context) error {
		_, err := do.Map(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{ActivityID: "mine"}), []string{"a", "b"}, activity.Concurrency(1))
		return err
	})
	require.NoError(t, env.GetWorkflowError())
	assert.Equal(t, []string{"a=mine-0", "b=mine-1"}, ids)
}

func TestMapRefusesMoreCallsAtOnceThanAWorkflowMayHave(t *testing.T) {
	t.Parallel()
	env := testsuite.NewWorkflowEnvironment(t)
	_, do := ScriptedWith(activity.Options{Retry: retrypolicy.Policy{NumRetries: 1}})
	env.ExecuteWorkflow(func(ctx workflow.Context) error {
		_, err := do.Map(ctx, make([]string, 2100), activity.Concurrency(2100))
		return err
	})
	require.ErrorContains(t, env.GetWorkflowError(), "Scripted.Do: Concurrency 2100: must be at most 2000 in a workflow")
}
