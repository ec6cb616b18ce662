package faultproxy_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/concurry-go/concurry/test/internal/faultproxy"
)

// A caller and a worker of Temporal's own SDK, compression included, notice
// nothing of the proxy.
func TestWhatNoRuleMatchesPassesUnchanged(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.proxy.Apply(faultproxy.Rule{Method: "TerminateWorkflowExecution", Fault: faultproxy.Drop(faultproxy.CutOff)})
	c, err := client.Dial(client.Options{HostPort: f.proxy.Address(), Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	w := worker.New(c, f.queue, worker.Options{})
	w.RegisterActivityWithOptions(func(ctx context.Context, in string) (string, error) {
		if activity.GetInfo(ctx).Attempt == 1 {
			activity.RecordHeartbeat(ctx, "seen")
			return "", errors.New("not yet")
		}
		var seen string
		err := activity.GetHeartbeatDetails(ctx, &seen)
		return in + seen, err
	}, activity.RegisterOptions{Name: "Echo"})
	w.RegisterWorkflowWithOptions(func(ctx workflow.Context, in string) (string, error) {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
			StartToCloseTimeout: 10 * time.Second, RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Millisecond},
		})
		var out string
		err := workflow.ExecuteActivity(ctx, "Echo", in).Get(ctx, &out)
		return out, err
	}, workflow.RegisterOptions{Name: "Echo"})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)

	big := strings.Repeat("x", 1<<20)
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: f.queue, TaskQueue: f.queue}, "Echo", big)
	require.NoError(t, err)
	var out string
	require.NoError(t, run.Get(t.Context(), &out))
	if out != big+"seen" {
		t.Errorf("%d other bytes came back", len(out))
	}

	_, err = c.DescribeWorkflow(t.Context(), "nobody", "")
	_, isNotFound := errors.AsType[*serviceerror.NotFound](err)
	assert.True(t, isNotFound, "%T %v", err, err)
}

func TestStatusDetailsPass(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.start()
	_, err := f.through.StartActivityExecution(f.until(longest), &workflowservice.StartActivityExecutionRequest{
		Namespace: "default", ActivityId: h.GetID(), ActivityType: &commonpb.ActivityType{Name: "Nothing"},
		TaskQueue: &taskqueuepb.TaskQueue{Name: f.queue}, StartToCloseTimeout: durationpb.New(time.Minute),
	})
	// Its type and fields are in the details.
	started, ok := errors.AsType[*serviceerror.ActivityExecutionAlreadyStarted](serviceerror.FromStatus(status.Convert(err)))
	require.True(t, ok, "%v", err)
	assert.Equal(t, h.GetRunID(), started.RunId)
}

// talker is a server that says what it hears: Temporal's has no use for metadata
// of ours.
type talker struct {
	healthpb.UnimplementedHealthServer
}

func (talker) Check(ctx context.Context, _ *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	return &healthpb.HealthCheckResponse{}, errors.Join(
		grpc.SetHeader(ctx, metadata.Pairs("header", md.Get("said")[0])),
		grpc.SetTrailer(ctx, metadata.Pairs("trailer", md.Get("said")[0])),
	)
}

func TestMetadataPasses(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := grpc.NewServer()
	healthpb.RegisterHealthServer(s, talker{})
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	p, err := faultproxy.Start(l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(p.Close)
	conn, err := grpc.NewClient(p.Address(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })

	var header, trailer metadata.MD
	ctx := metadata.AppendToOutgoingContext(t.Context(), "said", "this")
	_, err = healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{}, grpc.Header(&header), grpc.Trailer(&trailer))
	require.NoError(t, err)
	assert.Equal(t, []string{"this"}, header.Get("header"))
	assert.Equal(t, []string{"this"}, trailer.Get("trailer"))
}

// The server refuses a poll without a deadline, and one whose deadline is too
// near.
func TestDeadlinesPass(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, err := f.poll(t.Context(), f.through)
	require.ErrorContains(t, err, "timeout is not set")
	_, err = f.poll(f.until(time.Second), f.through)
	require.ErrorContains(t, err, "timeout is too short")
	f.start()
	task, err := f.poll(f.until(longest), f.through)
	require.NoError(t, err)
	assert.NotEmpty(t, task.GetTaskToken())
}

// A poll that stayed at the server when its client has gone would take a task
// with it. There are more polls here than tasks.
func TestAPollThatIsGivenUpTakesNoTask(t *testing.T) {
	t.Parallel()
	for name, give := range map[string]func(f *fixture, up context.CancelFunc){
		"by its client":           func(_ *fixture, up context.CancelFunc) { up() },
		"with its connection":     func(f *fixture, _ context.CancelFunc) { f.proxy.Cut() },
		"by the end of the proxy": func(f *fixture, _ context.CancelFunc) { f.proxy.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			const polls, tasks = 20, 5
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			ended := make(chan error, polls)
			for range polls {
				go func() {
					_, err := f.poll(ctx, f.through)
					ended <- err
				}()
			}
			f.arePolling(polls)
			give(f, cancel)
			for range polls {
				require.Error(t, <-ended)
			}
			got := 0
			for range tasks {
				f.start()
				if task, err := f.poll(f.until(3*time.Second), f.direct.WorkflowService()); err == nil && len(task.GetTaskToken()) > 0 {
					got++
				}
			}
			// A poll may still be on its way out when a task comes.
			assert.GreaterOrEqual(t, got, tasks-1)
		})
	}
}

// arePolling waits until n polls are under way in the proxy.
func (f *fixture) arePolling(n int) {
	require.Eventually(f, func() bool { return f.proxy.UnderWay("PollActivityTaskQueue") == n }, longest, time.Millisecond)
}

func TestStreamsPass(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.proxy.Apply(faultproxy.Rule{Fault: faultproxy.Drop(faultproxy.CutOff)}) // of unary requests
	ctx, cancel := context.WithTimeout(t.Context(), longest)
	defer cancel()
	stream, err := healthpb.NewHealthClient(f.conn).Watch(ctx, &healthpb.HealthCheckRequest{Service: "temporal.api.workflowservice.v1.WorkflowService"})
	require.NoError(t, err)
	first, err := stream.Recv()
	require.NoError(t, err)
	assert.Equal(t, healthpb.HealthCheckResponse_SERVING, first.GetStatus())
	cancel()
	_, err = stream.Recv()
	assert.Equal(t, codes.Canceled, status.Code(err))
}
