package fire

import (
	"bytes"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/concurry-go/concurry/test/internal/faultproxy"
)

// What happens to one request of the first worker's.
const (
	late         event = "request comes late, SIGKILL"
	lateSilent   event = "request late, client hears nothing, SIGKILL"
	swapped      event = "heartbeat comes behind it, SIGKILL"
	twice        event = "request comes twice, SIGKILL"
	lostCut      event = "request lost, client cut off"
	lostSilent   event = "request lost, client hears nothing"
	answerCut    event = "answer lost, client cut off"
	answerSilent event = "answer lost, client hears nothing"
)

const (
	methodBeat     = "RecordActivityTaskHeartbeat"
	methodHandBack = "RespondActivityTaskFailed"
)

// requestCells are calls one of whose requests does not arrive as it was sent.
// Without retries the hand-back is the call's end.
func requestCells(retries int) []cell {
	var all []cell
	add := func(e event, p phase, end ending) *cell {
		all = append(all, cell{event: e, phase: p, retries: retries, bodies: retries + 1, ending: end})
		return &all[len(all)-1]
	}
	// The second body, or without retries the first, is killed; of five there are
	// others behind it.
	killed := endsLost
	if retries > 2 {
		killed = endsBurnt
	}
	add(late, whileBodyRuns, killed)
	if retries > 0 {
		add(lateSilent, whileBodyRuns, killed)
		add(late, whileWaitingHere, killed)
		add(late, atRecord, killed)
		add(late, atHandBack, killed)
		add(swapped, atRecord, killed)
		add(swapped, atHandBack, killed)
		add(twice, atRecord, killed)
		add(twice, atHandBack, killed)
	} else {
		add(twice, atHandBack, endsBurnt) // there is no body to kill any more
	}
	for _, e := range []event{lostCut, lostSilent, answerCut, answerSilent} {
		// What nobody knows to have ended, or to have started, counts.
		unsure := func(c *cell) { c.atLeast, c.mayBeLost = 1, true }
		unsure(add(e, whileBodyRuns, endsBurnt))
		if retries > 0 {
			unsure(add(e, atRecord, endsBurnt))
		}
		atEnd := add(e, atHandBack, endsBurnt)
		atEnd.mayBeLost = retries == 0
		if e == lostSilent || e == answerSilent {
			// The server may give the next server attempt to a poll that hears nothing.
			atEnd.atLeast = 1
		}
	}
	return all
}

func requestScripts() map[event]script {
	silent, cut := faultproxy.Silence, faultproxy.CutOff
	behind := func(f faultproxy.Fault, other func(held, other faultproxy.Request) bool) faultproxy.Fault {
		f.Behind = other
		return f
	}
	lost := func(f faultproxy.Fault) script {
		return script{prepare: prepareLost, first: behindProxy, arm: func(fi *field) { fi.hurt(f) }, strike: func(fi *field) {
			fi.isHurt()
			if fi.phase == atRecord && fi.setup.Limit {
				fi.callMeanwhile()
			}
		}}
	}
	return map[event]script{
		late: {
			prepare: prepareLate, first: behindProxy,
			arm: func(f *field) {
				if f.phase == atRecord || f.phase == atHandBack {
					f.hurt(faultproxy.Hold(cut))
				}
			},
			strike: func(f *field) {
				if f.hit != nil {
					f.lateComes()
					return
				}
				f.holdBeat(faultproxy.Hold(cut))
			},
		},
		lateSilent: {prepare: prepareLate, first: behindProxy, strike: func(f *field) { f.holdBeat(faultproxy.Hold(silent)) }},
		swapped: {prepare: prepareLate, first: behindProxy, strike: func(f *field) {
			other := faultproxy.Another
			if f.phase == atHandBack {
				other = func(_, other faultproxy.Request) bool { return other.Method == methodHandBack }
			}
			f.holdBeat(behind(faultproxy.Hold(cut), other))
		}},
		twice:        {prepare: prepareLate, first: behindProxy, arm: func(f *field) { f.hurt(faultproxy.Duplicate()) }, strike: (*field).lateComes},
		lostCut:      lost(faultproxy.Drop(cut)),
		lostSilent:   lost(faultproxy.Drop(silent)),
		answerCut:    lost(faultproxy.DropAnswer(cut)),
		answerSilent: lost(faultproxy.DropAnswer(silent)),
	}
}

// prepareLate makes a body that is killed when a request has come late: the
// second, and behind a late record the third where there is one, since the record
// before that is newer. The copy of a record that was answered comes before there
// is a newer one: later, nobody could know that it is to come. A heartbeat is one
// of the first body, which lasts until there was one, or of the wait after it.
func prepareLate(c *cell, s *setup) {
	s.Body, s.Wait, s.Hangs = bodyFails, 10*time.Millisecond, 2
	switch {
	case c.phase == whileWaitingHere:
		s.After = 2500 * time.Millisecond
	case c.phase == whileBodyRuns, c.event == swapped:
		s.Body = bodyGated
	case c.phase == atRecord && c.event == late:
		s.Hangs = min(3, c.retries+1)
	}
	if c.phase == atHandBack {
		s.InPlace = -1
	}
}

