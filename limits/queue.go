package limits

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// queue is who waits for a set, first come first served: only the first is
// ever looked at, so that a large request is not starved by small ones.
type queue struct {
	head, tail *waiter
	waiting    int

	timer   *time.Timer
	timerAt int64 // when it fires; MaxInt64 if it is stopped

	turns sync.Pool // of *turn; the set's own, since channels must not leave a bubble of testing/synctest
}

// waiter is a request's place in the queue of one set. A request to a pool has
// one in each of its members.
type waiter struct {
	next, prev *waiter
	turn       *turn
	amounts    []amount
	since      int64 // on the set's clock
	queued     bool
}

// turn is a request that waits: the first place of it that has room takes it.
type turn struct {
	taken atomic.Bool
	left  atomic.Int32  // places that may still be served
	done  chan struct{} // gets one value
	due   chan struct{} // gets a value when it is time that has to make room; see Clock
	lease Lease
	err   error

	// own is the one place of a request to a set, and amounts those of it, so
	// that to wait costs nothing once others have waited.
	own     waiter
	amounts [2]amount
}

func newTurn() *turn { return &turn{done: make(chan struct{}, 1)} }

// claim makes the turn the caller's; false if another has it.
func (t *turn) claim() bool { return t.taken.CompareAndSwap(false, true) }

// finish takes the answer out of a turn, of which no queue knows any more.
func (t *turn) finish() (Lease, error) {
	lease, err := t.lease, t.err
	t.lease, t.err, t.own = Lease{}, nil, waiter{}
	t.taken.Store(false)
	t.left.Store(0)
	return lease, err
}

// end answers the request with an error, unless another place may still be
// served. The place has been taken out of its queue.
func (w *waiter) end(err error) {
	if w.turn.left.Add(-1) == 0 && w.turn.claim() {
		w.turn.err = err
		w.turn.done <- struct{}{}
	}
}

func (q *queue) push(w *waiter) {
	w.queued = true
	w.prev = q.tail
	if q.tail == nil {
		q.head = w
	} else {
		q.tail.next = w
	}
	q.tail = w
	q.waiting++
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
}

// ahead is how many are served before w.
func (w *waiter) ahead() int {
	n := 0
	for p := w.prev; p != nil; p = p.prev {
		n++
	}
	return n
}

// wait queues a request and waits until it is served, or ctx ends.
func (s *Set) wait(ctx context.Context, units Units, charge Charge) (Lease, error) {
	t, _ := s.turns.Get().(*turn)
	if t == nil {
		t = newTurn()
	}
	if s.clock.Sleep != nil {
		t.due = make(chan struct{}, 1)
	}
	w := &t.own
	w.turn = t
	w.amounts = t.amounts[:]
	lease, err := s.await(ctx, w, units, charge)
	s.turns.Put(t)
	return lease, err
}

func (s *Set) await(ctx context.Context, w *waiter, units Units, charge Charge) (Lease, error) {
	t := w.turn
	if err := s.enqueue(w, units, charge); err != nil {
		_, _ = t.finish()
		return Lease{}, err
	}
	if t.wait(ctx, func() { s.sleep(ctx, w) }) {
		return t.finish()
	}
	if !t.claim() { // answered at the same moment
		return t.decline(ctx)
	}
	e := &WaitError{Err: context.Cause(ctx)}
	s.abandon(w, e)
	_, _ = t.finish()
	return Lease{}, e
}

// wait waits for the answer; false if ctx ends first. sleep lets time make room
// where that is the request's task.
func (t *turn) wait(ctx context.Context, sleep func()) bool {
	for {
		select {
		case <-t.done:
			return true
		case <-ctx.Done():
			return false
		case <-t.due:
			sleep()
		}
	}
}

// sleep lets the set's own clock make room, if that is what w waits for.
func (s *Set) sleep(ctx context.Context, w *waiter) {
	s.mu.Lock()
	wait := time.Duration(s.timerAt - s.now())
	due := s.head == w && s.timerAt != math.MaxInt64
	s.mu.Unlock()
	if due {
		s.clock.Sleep(max(wait, 0), ctx.Done())
		s.tick()
	}
}

// decline puts back what was granted when the context had ended already.
func (t *turn) decline(ctx context.Context) (Lease, error) {
	<-t.done
	lease, err := t.finish()
	lease.Undo()
	if err == nil {
		err = &WaitError{Err: context.Cause(ctx)}
	}
	return Lease{}, err
}

// enqueue puts a request into the queue, and serves it if there is room now.
func (s *Set) enqueue(w *waiter, units Units, charge Charge) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != nil {
		return s.closed
	}
	if n := len(s.limits); n <= len(w.amounts) {
		w.amounts = w.amounts[:n]
	} else {
		w.amounts = make([]amount, n)
	}
	if err := s.ask(units, charge, w.amounts); err != nil {
		return err
	}
	w.turn.left.Add(1)
	w.since = s.since()
	s.push(w)
	if s.head == w {
		s.wake()
	}
	return nil
}

// abandon takes a request out of the queue whose turn will not come, and tells
// e what it waited for.
func (s *Set) abandon(w *waiter, e *WaitError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !w.queued {
		return
	}
	if e != nil {
		e.Ahead = w.ahead()
		e.Keys = s.lacking(w.amounts)
	}
	first := s.head == w
	s.remove(w)
	if first {
		s.wake() // it may have been all that held the next ones up
	}
}

// lacking are the keys that have no room for amounts now.
func (s *Set) lacking(amounts []amount) (keys []string) {
	now := s.now()
	for i := range amounts {
		only := make([]amount, len(amounts))
		only[i] = amounts[i]
		if s.lacks(only, now) {
			keys = append(keys, s.limits[i].Key)
		}
	}
	return keys
}

// wake serves requests from the head of the queue as long as there is room, and
// sets the timer for the moment when time makes room for the next. Under mu.
func (s *Set) wake() {
	now := s.now()
	for s.head != nil {
		w := s.head
		if w.turn.taken.Load() { // by another member of a pool, or its context has ended
			s.remove(w)
			continue
		}
		if at := s.readyAt(w.amounts, now); at > now {
			s.setTimer(at, now)
			return
		}
		s.remove(w)
		if !w.turn.claim() {
			continue
		}
		id := s.granted.open()
		amounts := s.granted.of(id)
		copy(amounts, w.amounts)
		s.take(amounts, now)
		w.turn.lease = s.granted.hand(s, id)
		w.turn.done <- struct{}{} // w is its owner's from here on
	}
	s.stopTimer()
}

// setTimer makes wake run at a time; MaxInt64 is when something is released.
func (s *Set) setTimer(at, now int64) {
	if at == math.MaxInt64 {
		s.stopTimer()
		return
	}
	if s.timer != nil && s.timerAt == at {
		return
	}
	s.timerAt = at
	if s.clock.Sleep != nil {
		select {
		case s.head.turn.due <- struct{}{}:
		default: // it knows
		}
		return
	}
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
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timerAt = math.MaxInt64 // it has fired
	s.wake()
}

// rejectTooLarge ends the requests that limit i can not grant any more.
func (s *Set) rejectTooLarge(i int) {
	l := &s.limits[i]
	for w := s.head; w != nil; {
		next := w.next
		if n := w.amounts[i].units; n > l.max {
			s.remove(w)
			w.end(&UnitsError{Key: l.Key, Units: int(n), Allowed: fmt.Sprintf("must be from 1 to %d, which is all there is since a resize", l.max)})
		}
		w = next
	}
}
