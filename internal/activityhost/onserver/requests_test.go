package onserver_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/validation"
	"github.com/concurry-go/concurry/worker"
)

// Requests by which a worker tells the server of an activity.
const (
	heartbeats = "RecordActivityTaskHeartbeat"
	failures   = "RespondActivityTaskFailed"
	successes  = "RespondActivityTaskCompleted"
)

// lines are a client's requests, counted, and what happens to them.
type lines struct {
	mu    sync.Mutex
	count map[string]int
	// faults are for requests of one kind, one after the other; nil is none.
	faults map[string][]fault
}

// fault does with one request what a network may. send sends it, again and again
// if need be.
type fault func(send func() error) error

func (l *lines) intercept(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	name := path.Base(method)
	l.mu.Lock()
	l.count[name]++
	var f fault
	if queue := l.faults[name]; len(queue) > 0 {
		f, l.faults[name] = queue[0], queue[1:]
	}
	l.mu.Unlock()
	if f == nil {
		return invoke(ctx, method, req, reply, cc, opts...)
	}
	return f(func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), Timeout)
		defer cancel()
		return invoke(ctx, method, req, reply, cc, opts...)
	})
}

// counted returns how many requests of these kinds there were, and forgets them.
func (l *lines) counted() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	counted := map[string]int{}
	for _, name := range []string{heartbeats, failures, successes} {
		if n := l.count[name]; n > 0 {
			counted[name] = n
		}
	}
	clear(l.count)
	return counted
}

// dialThrough is a client whose requests pass lines.
func dialThrough(t *testing.T, faults map[string][]fault) (client.Client, *lines) {
	t.Helper()
	l := &lines{count: map[string]int{}, faults: faults}
	c := testsuite.Dial(t, testsuite.Server(t), client.Options{
		Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
		ConnectionOptions: client.ConnectionOptions{DialOptions: []grpc.DialOption{
			grpc.WithChainUnaryInterceptor(l.intercept),
		}},
	})
	return c, l
}

func TestRequestsOfACall(t *testing.T) {
	t.Parallel()
	type counts = map[string]int
	for name, test := range map[string]struct {
		failures int
		engine   Engine
		want     counts
	}{
		"success at once":          {0, InPlace, counts{successes: 1}},
		"a retry in place":         {1, InPlace, counts{heartbeats: 1, successes: 1}},
		"five retries in place":    {5, InPlace, counts{heartbeats: 5, successes: 1}},
		"a retry by the server":    {1, OnServer, counts{failures: 1, heartbeats: 1, successes: 1}},
		"four retries by a server": {4, OnServer, counts{failures: 4, heartbeats: 4, successes: 1}},
		"no success in place":      {6, InPlace, counts{heartbeats: 5, failures: 1}},
		"no success on the server": {6, OnServer, counts{failures: 6, heartbeats: 5}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, l := dialThrough(t, nil)
			queue := Queue(t)
			impl := &Scripted{Body: func(_ context.Context, n int, _ string) (string, error) {
				if n <= test.failures {
					return "", errors.New("not yet")
				}
				return "", nil
			}}
			d := activity.Define[*Scripted]("Scripted", activity.Options{
				Retry: test.engine.Policy(retrypolicy.Policy{NumRetries: 5, Wait: time.Millisecond}), CallTimeout: Timeout, TaskQueue: queue,
			})
			do := activity.Method(d, "Do", (*Scripted).Do)
			Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
			_, err := Submit(t, c, do, queue, "").Get(t.Context())
			if test.failures > 5 {
				require.Error(t, err)
			} else {
				require.NoError(t, err)
			}
			assert.Equal(t, test.want, l.counted())
		})
	}
}

