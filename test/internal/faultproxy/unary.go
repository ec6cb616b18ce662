package faultproxy

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// lateTimeout bounds a late request, whose client may have gone.
const lateTimeout = 10 * time.Second

// request is a unary request on its way.
type request struct {
	Request
	full string
	body frame
	meta metadata.MD
}

// reply is the server's answer to a request.
type reply struct {
	body            frame
	header, trailer metadata.MD
	err             error
}

// late is a request that waits behind another one.
type late struct {
	behind func(held, other Request) bool
	passed signal
}

// unary serves a unary request.
func (p *Proxy) unary(full string, method protoreflect.MethodDescriptor, client grpc.ServerStream) error {
	r := &request{full: full}
	if err := client.RecvMsg(&r.body); err != nil {
		return err
	}
	r.meta = incoming(client.Context())
	r.Method = string(method.Name())
	var err error
	if r.Message, err = decode(method.Input(), r.body); err != nil {
		return err
	}
	p.count(r.Method, 1)
	defer p.count(r.Method, -1)
	a := p.ruled(r)
	if a == nil {
		return p.deliver(client.Context(), r).to(client)
	}
	return p.harm(a, r, client)
}

// harm does to a request what a rule says.
func (p *Proxy) harm(a *Applied, r *request, client grpc.ServerStream) error {
	f := a.rule.Fault
	var answers chan *reply
	if f.Late {
		answers = make(chan *reply, 1)
		p.hold(a, r, answers)
	}
	a.hit.fire()
	var now *reply
	if f.AtOnce {
		now = p.deliver(client.Context(), r)
		if f.Twice {
			a.answered(p.deliver(client.Context(), r).err)
		}
	}
	gone := client.Context().Done()
	switch f.Client {
	case CutOff:
		select {
		case <-time.After(f.CutAfter):
		case <-gone: // it sees nothing any more
		}
		return status.Error(codes.Unavailable, "faultproxy: the connection is cut off")
	case Answer:
		if now != nil {
			return now.to(client)
		}
		select {
		case late := <-answers: // never, if there is none
			return late.to(client)
		case <-gone:
		}
	default:
		<-gone
	}
	return status.FromContextError(client.Context().Err()).Err()
}

// hold delivers a request later, whatever becomes of the client.
func (p *Proxy) hold(a *Applied, r *request, answers chan<- *reply) {
	f := a.rule.Fault
	wait := &late{behind: f.Behind, passed: newSignal()}
	if f.Behind != nil {
		p.mu.Lock()
		p.held[r] = wait
		p.mu.Unlock()
	}
	var over <-chan time.Time
	if f.Delay > 0 {
		over = time.After(f.Delay)
	}
	p.later.Go(func() {
		defer func() {
			p.mu.Lock()
			delete(p.held, r)
			p.mu.Unlock()
		}()
		select {
		case <-a.release.c:
		case <-over:
		case <-wait.passed.c:
		case <-p.life.Done():
			return
		}
		ctx, cancel := context.WithTimeout(p.life, lateTimeout)
		defer cancel()
		answer := p.deliver(ctx, r)
		a.answered(answer.err)
		answers <- answer
	})
}

// deliver sends a request to the server and returns its answer.
func (p *Proxy) deliver(ctx context.Context, r *request) *reply {
	before := p.waiting()
	answer := &reply{}
	answer.err = p.upstream.Invoke(metadata.NewOutgoingContext(ctx, r.meta), r.full, &r.body, &answer.body,
		grpc.Header(&answer.header), grpc.Trailer(&answer.trailer))
	if answer.err == nil {
		p.passed(r, before)
	}
	return answer
}

// waiting are the requests that wait behind one that comes now.
func (p *Proxy) waiting() []*request {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*request, 0, len(p.held))
	for r := range p.held {
		all = append(all, r)
	}
	return all
}

// passed lets go what waits behind r, of what waited when it came.
func (p *Proxy) passed(r *request, before []*request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for held, l := range p.held {
		if held != r && slices.Contains(before, held) && l.behind(held.Request, r.Request) {
			l.passed.fire()
		}
	}
}

// to answers a client.
func (r *reply) to(client grpc.ServerStream) error {
	client.SetTrailer(foreign(r.trailer))
	if r.err != nil {
		return r.err
	}
	if err := client.SendHeader(foreign(r.header)); err != nil {
		return err
	}
	return client.SendMsg(&r.body)
}

// incoming is a client's metadata, for the server.
func incoming(ctx context.Context) metadata.MD {
	md, _ := metadata.FromIncomingContext(ctx)
	return foreign(md)
}

// foreign is metadata without what either side of the proxy negotiates for
// itself.
func foreign(md metadata.MD) metadata.MD {
	md = md.Copy()
	md.Delete("grpc-accept-encoding")
	return md
}

// decode is a message of a method.
func decode(of protoreflect.MessageDescriptor, body frame) (proto.Message, error) {
	t, err := protoregistry.GlobalTypes.FindMessageByName(of.FullName())
	if err != nil {
		return nil, fmt.Errorf("faultproxy: %s: %w", of.FullName(), err)
	}
	m := t.New().Interface()
	if err := proto.Unmarshal(body, m); err != nil {
		return nil, fmt.Errorf("faultproxy: %s: %w", of.FullName(), err)
	}
	return m, nil
}
