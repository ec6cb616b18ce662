package main

import (
	"context"
	"os"
	"strings"
	"sync"

	"go.temporal.io/sdk/client"
	"google.golang.org/grpc"

	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite/devserver"
)

// longBody is how long a body lasts whose heartbeats are counted: three of their
// timeouts.
const longBody = 3 * perTry

func requestRows() []row {
	constant := retrypolicy.Policy{NumRetries: 5, Backoff: retrypolicy.Constant, Wait: shortWait, Jitter: retrypolicy.NoJitter}
	onServer := constant
	onServer.InPlace = -1
	of := func(name, about string, limit float64, p retrypolicy.Policy, engine, own body) row {
		return row{
			name:    name,
			about:   "requests about activities that a worker sends to a server, " + about,
			demands: []demand{{figure: "extra requests per call", limit: limit}},
			measure: func(ctx context.Context, e *effort) (*result, error) {
				return countRequests(ctx, e, p, engine, own)
			},
		}
	}
	return []row{
		of("requests-success", "for calls that succeed at once under NumRetries 5", 0, constant, body{}, body{}),
		of("requests-in-place", "for calls with one retry in place, beside a retry of Temporal's", 0, constant, body{failures: 1}, body{failures: 1}),
		of("requests-on-server", "for calls with one retry by the server, beside a retry of Temporal's", 1, onServer, body{failures: 1}, body{failures: 1}),
		of("requests-heartbeats", "for a body of 60 s with a heartbeat timeout of 20 s that heartbeats every second", 0, constant,
			body{lasts: longBody, beats: true}, body{lasts: longBody, beats: true}),
		of("requests-quiet-body", "for a body of 60 s that knows nothing of heartbeats, beside one that heartbeats every second", 0, constant,
			body{lasts: longBody}, body{lasts: longBody, beats: true}),
	}
}

// countRequests counts what goes over the wire: heartbeats and responses.
func countRequests(ctx context.Context, e *effort, p retrypolicy.Policy, bodies ...body) (*result, error) {
	srv, err := devserver.Start(ctx, devserver.Options{Output: os.Stderr})
	if err != nil {
		return nil, err
	}
	defer srv.Stop() //nolint:errcheck // nothing of it is needed any more
	calls := e.calls
	if bodies[0].lasts > 0 {
		calls = 1
	}
	var sent [2]requests
	var errs [2]error
	both := sides(p)
	var all sync.WaitGroup
	for i, s := range both {
		s.body.failures = bodies[i].failures
		all.Go(func() {
			errs[i] = s.host(srv, client.Options{ConnectionOptions: client.ConnectionOptions{
				DialOptions: []grpc.DialOption{grpc.WithChainUnaryInterceptor(sent[i].count)},
			}}, func(call func(context.Context) error) error {
				s.body.lasts, s.body.beats = bodies[i].lasts, bodies[i].beats
				sent[i].reset()
				for range calls {
					if err := call(ctx); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
	all.Wait()
	r := &result{}
	for i, s := range both {
		if errs[i] != nil {
			return nil, errs[i]
		}
		r.set(s.name, float64(sent[i].ofActivities()), "requests")
	}
	r.set("calls of each", float64(calls), "")
	r.set("extra requests per call", float64(sent[0].ofActivities()-sent[1].ofActivities())/float64(calls), "")
	return r, nil
}

// requests counts gRPC requests by method.
type requests struct {
	mu  sync.Mutex
	all map[string]int
}

func (r *requests) count(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	r.mu.Lock()
	if r.all == nil {
		r.all = map[string]int{}
	}
	r.all[method[strings.LastIndexByte(method, '/')+1:]]++
	r.mu.Unlock()
	return invoker(ctx, method, req, reply, cc, opts...)
}

func (r *requests) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.all)
}

// ofActivities counts heartbeats and responses, the requests that a worker
// makes because an activity runs.
func (r *requests) ofActivities() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for method, count := range r.all {
		if strings.HasPrefix(method, "RespondActivityTask") || strings.HasPrefix(method, "RecordActivityTaskHeartbeat") {
			n += count
		}
	}
	return n
}