// The engine hears of a cancellation as it records the next attempt; what makes the
// SDK hear of it gets lost.
func TestCancellationThatTheSDKDoesNotHearOf(t *testing.T) {
	t.Parallel()
	lost := func(func() error) error { return status.Error(codes.InvalidArgument, "garbled") }
	c, _ := dialThrough(t, map[string][]fault{heartbeats: {nil, lost}})
	queue := Queue(t)
	calls := make(chan *activity.Call[string], 1)
	impl := &Scripted{Body: func(ctx context.Context, n int, _ string) (string, error) {
		if n == 1 {
			if err := (<-calls).Cancel(ctx, "enough"); err != nil {
				return "", err
			}
		}
		return "", errors.New("not yet")
	}}
	d, do := ScriptedWith(activity.Options{
		Retry: InPlace.Policy(retrypolicy.Policy{NumRetries: 5, Wait: time.Millisecond}), CallTimeout: Timeout, HeartbeatTimeout: Timeout, TaskQueue: queue,
	})
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	call := Submit(t, c, do, queue, "")
	calls <- call
	_, err := call.Get(t.Context())
	assert.True(t, temporal.IsCanceledError(err), "%v", err)
	assert.EqualValues(t, 1, impl.Started.Load())
}

// The server knows no later failure than that of the last body.
func TestStartThatCannotBeRecordedKeepsTheLastError(t *testing.T) {
	t.Parallel()
	lost := func(func() error) error { return status.Error(codes.Unavailable, "cut off") }
	c, _ := dialThrough(t, map[string][]fault{heartbeats: slices.Repeat([]fault{lost}, 1000)})
	queue := Queue(t)
	impl := &Scripted{Body: func(context.Context, int, string) (string, error) { return "", errors.New("not yet") }}
	d, do := ScriptedWith(activity.Options{
		Retry: OnServer.Policy(retrypolicy.Policy{NumRetries: 5, Wait: time.Millisecond}), CallTimeout: 3 * time.Second, TaskQueue: queue,
	})
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	_, err := Submit(t, c, do, queue, "").Get(t.Context())
	require.ErrorContains(t, err, "not yet")
	assert.NotContains(t, err.Error(), "LimitWait", "it has no limits")
	assert.EqualValues(t, 1, impl.Started.Load())
}

// A service that bills each sees as many as of Temporal's own.
func TestHeartbeatsAreAsFewAsTemporals(t *testing.T) {
	t.Parallel()
	c, l := dialThrough(t, nil)
	queue := Queue(t)
	const timeout = time.Second
	var took time.Duration
	impl := &Scripted{Body: func(context.Context, int, string) (string, error) {
		begin := time.Now()
		time.Sleep(5 * timeout / 2) // a body that knows nothing of heartbeats
		took = time.Since(begin)
		return "", nil
	}}
	d, do := ScriptedWith(activity.Options{Retry: retrypolicy.Policy{NumRetries: 1}, HeartbeatTimeout: timeout, TaskQueue: queue})
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	_, err := Submit(t, c, do, queue, "").Get(t.Context())
	require.NoError(t, err)
	n := l.counted()[heartbeats]
	assert.Positive(t, n)
	assert.LessOrEqual(t, n, int(took/(timeout*8/10))+1, "in %v", took)
}

// A heartbeat that the network delivers late has an older journal. The server
// attempt it belongs to is over by then.
func TestLateHeartbeatFindsNobody(t *testing.T) {
	t.Parallel()
	arrived, second := make(chan error, 1), make(chan struct{})
	c, _ := dialThrough(t, map[string][]fault{heartbeats: {func(send func() error) error {
		go func() {
			<-second
			arrived <- send()
		}()
		return status.Error(codes.Unavailable, "connection reset")
	}}})
	queue := Queue(t)
	var seen []string
	impl := &Scripted{Body: func(ctx context.Context, n int, _ string) (string, error) {
		seen = append(seen, fmt.Sprintf("body %d as attempt %d in server attempt %d", n, activity.AttemptNumber(ctx), activity.GetInfo(ctx).Attempt))
		if n == 1 {
			time.Sleep(time.Second) // for a sign of life
			return "", errors.New("declined")
		}
		close(second)
		assert.ErrorContains(t, <-arrived, "not found")
		return "", errors.New("declined again")
	}}
	d, do := ScriptedWith(activity.Options{Retry: retrypolicy.Policy{NumRetries: 1, Wait: time.Millisecond}, HeartbeatTimeout: time.Second, TaskQueue: queue})
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	_, err := Submit(t, c, do, queue, "").Get(t.Context())
	require.ErrorContains(t, err, "declined again; gave up after 2 attempts: retries spent")
	assert.Equal(t, []string{"body 1 as attempt 1 in server attempt 1", "body 2 as attempt 2 in server attempt 2"}, seen)
}

