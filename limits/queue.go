package limits

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"time"
)

// queue is the requests that wait for a set, first come first served. Only the first is
// considered, so that a large request is not starved by small ones. A request whose work
// holds a resource of the set goes before those that hold none, because one of those may
// be waiting for that resource.
type queue struct {
	head, tail *waiter
	waiting    int
	crowded    atomic.Bool // whether somebody waits, for those without the lock
	waited     atomic.Bool // whether anybody has waited

	served, lastServed *waiter // those to be told when the lock is free; see unlock

	timer   *time.Timer
	timerAt int64 // when it fires; MaxInt64 if it is stopped
}

// waiter is a request's place in the queue of one set. A request to a pool has
// one in each of its members.
type waiter struct {
	next, prev *waiter
	grant      *grant
	since      int64 // on the set's clock
	holds      bool  // a resource of the set; see holdsOf
	queued     bool
}

// turn is a request that waits. There may be very many: it is kept small.
type turn struct {
	done chan struct{} // gets one value
	due  chan struct{} // gets a value when it is time that has to make room; see Clock
	err  *error        // what it ends with, if not with a lease
	// contest is who answers a request to a pool. That to a set is answered
	// under the set's lock.
	contest *contest

	own waiter // the one place of a request to a set
}

// contest is between the places of a request, and the end of its context.
type contest struct {
	taken  atomic.Bool
	left   atomic.Int32 // places that may still be served
	winner *waiter      // the place that was
}

func (c *contest) win() bool { return c.taken.CompareAndSwap(false, true) }

// place is where a request for g waits: the one place of its turn. It may take
// the lock of the set.
func (g *grant) place(ctx context.Context) *waiter {
	if g.turn == nil {
		g.set.waited.Store(true)
		g.turn = &turn{done: make(chan struct{}, 1)}
		g.turn.own.grant = g
	}
	if g.turn.due == nil && g.set.clock().Sleep != nil {
		g.turn.due = make(chan struct{}, 1)
	}
	w := &g.turn.own
	w.since, w.holds = g.set.since(), holdsOf(ctx, g.set)
	return w
}

// tell says that there is an answer, and ends the request's own sleep.
func (t *turn) tell() {
	due := t.due
	t.done <- struct{}{}
	if due != nil {
		select {
		case due <- struct{}{}:
		default: // it knows
		}
	}
}

// answer returns what a turn ended with.
func (t *turn) answer() (Lease, error) {
	switch {
	case t.err != nil:
		err := *t.err
		t.err = nil
		return Lease{}, err
	case t.contest != nil:
		g := t.contest.winner.grant
		g.turn = nil // whoever has the grant next waits on a turn of its own
		return g.lease(), nil
	default:
		return t.own.grant.lease(), nil
	}
}

// end answers the request with an error, unless another place may still be
// served. The place has been taken out of its queue.
func (w *waiter) end(err error) {
	t := w.grant.turn
	if c := t.contest; c == nil || c.left.Add(-1) == 0 && c.win() {
		t.err = &err
		t.tell()
	}
}

func (q *queue) push(w *waiter) {
	w.queued = true
	w.prev, w.next = q.tail, nil
	if w.holds {
		w.next = q.firstWithout()
		if w.next != nil {
			w.prev = w.next.prev
		}
	}
	if w.prev == nil {
		q.head = w
		q.crowded.Store(true)
	} else {
		w.prev.next = w
	}
	if w.next == nil {
		q.tail = w
	} else {
		w.next.prev = w
	}
	q.waiting++
}

// firstWithout is the first waiter who holds nothing; nil if there is none.
// There are fewer before it than the set's resources have units.
func (q *queue) firstWithout() *waiter {
	w := q.head
	for w != nil && w.holds {
		w = w.next
	}
	return w
}

func (q *queue) remove(w *waiter) {
	if !w.queued {
		return
	}
	w.queued = false
	if w.prev == nil {
		q.head = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		q.tail = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next = nil, nil
	q.waiting--
	if q.head == nil {
		q.crowded.Store(false)
	}
}

// maxAhead caps WaitError.Ahead. Counting the whole queue for each of many requests that
// time out together would hold the mutex for too long.
const maxAhead = 1000

// ahead returns how many are served before w, at most maxAhead.
func (w *waiter) ahead() int {
	n := 0
	for p := w.prev; p != nil && n < maxAhead; p = p.prev {
		n++
	}
	return n
}

// before returns how many would be served before a request that comes now, at most
// maxAhead.
func (q *queue) before(holds bool) int {
	if !holds {
		return min(q.waiting, maxAhead)
	}
	n := 0
	for w := q.head; w != nil && w.holds && n < maxAhead; w = w.next {
		n++
	}
	return n
}

// enqueue puts a request into the queue, and serves it if there is room now.
// Under the lock.
func (s *Set) enqueue(w *waiter) {
	s.push(w)
	if s.head == w {
		s.wake()
	}
}

// wake serves requests from the head of the queue as long as there is room, and
// sets the timer for the moment when time makes room for the next. Under the
// lock.
func (s *Set) wake() {
	now := s.now()
	for s.head != nil {
		w := s.head
		c := w.grant.turn.contest
		if c != nil && c.taken.Load() { // by another member, or its context has ended
			s.remove(w)
			continue
		}
		if at := s.readyAt(w.grant.amounts, now); at > now {
			s.setTimer(at, now)
			return
		}
		s.remove(w)
		if c != nil {
			if !c.win() {
				continue
			}
			c.winner = w
		}
		s.take(w.grant.amounts, now)
		if s.served == nil {
			s.served = w
		} else {
			s.lastServed.next = w
		}
		s.lastServed = w
	}
	s.stopTimer()
}

// unlock releases the lock, and then wakes the requests that were served under it. Each of
// them runs at once and may want the lock.
func (s *Set) unlock() {
	w := s.served
	if w != nil {
		s.served, s.lastServed = nil, nil
	}
	s.reopen()
	s.mu.Unlock()
	for w != nil {
		next := w.next
		w.next = nil
		w.grant.turn.tell() // w is its owner's from here on
		w = next
	}
}

// setTimer makes wake run at a time; MaxInt64 is when something is released.
func (s *Set) setTimer(at, now int64) {
	if at == math.MaxInt64 {
		s.stopTimer()
		return
	}
	simulated := s.clock().Sleep != nil
	if due := s.head.grant.turn.due; due != nil && simulated {
		s.timerAt = at
		select {
		case due <- struct{}{}:
		default: // it knows
		}
		return
	}
	if s.timer != nil && s.timerAt == at && !simulated {
		return
	}
	s.timerAt = at
	if s.timer == nil {
		s.timer = time.AfterFunc(time.Duration(at-now), s.tick)
		return
	}
	s.timer.Reset(time.Duration(at - now))
}

func (s *Set) stopTimer() {
	if s.timer != nil && s.timerAt != math.MaxInt64 {
		s.timer.Stop()
	}
	s.timerAt = math.MaxInt64
}

// tick is when time has made room.
func (s *Set) tick() {
	s.lock()
	defer s.unlock()
	s.timerAt = math.MaxInt64 // it has fired
	s.wake()
}

// rejectTooLarge ends the requests that limit i can not grant any more.
func (s *Set) rejectTooLarge(i int) {
	l := &s.limits[i]
	for w := s.head; w != nil; {
		next := w.next
		if n := w.grant.amounts[i].units; n > l.max {
			s.remove(w)
			w.end(&UnitsError{Name: l.Name, Units: int(n), Allowed: fmt.Sprintf("must be from 1 to %d, which is all there is since a resize", l.max)})
		}
		w = next
	}
}
