package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// kind is how a call is made.
type kind string

const (
	submitted   kind = "submit"
	inWorkflow  kind = "workflow"
	inSession   kind = "session" // a workflow with a session, in which it makes several calls
	localToFlow kind = "local"   // a local activity of a workflow on the worker
)

type weightedKind struct {
	kind   kind
	weight int
}

func kinds() []weightedKind {
	return []weightedKind{{submitted, 55}, {inWorkflow, 35}, {inSession, 5}, {localToFlow, 5}}
}

// kinds are those that are not left out.
func (o *options) kinds() []weightedKind {
	var left []weightedKind
	for _, k := range kinds() {
		if !o.leavesOut(string(k.kind)) {
			left = append(left, k)
		}
	}
	return left
}

// spec is a call, before it is made.
type spec struct {
	ID    string
	Kind  kind
	Shape int
	Input input
	// Calls is how many calls a session makes, one after another's start.
	Calls int
	// CancelAfter is when the caller cancels it; zero is never.
	CancelAfter time.Duration
}

// input is what bodies get.
type input struct {
	Call  string
	Scope string // the session that the call is made in; empty for none
	Key   string
	Units int
	// Steps are what the attempts do, by number.
	Steps []step
}

// step is what one attempt does.
type step struct {
	Act    act
	Millis int // how long it takes
}

func (s step) lasts() time.Duration { return time.Duration(s.Millis) * time.Millisecond }

// step is that of attempt n.
func (in *input) step(n int) step { return in.Steps[min(max(n, 1), len(in.Steps))-1] }

// output is what bodies return.
type output struct {
	Call string
	N    int
	Good bool
}

// call is the i-th call of a seed.
func (p *plan) call(i int) spec {
	r := rand.New(rand.NewPCG(p.options.seed, streamCalls+uint64(i))) //nolint:gosec // a seed is to be repeated
	s := spec{ID: fmt.Sprintf("c%05d", i), Kind: draw(r, p.options.kinds(), func(k weightedKind) int { return k.weight }).kind, Calls: 1}
	s.Shape = p.drawShape(r, s.Kind)
	of := p.shapes[s.Shape]
	s.Input = input{
		Call: s.ID, Key: fmt.Sprintf("tenant-%d", r.IntN(3)), Units: 1 + r.IntN(mostUnits),
		Steps: make([]step, of.attempts()),
	}
	for n := range s.Input.Steps {
		s.Input.Steps[n] = drawStep(r, of)
		if s.Input.Steps[n].Act == dies && (s.Kind == localToFlow || p.options.lacks(bodyDies)) {
			s.Input.Steps[n].Act = fails // a local activity would start over, and kill one process after the other
		}
	}
	if s.Kind == inSession {
		s.Calls = 2 + r.IntN(2)
	}
	if !p.options.lacks(cancels) && chance(r, 6) {
		s.CancelAfter = between(r, time.Millisecond, 4*time.Second)
	}
	return s
}

// drawShape draws a shape that a kind of calls can have.
func (p *plan) drawShape(r *rand.Rand, k kind) int {
	for {
		i := r.IntN(len(p.shapes))
		if p.shapes[i].ofSession() == (k == inSession) {
			return i
		}
	}
}