func TestHandBacksSurviveTheNetwork(t *testing.T) {
	t.Parallel()
	lost := errors.New("not sent")
	unavailable := status.Error(codes.Unavailable, "connection reset")
	for name, f := range map[string][]fault{
		"lost":            {func(func() error) error { return unavailable }},
		"lost repeatedly": {func(func() error) error { return unavailable }, func(func() error) error { return unavailable }, func(func() error) error { return unavailable }},
		"answer lost":     {func(send func() error) error { _ = send(); return unavailable }},
		"sent twice":      {func(send func() error) error { err := send(); _ = send(); return err }},
		"refused at once": {func(func() error) error { return status.Error(codes.ResourceExhausted, lost.Error()) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := dialThrough(t, map[string][]fault{failures: f})
			queue := Queue(t)
			var previous []int
			impl := &Scripted{Body: func(ctx context.Context, n int, _ string) (string, error) {
				previous = append(previous, len(activity.Previous(ctx)))
				return "", fmt.Errorf("failure %d", n)
			}}
			d, do := ScriptedWith(activity.Options{
				Retry: OnServer.Policy(retrypolicy.Policy{NumRetries: 2, Wait: time.Millisecond}), TaskQueue: queue,
				CallTimeout: 2 * Timeout, HeartbeatTimeout: Timeout / 2,
			})
			Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
			_, err := Submit(t, c, do, queue, "").Get(t.Context())
			require.ErrorContains(t, err, "failure 3")
			assert.Equal(t, []int{0, 1, 2}, previous)
		})
	}
}

// An outage in which nothing is reset: requests just take for ever.
func TestOutageKeepsNeitherUnitsNorGoroutines(t *testing.T) {
	t.Parallel()
	const calls = 5
	var mu sync.Mutex
	underWay, most := map[string]int{}, 0
	over := make(chan struct{})
	c := Client(t)
	stand := func(token string) {
		mu.Lock()
		underWay[token]++
		most = max(most, underWay[token])
		mu.Unlock()
		<-over
		mu.Lock()
		underWay[token]--
		mu.Unlock()
	}
	workers := testsuite.Dial(t, testsuite.Server(t), client.Options{
		Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
		ConnectionOptions: client.ConnectionOptions{DialOptions: []grpc.DialOption{
			grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
				if r, ok := req.(*workflowservice.RecordActivityTaskHeartbeatRequest); ok {
					done := make(chan struct{})
					go func() { stand(string(r.GetTaskToken())); close(done) }()
					select {
					case <-done:
					case <-ctx.Done():
						return status.FromContextError(ctx.Err()).Err()
					}
				}
				return invoke(ctx, method, req, reply, cc, opts...)
			}),
		}},
	})
	queue := Queue(t)
	set, err := limits.New(limits.Resource("connections", calls))
	require.NoError(t, err)
	started := make(chan struct{}, 10*calls)
	impl := &Scripted{Body: func(context.Context, int, string) (string, error) {
		started <- struct{}{}
		time.Sleep(1200 * time.Millisecond) // signs of life stand still meanwhile
		return "", errors.New("not yet")
	}}
	d, do := ScriptedWith(activity.Options{
		Retry: retrypolicy.Policy{NumRetries: 1, Wait: time.Millisecond}, HeartbeatTimeout: time.Second, TaskQueue: queue,
		Limits: set, Requires: limits.Units{"connections": 1},
	})
	Start(t, workers, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	var all []*activity.Call[string]
	for range calls {
		all = append(all, Submit(t, c, do, queue, ""))
	}
	for range calls {
		Next(t, started)
	}
	require.Eventually(t, func() bool { return set.Snapshot().Limits[0].InUse == 0 }, Timeout, 20*time.Millisecond, "units of bodies that have ended")
	close(over)
	for _, call := range all {
		_, err := call.Get(t.Context())
		require.Error(t, err)
	}
	assert.LessOrEqual(t, impl.Started.Load(), int64(2*calls))
	mu.Lock()
	defer mu.Unlock()
	assert.LessOrEqual(t, most, 2, "requests of one server attempt at once: one that was given up, and one more")
}

