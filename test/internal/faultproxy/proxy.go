package faultproxy

import (
	"context"
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	_ "go.temporal.io/api/operatorservice/v1" // its methods' descriptions
	_ "go.temporal.io/api/workflowservice/v1" // see above
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip" // what clients compress with
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// reconnect is how soon the proxy tries again to reach a server that is gone:
// sooner than clients, so that the delays they see are their own.
const reconnect = 50 * time.Millisecond

// connect is the time that a busy machine has for one connection.
const connect = 5 * time.Second

// Proxy is a proxy. It is made by Start, and safe for concurrent use.
type Proxy struct {
	wire     *wire
	server   *grpc.Server
	upstream *grpc.ClientConn

	life  context.Context //nolint:containedctx // the proxy's own, for what outlives requests
	end   context.CancelFunc
	later sync.WaitGroup // late requests

	mu    sync.Mutex
	rules []*Applied
	held  map[*request]*late
	under map[string]int // requests that are under way, by method
}

// Start starts a proxy to the server at target, on a free port of the loopback
// interface. The server need not be there yet. Call Close.
func Start(target string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("faultproxy: %w", err)
	}
	upstream, err := grpc.NewClient("passthrough:///"+target,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{}), grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)),
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: connect, Backoff: backoff.Config{BaseDelay: reconnect, Multiplier: 1, MaxDelay: reconnect}}),
		grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(),
	)
	if err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("faultproxy: target %q: %w", target, err)
	}
	p := &Proxy{wire: newWire(l), upstream: upstream, held: map[*request]*late{}, under: map[string]int{}}
	p.life, p.end = context.WithCancel(context.Background())
	p.server = grpc.NewServer(
		grpc.ForceServerCodec(raw{}), grpc.UnknownServiceHandler(p.handle), grpc.MaxRecvMsgSize(math.MaxInt32),
		// Temporal's clients ping connections without requests.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
	)
	go func() { _ = p.server.Serve(p.wire) }() // ends with Close
	return p, nil
}

// Address is what clients dial.
func (p *Proxy) Address() string { return p.wire.Addr().String() }

// Close ends every connection, and what is held is lost.
func (p *Proxy) Close() {
	p.end()
	p.Cut() // the server waits for connections that are being opened, which may stand still
	p.server.Stop()
	p.later.Wait()
	_ = p.upstream.Close()
}

// Apply makes the proxy follow a rule, after those that it follows already: the
// first one that matches a request decides. Several can be followed at a time.
func (p *Proxy) Apply(r Rule) *Applied {
	a := &Applied{rule: r, proxy: p, hit: newSignal(), release: newSignal(), delivered: newSignal()}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = append(p.rules, a)
	return a
}

func (p *Proxy) lift(a *Applied) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = slices.DeleteFunc(p.rules, func(other *Applied) bool { return other == a })
}

// UnderWay is how many requests of a method clients are waiting for.
func (p *Proxy) UnderWay(method string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.under[method]
}

func (p *Proxy) count(method string, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.under[method] += n
}

// ruled is the rule that a request falls under; nil is none.
func (p *Proxy) ruled(r *request) *Applied {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.rules {
		if a.takes(r) {
			return a
		}
	}
	return nil
}

// handle serves every request.
func (p *Proxy) handle(_ any, client grpc.ServerStream) error {
	full, ok := grpc.MethodFromServerStream(client)
	if !ok {
		return status.Error(codes.Internal, "faultproxy: a stream without a method")
	}
	method := describe(full)
	if method == nil || method.IsStreamingClient() || method.IsStreamingServer() {
		return p.relay(full, client)
	}
	return p.unary(full, method, client)
}

// describe is a method by its full name, as in "/package.Service/Method"; nil if
// nobody here knows it.
func describe(full string) protoreflect.MethodDescriptor {
	name := strings.ReplaceAll(strings.TrimPrefix(full, "/"), "/", ".")
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		return nil
	}
	method, _ := d.(protoreflect.MethodDescriptor)
	return method
}
