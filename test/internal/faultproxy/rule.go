package faultproxy

import (
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
)

// Request is one request of a client.
type Request struct {
	// Method is its name without the service, such as "PollActivityTaskQueue".
	Method string
	// Message is what was sent, decoded. It must not be changed.
	Message proto.Message
}

// Rule says which requests a fault happens to.
type Rule struct {
	// Method is the name of the requests' method, such as
	// "RecordActivityTaskHeartbeat". Empty is any.
	Method string
	// When decides by the request; nil is always. It is called for one request
	// at a time, and must not call the proxy.
	When func(r Request) bool
	// Skip is how many requests of those that match pass first.
	Skip int
	// Times is how many it then happens to. Zero is all.
	Times int
	// Fault is what happens.
	Fault Fault
}

// Fault is what happens to a request: when the server gets it, and what the
// client sees. The zero value loses the request; the client then waits for an
// answer as long as it likes. Make one with Hold, Drop, DropAnswer, Duplicate or
// Twice.
type Fault struct {
	// AtOnce delivers the request when it comes.
	AtOnce bool
	// Twice delivers a copy of it right behind, before the client sees anything.
	Twice bool
	// Late delivers it, or after AtOnce a copy of it, later: when
	// Applied.Release is called, when Delay is over, or right behind another
	// request, whichever is first.
	Late bool
	// Delay counts from when the request came. Zero is for ever.
	Delay time.Duration
	// Behind reports whether the request is delivered right behind other, which
	// came later and which the server has answered without an error. Nil waits
	// for no other request. It must not call the proxy.
	Behind func(held, other Request) bool
	// Client is what the client sees.
	Client Sight
	// CutAfter is how long a client waits for CutOff. Zero is no time.
	CutAfter time.Duration
}

// Sight is what a client sees of a request that a fault happens to.
type Sight int

const (
	// Silence is nothing, until the client gives the request up.
	Silence Sight = iota
	// CutOff is the status Unavailable, as of a connection that is lost: after
	// the server's answer if there is one at once, and after Fault.CutAfter.
	CutOff
	// Answer is the server's answer: that at once if there is one, else the
	// late one. A request that is never delivered has none.
	Answer
)

// Hold delivers a request late.
func Hold(client Sight) Fault { return Fault{Late: true, Client: client} }

// Drop never delivers a request.
func Drop(client Sight) Fault { return Fault{Client: client} }

// DropAnswer delivers a request, and loses the answer.
func DropAnswer(client Sight) Fault { return Fault{AtOnce: true, Client: client} }

// Duplicate delivers a request and answers it, and delivers a copy late.
func Duplicate() Fault { return Fault{AtOnce: true, Late: true, Client: Answer} }

// Twice delivers a request, and a copy of it, and answers.
func Twice() Fault { return Fault{AtOnce: true, Twice: true, Client: Answer} }

// Another is a Behind: a request of the same method with another content. A
// client that tries again sends the same content.
func Another(held, other Request) bool {
	return held.Method == other.Method && !proto.Equal(held.Message, other.Message)
}

// Applied is a rule that a proxy follows. Its methods are safe for concurrent
// use.
type Applied struct {
	rule  Rule
	proxy *Proxy

	hit       signal
	release   signal
	delivered signal

	mu      sync.Mutex // guards what follows; taken after the proxy's
	matched int
	outcome error
}

// Hit is closed when the fault first happens.
func (a *Applied) Hit() <-chan struct{} { return a.hit.c }

// Hits is how many requests the fault has happened to.
func (a *Applied) Hits() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return max(a.matched-a.rule.Skip, 0)
}

// Release delivers all requests that the rule holds, and from now on those that
// it would hold.
func (a *Applied) Release() { a.release.fire() }

// Delivered is closed when the server has answered the first late request, or the
// first copy.
func (a *Applied) Delivered() <-chan struct{} { return a.delivered.c }

// Outcome is the answer to that: nil, or a status error. Read
// it after Delivered.
func (a *Applied) Outcome() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.outcome
}

// Lift ends the rule. What it holds stays held until Release.
func (a *Applied) Lift() { a.proxy.lift(a) }

// takes counts a request of the rule's and reports whether the fault happens to
// it.
func (a *Applied) takes(r *request) bool {
	if a.rule.Method != "" && a.rule.Method != r.Method {
		return false
	}
	if a.rule.When != nil && !a.rule.When(r.Request) {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.rule.Times > 0 && a.matched >= a.rule.Skip+a.rule.Times {
		return false
	}
	a.matched++
	return a.matched > a.rule.Skip
}

// answered notes the answer to a late request.
func (a *Applied) answered(err error) {
	a.mu.Lock()
	if !a.delivered.fired() {
		a.outcome = err
	}
	a.mu.Unlock()
	a.delivered.fire()
}

// signal is an event that happens once.
type signal struct {
	c    chan struct{}
	once *sync.Once
}

func newSignal() signal { return signal{c: make(chan struct{}), once: &sync.Once{}} }

func (s signal) fire() { s.once.Do(func() { close(s.c) }) }

func (s signal) fired() bool {
	select {
	case <-s.c:
		return true
	default:
		return false
	}
}