func TestDetailsOfAMethodReachTheServer(t *testing.T) {
	t.Parallel()
	for name, timeout := range map[string]time.Duration{"with signs of life": time.Second, "without": activity.NoHeartbeat} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			queue, c := Queue(t), Client(t)
			recorded, goOn := make(chan struct{}), make(chan struct{})
			impl := &Scripted{Body: func(ctx context.Context, _ int, _ string) (string, error) {
				for page := range 4 {
					activity.RecordHeartbeat(ctx, page)
				}
				close(recorded)
				<-goOn
				return "", nil
			}}
			d, do := ScriptedWith(activity.Options{
				Retry: retrypolicy.Policy{NumRetries: 1}, HeartbeatTimeout: timeout, TaskQueue: queue,
			})
			w := worker.New(c, queue, worker.Options{DefaultHeartbeatThrottleInterval: 300 * time.Millisecond})
			worker.Register(w, d, impl)
			require.NoError(t, w.Start())
			t.Cleanup(w.Stop)
			call := Submit(t, c, do, queue, "")
			<-recorded
			page := -1
			assert.Eventually(t, func() bool {
				described, err := call.ActivityHandle().Describe(t.Context(), client.DescribeActivityOptions{IncludeHeartbeatDetails: true})
				return err == nil && described.GetHeartbeatDetails(&page) == nil && page == 3
			}, Timeout, 20*time.Millisecond, "the last of them: %d", page)
			close(goOn)
			_, err := call.Get(t.Context())
			require.NoError(t, err)
		})
	}
}

// The server takes two mebibytes.
func TestLargeDetailsEndNoCall(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	page, result := strings.Repeat("p", 3<<19), strings.Repeat("r", 1<<18)
	var seen []string
	impl := &Scripted{Body: func(ctx context.Context, n int, _ string) (string, error) {
		var details string
		_ = activity.GetHeartbeatDetails(ctx, &details)
		seen = append(seen, fmt.Sprint(len(details), " bytes, ", len(activity.Previous(ctx)), " earlier"))
		activity.RecordHeartbeat(ctx, page)
		if n == 6 {
			return "", nil
		}
		return result, nil
	}}
	d := activity.Define[*Scripted]("Scripted", activity.Options{
		Retry: OnServer.Policy(retrypolicy.Policy{NumRetries: 5, Wait: time.Millisecond}), CallTimeout: Timeout, HeartbeatTimeout: Timeout, TaskQueue: queue,
	})
	do := activity.Method(d, "Do", (*Scripted).Do, activity.MethodOptions[string, string]{RetryUntil: []validation.Validator[string]{
		func(s string, _ retrypolicy.Attempt) error {
			if s != "" {
				return errors.New("too long")
			}
			return nil
		},
	}})
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	_, err := Submit(t, c, do, queue, "").Get(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{
		"0 bytes, 0 earlier", "1572864 bytes, 1 earlier", "1572864 bytes, 2 earlier",
		"1572864 bytes, 3 earlier", "1572864 bytes, 4 earlier", "1572864 bytes, 5 earlier",
	}, seen)
}

// As with Temporal's own: the attempt has failed, and says why.
func TestDetailsThatTheServerRefusesFailTheAttempt(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	impl := &Scripted{Body: func(ctx context.Context, _ int, _ string) (string, error) {
		activity.RecordHeartbeat(ctx, strings.Repeat("p", 3<<20))
		<-ctx.Done()
		return "", nil
	}}
	d, do := ScriptedWith(activity.Options{Retry: retrypolicy.Policy{NumRetries: 1, Wait: time.Millisecond}, TaskQueue: queue})
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	_, err := Submit(t, c, do, queue, "").Get(t.Context())
	require.ErrorContains(t, err, "heartbeat details of")
	require.ErrorContains(t, err, "gave up after 2 attempts")
	assert.EqualValues(t, 2, impl.Started.Load())
}
