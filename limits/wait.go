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
		return t.answer()
	}
	e := &WaitError{Err: context.Cause(ctx)}
	if !s.abandon(&t.own, e) { // answered at the same moment
		return t.decline(ctx)
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
		s.clock.Sleep(wait, ctx.Done(), w.grant.turn.due)
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

// decline puts back what was granted when the context had ended already.
func (t *turn) decline(ctx context.Context) (Lease, error) {
	<-t.done
	lease, err := t.answer()
	lease.Undo()
	if err == nil {
		err = &WaitError{Err: context.Cause(ctx)}
	}
	return Lease{}, err
}

// abandon takes a request out of the queue whose turn will not come, and tells
// e what it waited for. False if it is not there any more.
func (s *Set) abandon(w *waiter, e *WaitError) bool {
	s.lock()
	defer s.unlock()
	if !w.queued {
		return false
	}
	if e != nil {
		e.Ahead = w.ahead()
		e.Keys = s.lacking(w.grant.amounts)
	}
	first := s.head == w
	s.remove(w)
	if first {
		s.wake() // it may have been all that held the next ones up
	}
	return true
}

// lacking are the keys that have no room for amounts now.
func (s *Set) lacking(amounts []amount) (keys []string) {
	now := s.now()
	for i := range amounts {
		only := make([]amount, len(amounts))
		only[i] = amounts[i]
		if s.readyAt(only, now) > now {
			keys = append(keys, s.limits[i].Key)
		}
	}
	return keys
}
