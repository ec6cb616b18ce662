package worker_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	sdkactivity "go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	sdkworker "go.temporal.io/sdk/worker"
	"google.golang.org/grpc"

	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/testsuite"
)

// polls notes, of a client, how long each poll for workflow tasks has been open
// when the server is told that the worker stops: it drops the sticky queue then,
// and with it what such a poll brings.
type polls struct {
	mu     sync.Mutex
	open   map[any]time.Time
	opened chan struct{}
	ages   []time.Duration
}

func (p *polls) intercept(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	switch req.(type) {
	case *workflowservice.PollWorkflowTaskQueueRequest:
		p.mu.Lock()
		p.open[req] = time.Now()
		if len(p.open) == 1 {
			close(p.opened)
		}
		p.mu.Unlock()
		defer func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			delete(p.open, req)
		}()
	case *workflowservice.ShutdownWorkerRequest:
		p.mu.Lock()
		for _, since := range p.open {
			p.ages = append(p.ages, time.Since(since))
		}
		p.mu.Unlock()
	}
	return invoke(ctx, method, req, reply, conn, opts...)
}

func TestServerIsToldOfTheStopOnceThePollsAreIdle(t *testing.T) {
	t.Parallel()
	for name, newWorker := range map[string]Maker{"Stop": Ours, "interrupted Run": Interrupted} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &polls{open: map[any]time.Time{}, opened: make(chan struct{})}
			c := testsuite.Dial(t, testsuite.Server(t), client.Options{ConnectionOptions: client.ConnectionOptions{
				DialOptions: []grpc.DialOption{grpc.WithChainUnaryInterceptor(p.intercept)},
			}})
			w := newWorker(c, Queue(t), sdkworker.Options{})
			w.RegisterActivityWithOptions(refund, sdkactivity.RegisterOptions{Name: "Do"})
			require.NoError(t, w.Start())
			Next(t, p.opened)
			w.Stop()
			p.mu.Lock()
			defer p.mu.Unlock()
			require.NotEmpty(t, p.ages)
			for _, age := range p.ages {
				assert.GreaterOrEqual(t, age, 700*time.Millisecond, "it could still bring a task")
			}
		})
	}
}
