package faultproxy_test

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/concurry-go/concurry/test/internal/faultproxy"
	"github.com/concurry-go/concurry/testsuite"
)

// longest bounds every wait for something that must come.
const longest = 30 * time.Second

// fixture is a proxy before a real server, and what a test needs of both.
type fixture struct {
	*testing.T
	proxy   *faultproxy.Proxy
	direct  client.Client                         // of the server itself
	through workflowservice.WorkflowServiceClient // by way of the proxy, which tries nothing twice
	conn    *grpc.ClientConn
	queue   string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	server := testsuite.Server(t)
	f := &fixture{T: t, direct: testsuite.Dial(t, server, client.Options{}), queue: t.Name() + "-" + rand.Text()[:8]}
	var err error
	f.proxy, err = faultproxy.Start(server.HostPort())
	require.NoError(t, err)
	t.Cleanup(f.proxy.Close)
	f.conn, err = grpc.NewClient(f.proxy.Address(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true))) // the request behind a cut one waits for its connection
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.conn.Close() })
	f.through = workflowservice.NewWorkflowServiceClient(f.conn)
	return f
}

// until bounds one request.
func (f *fixture) until(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(f.Context(), d)
	f.Cleanup(cancel)
	return ctx
}

// happens waits for an event.
func (f *fixture) happens(c <-chan struct{}, what string) {
	f.Helper()
	select {
	case <-c:
	case <-time.After(longest):
		f.Fatalf("%s never happened", what)
	}
}

// running is an activity that runs, and takes heartbeats.
type running struct {
	*fixture
	handle client.ActivityHandle
	token  []byte
}

func (f *fixture) start() client.ActivityHandle {
	h, err := f.direct.ExecuteActivity(f.Context(), client.StartActivityOptions{
		ID: f.queue + rand.Text(), TaskQueue: f.queue, StartToCloseTimeout: time.Minute,
	}, "Nothing")
	require.NoError(f, err)
	return h
}

func (f *fixture) run() *running {
	h := f.start()
	for begun := time.Now(); ; {
		// A busy server may leave a task to the next poll of its queue.
		task, err := f.poll(f.until(longest/3), f.direct.WorkflowService())
		if len(task.GetTaskToken()) > 0 {
			return &running{fixture: f, handle: h, token: task.GetTaskToken()}
		}
		require.Less(f, time.Since(begun), longest, "no poll brought the task: %v", err)
	}
}

func (f *fixture) poll(ctx context.Context, c workflowservice.WorkflowServiceClient) (*workflowservice.PollActivityTaskQueueResponse, error) {
	return c.PollActivityTaskQueue(ctx, &workflowservice.PollActivityTaskQueueRequest{
		Namespace: "default", TaskQueue: &taskqueuepb.TaskQueue{Name: f.queue}, Identity: "test",
	})
}

// beat sends a heartbeat through the proxy.
func (r *running) beat(ctx context.Context, details string, opts ...grpc.CallOption) error {
	_, err := r.through.RecordActivityTaskHeartbeat(ctx, &workflowservice.RecordActivityTaskHeartbeatRequest{
		Namespace: "default", TaskToken: r.token, Identity: "test",
		Details: &commonpb.Payloads{Payloads: []*commonpb.Payload{payload(details)}},
	}, opts...)
	return err
}

func payload(text string) *commonpb.Payload {
	return &commonpb.Payload{Metadata: map[string][]byte{"encoding": []byte("json/plain")}, Data: []byte(`"` + text + `"`)}
}

// details are the newest heartbeat's at the server.
func (r *running) details() string {
	d, err := r.handle.Describe(r.Context(), client.DescribeActivityOptions{IncludeHeartbeatDetails: true})
	require.NoError(r, err)
	if !d.HasHeartbeatDetails() {
		return ""
	}
	var details string
	require.NoError(r, d.GetHeartbeatDetails(&details))
	return details
}
