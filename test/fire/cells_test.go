package fire

import (
	"time"
)

// phase is where a call is when something happens to it.
type phase string

const (
	whileBodyRuns      phase = "while the body runs"
	whileWaitingHere   phase = "while waiting in place"
	whileWaitingServer phase = "while waiting on the server"
	whileLimitHere     phase = "while waiting for a limit"
	whileLimitServer   phase = "while waiting for a limit on the server"

	beforeFirst phase = "before the first attempt"
	atRecord    phase = "at the record of an attempt in place"
	atHandBack  phase = "at the hand-back"
)

// event is what happens.
type event string

const (
	shutdown     event = "worker shut down"
	sigkill      event = "SIGKILL"
	sigstop      event = "SIGSTOP past the heartbeat timeout, SIGCONT"
	cutOff       event = "connection cut"
	serverKilled event = "server killed and restarted"
	pauseResume  event = "pause, unpause"
	reset        event = "reset by an operator"
	cancellation event = "cancellation"
	callTimeout  event = "call timeout"
	killedInside event = "SIGKILL in a later body"
	ignores      event = "body ignores its context"
)

// ending is what the caller gets.
type ending string

const (
	// endsBurnt is the last body's own error.
	endsBurnt ending = "the last attempt's error"
	// endsLost is the error of a call whose last attempt left no outcome.
	endsLost ending = "AttemptLost"
	// endsCanceled is a cancellation.
	endsCanceled ending = "canceled"
	// endsTimedOut is the end of the attempt's context, raised by the engine.
	endsTimedOut ending = "the attempt's deadline"
	// endsWaiting is the error of a call that waited for a limit before its
	// first attempt, as long as it could.
	endsWaiting ending = "LimitWait"
	// endsForeign is the error of a body on a worker without the plugin.
	endsForeign ending = "another worker's error"
	// endsStopped is the last body's own error, and that it was a limit that
	// left no time for another attempt.
	endsStopped ending = "the last attempt's error, StopLimits"
)

// cell is one field of the crash table, with what it promises.
type cell struct {
	event   event
	phase   phase
	retries int
	// bodies is how many bodies are started: at most this many ever, and
	// exactly this many unless atLeast is lower; -1 for none.
	bodies, atLeast int
	ending          ending
	// mayBeLost allows endsLost instead. A server does not notice at once that
	// a frozen or unreachable worker is gone, and can hand it the next server
	// attempts too. Each counts as a started body, since nobody knows.
	mayBeLost bool
	// mayBeForeign allows endsForeign instead: the last server attempt of a worker
	// without the plugin counts, and may be the last there is.
	mayBeForeign bool
}

// cells is the crash table. A call without retries waits for nothing but a
// limit; otherwise only its body can be hit.
func cells() []cell {
	var all []cell
	add := func(c cell) {
		if c.atLeast == 0 {
			c.atLeast = c.bodies
		}
		all = append(all, c)
	}
	for _, retries := range []int{0, 1, 5} {
		for _, e := range []event{shutdown, sigkill, sigstop, cutOff, serverKilled, pauseResume} {
			c := cell{event: e, retries: retries, bodies: retries + 1, ending: endsBurnt}
			if e == sigstop || e == cutOff || e == serverKilled {
				c.mayBeLost, c.atLeast = true, 1
			}
			c.phase = whileBodyRuns
			body := c
			if retries == 0 {
				body.ending = endsLost
			}
			add(body)
			if retries > 0 {
				c.phase = whileWaitingHere
				add(c)
				c.phase = whileWaitingServer
				add(c)
			}
		}
		for _, p := range []phase{whileBodyRuns, whileWaitingHere, whileWaitingServer} {
			if retries == 0 && p != whileBodyRuns {
				continue
			}
			add(cell{event: cancellation, phase: p, retries: retries, bodies: 1, ending: endsCanceled})
			c := cell{event: callTimeout, phase: p, retries: retries, bodies: 1, ending: endsBurnt}
			if p == whileBodyRuns {
				c.ending = endsTimedOut
			} else {
				c.bodies, c.atLeast = retries+1, 1
			}
			add(c)
			// A reset gives a new budget.
			add(cell{event: reset, phase: p, retries: retries, bodies: retries + 2, ending: endsBurnt})
		}
		if retries > 0 {
			c := cell{event: killedInside, phase: whileBodyRuns, retries: retries, bodies: retries + 1, ending: endsBurnt}
			if retries < 3 {
				c.ending = endsLost // it was the last one
			}
			add(c)
		}
		add(cell{event: ignores, phase: whileBodyRuns, retries: retries, bodies: retries + 1, ending: map[bool]ending{true: endsTimedOut, false: endsBurnt}[retries == 0]})
		all = append(all, limitCells(retries)...)
	}
	for _, retries := range []int{0, 1, 5} {
		for _, more := range []func(int) []cell{requestCells, stallCells, codecCells, rolloutCells, sessionCells} {
			for _, c := range more(retries) {
				add(c)
			}
		}
	}
	return all
}

// setup is the policy that brings a call into the cell's phase, with time
// enough for the event.
func (c *cell) setup() setup {
	s := setup{
		Retries: c.retries, StopTimeout: time.Second,
		CallTimeout: time.Minute, Body: bodyFails,
		Wait: 2500 * time.Millisecond, InPlace: time.Hour,
	}
	switch c.phase {
	case whileBodyRuns: // which holds a unit of the limit
		s.Body, s.Wait, s.Limit = bodyBlocks, 10*time.Millisecond, true
	case whileWaitingServer:
		s.InPlace = -1
	case whileLimitHere, whileLimitServer:
		c.limited(&s)
	}
	if c.retries > 1 {
		s.Wait = min(s.Wait, 1200*time.Millisecond)
	}
	if prepare := scriptOf(c.event).prepare; prepare != nil {
		prepare(c, &s)
		return s
	}
	switch c.event {
	case cancellation:
		s.Heartbeat = patient
	case callTimeout:
		s.Heartbeat = patient
		s.CallTimeout = 3 * time.Second
		if c.waitsForLimit() { // to its end, of which the answer gets a tenth
			s.CallTimeout = 8 * time.Second
		}
	case reset:
		s.Heartbeat = patient
	case killedInside:
		s.Body = bodyKills
	case ignores:
		s.Body, s.AttemptTimeout = bodyIgnores, 500*time.Millisecond
	case sigstop, cutOff, serverKilled:
		if c.phase == whileBodyRuns {
			s.Body = bodyLasts // comes back, and must not be listened to
		}
	}
	return s
}