// prepareLost makes a request that is lost: a heartbeat of the first body, the
// first record, or the first hand-back. A record whose answer is waited for is that
// of an attempt with a unit of the limit.
func prepareLost(c *cell, s *setup) {
	s.Wait = 10 * time.Millisecond
	switch c.phase {
	case whileBodyRuns:
		s.Body, s.Limit = bodyLasts, true
	case atRecord:
		s.Limit = c.event == lostSilent || c.event == answerSilent
	case atHandBack:
		s.InPlace = -1
	}
}

// behindProxy gives the first worker a proxy of its own.
func behindProxy(f *field, first *setup) {
	p, err := faultproxy.Start(first.Address)
	require.NoError(f, err)
	f.Cleanup(p.Close)
	f.faults, first.Address = p, p.Address()
}

// hurt makes a fault happen to the first request that the phase is about.
func (f *field) hurt(fault faultproxy.Fault) {
	method := methodBeat
	if f.phase == atHandBack {
		method = methodHandBack
	}
	f.hit = f.faults.Apply(faultproxy.Rule{Method: method, Times: 1, Fault: fault})
}

// isHurt waits until it has happened.
func (f *field) isHurt() { f.happens(f.hit.Hit(), "the request was never sent") }

// callMeanwhile shows that an attempt holds nothing while it waits for an answer:
// another call gets the unit well before the engine gives the answer up, which it
// does after ten seconds.
func (f *field) callMeanwhile() {
	since := time.Now()
	f.callNext()
	require.Less(f, time.Since(since), 7*time.Second, "a record whose answer is waited for keeps what its attempt requires")
}

// happens waits for an event.
func (f *field) happens(c <-chan struct{}, missing string) {
	select {
	case <-c:
	case <-time.After(longest / 2):
		require.FailNow(f, missing)
	}
}

// bodiesAre waits until so many bodies have started.
func (f *field) bodiesAre(n int) {
	require.Eventually(f, func() bool {
		have, err := started(f.setup.Ledger)
		return err == nil && have >= n
	}, longest/2, 5*time.Millisecond, "body %d never started", n)
}

// holdBeat holds a heartbeat until a second body runs, delivers it, and kills
// the worker.
func (f *field) holdBeat(fault faultproxy.Fault) {
	f.seen(f.setup.Ledger, "the first body never started")
	var first faultproxy.Request
	held := f.faults.Apply(faultproxy.Rule{Method: methodBeat, Times: 1, Fault: fault, When: func(r faultproxy.Request) bool {
		if first.Message == nil {
			first = r
		}
		return true
	}})
	if fault.Behind != nil {
		f.lastHeard(func(r faultproxy.Request) (of, last bool) {
			return bytes.Equal(tokenOf(first), tokenOf(r)), faultproxy.Another(first, r)
		})
	}
	f.happens(held.Hit(), "no heartbeat was sent")
	if f.retries == 0 {
		f.killFirst()
	} else {
		f.free()
		f.bodiesAre(2)
	}
	f.deliver(held)
	if f.retries > 0 {
		f.killFirst()
	}
	f.spawn(f.setup)
}

// lateComes delivers a request, or the copy of one, while a later body runs, and
// kills the worker. Behind the call's end there is none.
func (f *field) lateComes() {
	f.isHurt()
	bodyComes := f.setup.Hangs <= f.retries+1
	if bodyComes {
		f.bodiesAre(f.setup.Hangs)
	}
	f.deliver(f.hit)
	if bodyComes {
		f.killFirst()
		f.spawn(f.setup)
	}
}

// deliver delivers what is held, as the last that the server hears of the
// worker: a later heartbeat would put a newer journal over an old one.
func (f *field) deliver(held *faultproxy.Applied) {
	f.lastHeard(nil)
	held.Release()
	f.happens(held.Delivered(), "the late request was never answered")
}

// lastHeard loses all heartbeats, of those that it is about, behind the first one
// that is the last. Nil loses all that come from now on.
func (f *field) lastHeard(is func(faultproxy.Request) (of, last bool)) {
	heard := false
	f.faults.Apply(faultproxy.Rule{Method: methodBeat, Fault: faultproxy.Drop(faultproxy.Silence), When: func(r faultproxy.Request) bool {
		if is == nil {
			return true
		}
		of, last := is(r)
		lost := of && heard
		heard = heard || of && last
		return lost
	}})
}

// tokenOf is the server attempt that a heartbeat is of.
func tokenOf(r faultproxy.Request) []byte {
	if beat, ok := r.Message.(*workflowservice.RecordActivityTaskHeartbeatRequest); ok {
		return beat.GetTaskToken()
	}
	return nil
}

func (f *field) killFirst() {
	f.workers[0].signal(syscall.SIGKILL)
	<-f.workers[0].done
}
