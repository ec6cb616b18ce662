package main

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/concurry-go/concurry/test/internal/faultproxy"
)

// fault is what happens.
type fault string

const (
	kills      fault = "kill"      // a worker, by SIGKILL
	shutsDown  fault = "shutdown"  // a worker, by SIGTERM
	freezes    fault = "freeze"    // a worker, by SIGSTOP
	cuts       fault = "cut"       // its connections
	stalls     fault = "stall"     // its bytes
	drops      fault = "drop"      // requests
	dropsReply fault = "answer"    // answers to requests
	holds      fault = "hold"      // requests, until later
	duplicates fault = "duplicate" // requests, the copy before the answer: of a later one nobody could know
	reorders   fault = "reorder"   // requests, behind later ones
	killServer fault = "server-kill"
	stopServer fault = "server-freeze"
	pauses     fault = "pause"  // an activity of a workflow
	resets     fault = "reset"  // an activity of a workflow
	cancels    fault = "cancel" // a call, by its caller
	bodyDies   fault = "die"    // a worker, by a body of its own
)

// strike is a fault at its moment.
type strike struct {
	At     time.Duration // since the beginning
	For    time.Duration // how long it lasts
	Fault  fault
	Worker int
	Pick   uint64 // which of the calls under way, for pauses and resets
	// What follows is of requests.
	Method string // empty is any
	Times  int
	Client faultproxy.Sight
	// Kill is after how long the worker is killed once what was held is delivered,
	// which is when an old journal over a newer one tells; zero is not at all.
	Kill time.Duration
}

type weightedFault struct {
	kind   fault
	weight int
	// shortest and longest are the bounds of strike.For.
	shortest, longest time.Duration
}

// faults are all there are. Those without a weight are drawn with calls.
func faults() []weightedFault {
	const ms = time.Millisecond
	return []weightedFault{
		{kills, 10, 10 * ms, 1500 * ms},
		{shutsDown, 5, 10 * ms, 1000 * ms},
		{freezes, 7, 200 * ms, 3500 * ms},
		{cuts, 4, 50 * ms, 2500 * ms},
		{stalls, 4, 100 * ms, 4000 * ms},
		{drops, 10, 500 * ms, 3000 * ms},
		{dropsReply, 10, 500 * ms, 3000 * ms},
		{holds, 16, 300 * ms, 4000 * ms},
		{duplicates, 8, 300 * ms, 4000 * ms},
		{reorders, 8, 500 * ms, 4000 * ms},
		{killServer, 1, 200 * ms, 2000 * ms},
		{stopServer, 1, 200 * ms, 3000 * ms},
		{pauses, 8, 100 * ms, 3000 * ms},
		{resets, 5, 1 * ms, 2 * ms},
		{kind: cancels},
		{kind: bodyDies},
	}
}

// meanGap is the mean time between two faults.
const meanGap = 450 * time.Millisecond

// drawStrikes draws the faults of a run.
func drawStrikes(o *options) []strike {
	r := rand.New(rand.NewPCG(o.seed, streamFaults)) //nolint:gosec // a seed is to be repeated
	all := slices.DeleteFunc(faults(), func(f weightedFault) bool { return f.weight == 0 || o.lacks(f.kind) })
	if len(all) == 0 {
		return nil
	}
	var strikes []strike
	for at := time.Duration(0); ; {
		at += time.Duration(r.ExpFloat64() * float64(meanGap)).Round(time.Millisecond)
		if at >= o.length {
			return strikes
		}
		f := draw(r, all, func(f weightedFault) int { return f.weight })
		s := strike{At: at, For: between(r, f.shortest, f.longest), Fault: f.kind, Worker: r.IntN(o.workers), Pick: r.Uint64()}
		s.Method = pick(r, []string{
			methodBeat, methodBeat, methodBeat, methodHandBack, methodHandBack, "RespondActivityTaskCompleted", "PollActivityTaskQueue", "",
		})
		s.Times = 1 + r.IntN(6)
		s.Client = pick(r, []faultproxy.Sight{faultproxy.CutOff, faultproxy.CutOff, faultproxy.Silence, faultproxy.Answer})
		if late := s.Fault == holds || s.Fault == reorders; late && chance(r, 50) {
			s.Kill = between(r, time.Millisecond, 150*time.Millisecond)
		}
		strikes = append(strikes, s)
	}
}

const (
	methodBeat     = "RecordActivityTaskHeartbeat"
	methodHandBack = "RespondActivityTaskFailed"
)

// rule is what the worker's proxy is to do.
func (s *strike) rule() faultproxy.Rule {
	r := faultproxy.Rule{Method: s.Method, Times: s.Times}
	client := s.Client
	if (s.Fault == drops || s.Fault == dropsReply) && client == faultproxy.Answer {
		client = faultproxy.CutOff // there is none
	}
	switch s.Fault {
	case drops:
		r.Fault = faultproxy.Drop(client)
	case dropsReply:
		r.Fault = faultproxy.DropAnswer(client)
	case duplicates:
		r.Fault = faultproxy.Twice()
	case reorders:
		r.Fault = faultproxy.Hold(client)
		r.Fault.Behind = faultproxy.Another
	default:
		r.Fault = faultproxy.Hold(client)
	}
	return r
}
