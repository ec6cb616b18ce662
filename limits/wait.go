package limits

import (
	"context"
	"math"
	"time"
)

// await waits until a request is served that has been queued, or ctx ends.
func (s *Set) await(ctx context.Context, g *grant) (Lease, error) {
	t := g.turn
	if t.wait(ctx, func() { s.sleep(ctx, &t.own) }) {
		return t.accept(ctx)
	}
	e := &WaitError{Err: context.Cause(ctx)}
	if !s.abandon(&t.own, e) { // answered at the same moment
		<-t.done
		return t.accept(ctx)
	}
	s.grants.Put(g)
	return Lease{}, e
}

// wait waits for the answer; false if ctx ends first. sleep lets time make room
// where that is the request's task.
func (t *turn) wait(ctx context.Context, sleep func()) bool {
	over := ctx.Done()
	if t.due == nil && over == nil {
		<-t.done
		return true
	}
	for {
		select {
		case <-t.done:
			return true
		case <-over:
			return false
		case <-t.due:
			select {
			case <-t.done:
				return true
			case <-over:
				return false
			default:
				sleep()
			}
		}
	}
}

// sleep lets the set's own clock make room, if that is what w waits for.
func (s *Set) sleep(ctx context.Context, w *waiter) {
	if wait, ok := s.dueIn(w); ok {
		s.clock().sleep(wait, ctx.Done(), w.grant.turn.due)
		s.tick()
	}
}

// dueIn is when time will make room for w; false if time is not what it waits
// for.
func (s *Set) dueIn(w *waiter) (wait time.Duration, ok bool) {
	s.lock()
	defer s.unlock()
	return max(time.Duration(s.timerAt-s.now()), 0), s.head == w && s.timerAt != math.MaxInt64
}

// accept returns what a turn ended with. What was granted is given back if ctx has ended
// meanwhile.
func (t *turn) accept(ctx context.Context) (Lease, error) {
	lease, err := t.answer()
	if err == nil && ended(ctx) {
		lease.Undo()
		return Lease{}, &WaitError{Err: context.Cause(ctx)}
	}
	return lease, err
}

func ended(ctx context.Context) bool {
	over := ctx.Done()
	if over == nil {
		return false
	}
	select {
	case <-over:
		return true
	default:
		return false
	}
}

// refuse returns the error for a ctx that has ended: what g would have to wait for.
func (s *Set) refuse(ctx context.Context, g *grant) error {
	holds := holdsOf(ctx, s)
	s.lock()
	defer s.unlock()
	if s.closed != nil {
		return s.closed
	}
	if err := s.never(g.amounts); err != nil {
		return err
	}
	e := &WaitError{Ahead: s.before(holds), Err: context.Cause(ctx)}
	e.Names, e.RetryAfter = s.lacking(g.amounts)
	return e
}

// abandon takes a request out of the queue that is not to be served, and writes into e what
// it waited for. It reports whether the request was still there.
func (s *Set) abandon(w *waiter, e *WaitError) bool {
	s.lock()
	defer s.unlock()
	if !w.queued {
		return false
	}
	if e != nil {
		e.Ahead = w.ahead()
		e.Names, e.RetryAfter = s.lacking(w.grant.amounts)
	}
	first := s.head == w
	s.remove(w)
	if first {
		s.wake() // it may have been all that held the next ones up
	}
	return true
}

// lacking returns the names of the limits that have no room for amounts now, and how long it takes
// until those of rates have, if nothing is taken or given back until then.
func (s *Set) lacking(amounts []amount) (names []string, rates time.Duration) {
	now := s.now()
	for i := range amounts {
		n := amounts[i].units
		if n == 0 {
			continue
		}
		l := &s.limits[i]
		at := l.readyAt(now, n)
		if at > now {
			names = append(names, l.Name)
		}
		if l.meter != nil {
			rates = max(rates, time.Duration(at-now))
		}
	}
	return names, rates
}
