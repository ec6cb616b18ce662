package limits

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/concurry-go/concurry/internal/limitengine"
)

// Pool is several sets of which one grants each request, such as one set for each account
// of a service: the first that has room. [Lease.Metadata] says which it was. Safe for
// concurrent use; made by [NewPool]. A zero Pool grants nothing.
type Pool struct {
	members []Member
}

// Member is one set of a pool.
type Member struct {
	Set *Set
	// Metadata is what Lease.Metadata returns, such as a region, an account or a client.
	// Nil is allowed. The pool does not touch it: if leases of several goroutines use
	// it, it must be safe for concurrent use.
	Metadata any
}

// NewPool returns a pool of at least one set, in their order of preference, or a
// *[FieldError].
func NewPool(members ...Member) (*Pool, error) {
	if len(members) == 0 {
		return nil, &FieldError{Field: "members", Value: "none", Allowed: "must be at least one"}
	}
	for i, m := range members {
		if m.Set == nil {
			return nil, &FieldError{Field: fmt.Sprintf("members[%d].Set", i), Value: "nil", Allowed: "must be a set"}
		}
	}
	return &Pool{members: append([]Member(nil), members...)}, nil
}

// errNoMembers returns the error of a request to the zero Pool.
func errNoMembers() error {
	return &FieldError{Field: "members", Value: "none", Allowed: "must be at least one; make a pool with limits.NewPool"}
}

// Members returns a copy of the pool's members.
func (p *Pool) Members() []Member { return append([]Member(nil), p.members...) }

// Acquire takes all units from the first set that has room for them, or else waits for
// whichever has room first; see [Set.Acquire]. It passes over sets that can never grant
// the units, also if a resize makes them so while the request waits. If no set can, the
// error is that of the first.
func (p *Pool) Acquire(ctx context.Context, units Units) (Lease, error) {
	return p.acquire(ctx, units, limitengine.ChargeCalls)
}

// TryAcquire takes all units from the first set that has room for them now, or returns
// [ErrNoRoom].
func (p *Pool) TryAcquire(units Units) (Lease, error) {
	return p.tryAcquire(units, limitengine.ChargeCalls)
}

func (p *Pool) tryAcquire(units Units, charge limitengine.Charge) (Lease, error) {
	if len(p.members) == 0 {
		return Lease{}, errNoMembers()
	}
	var refused error
	full := false
	for i := range p.members {
		lease, err := p.members[i].Set.tryAcquire(units, charge)
		switch {
		case err == nil:
			lease.member = &p.members[i]
			return lease, nil
		case errors.Is(err, ErrNoRoom):
			full = true
		case refused == nil:
			refused = err
		}
	}
	if full {
		return Lease{}, ErrNoRoom
	}
	return Lease{}, refused
}

func (p *Pool) acquire(ctx context.Context, units Units, charge limitengine.Charge) (Lease, error) {
	if ended(ctx) && len(p.members) > 0 {
		return Lease{}, p.refuse(ctx, units, charge)
	}
	lease, err := p.tryAcquire(units, charge)
	if err != ErrNoRoom { //nolint:errorlint // nobody wraps it
		return lease, err
	}
	return p.wait(ctx, units, charge)
}

// refuse returns the error for a ctx that has ended: what the request would have to wait
// for at the member that comes nearest to serving it, or else why none can.
func (p *Pool) refuse(ctx context.Context, units Units, charge limitengine.Charge) error {
	var first error
	var of *WaitError // first, if it is one
	for i := range p.members {
		_, err := p.members[i].Set.acquire(ctx, units, charge)
		wait, waits := errors.AsType[*WaitError](err)
		switch {
		case waits && wait.room():
			return err
		case waits && of != nil:
			of.RetryAfter = min(of.RetryAfter, wait.RetryAfter)
		case first == nil || waits:
			first, of = err, wait
		}
	}
	return first
}

// wait takes a place in the queue of every member, until one of them serves
// the request.
func (p *Pool) wait(ctx context.Context, units Units, charge limitengine.Charge) (Lease, error) {
	c := &contest{}
	t := &turn{done: make(chan struct{}, 1), contest: c}
	t.due = make(chan struct{}, 1) // for members with a clock of their own
	places := make([]*waiter, len(p.members))
	c.left.Add(1) // no member that closes meanwhile is the last
	var refused error
	for i := range p.members {
		w, err := p.members[i].Set.join(ctx, t, units, charge)
		if err == nil {
			places[i] = w
		} else if refused == nil {
			refused = err
		}
	}
	if c.left.Add(-1) == 0 && c.win() { // no place is left that could be served
		if refused == nil {
			refused = ErrClosed
		}
		p.leave(places, nil)
		return Lease{}, refused
	}
	if t.wait(ctx, func() { p.sleep(ctx, places) }) {
		p.leave(places, nil)
		return p.named(t.accept(ctx))
	}
	if !c.win() { // answered at the same moment
		p.leave(places, nil)
		<-t.done
		return p.named(t.accept(ctx))
	}
	e := &WaitError{Err: context.Cause(ctx)}
	p.leave(places, e)
	return Lease{}, e
}

// sleep lets the clock of the member make room that will be the first to have it.
func (p *Pool) sleep(ctx context.Context, places []*waiter) {
	first, soonest := -1, time.Duration(0)
	for i, w := range places {
		if w == nil {
			continue
		}
		if wait, ok := p.members[i].Set.dueIn(w); ok && (first < 0 || wait < soonest) {
			first, soonest = i, wait
		}
	}
	if first >= 0 {
		p.members[first].Set.sleep(ctx, places[first])
	}
}

// leave gives the places up; e is told about the first, and when the rates of one
// of them have room.
func (p *Pool) leave(places []*waiter, e *WaitError) {
	told := false
	for i, w := range places {
		switch {
		case w == nil:
		case e == nil || !told:
			told = p.members[i].Set.abandon(w, e)
		default:
			of := WaitError{RetryAfter: e.RetryAfter}
			p.members[i].Set.abandon(w, &of)
			e.RetryAfter = min(e.RetryAfter, of.RetryAfter)
		}
	}
}

// named returns the lease with the member that granted it.
func (p *Pool) named(l Lease, err error) (Lease, error) {
	for i := range p.members {
		if l.grant != nil && p.members[i].Set == l.grant.set {
			l.member = &p.members[i]
			break
		}
	}
	return l, err
}

// checkUnits returns an error unless a member can ever grant units.
func (p *Pool) checkUnits(units Units) error {
	if len(p.members) == 0 {
		return errNoMembers()
	}
	var first error
	for _, m := range p.members {
		err := m.Set.checkUnits(units)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// join gives a pool's request a place in the queue.
func (s *Set) join(ctx context.Context, t *turn, units Units, charge limitengine.Charge) (*waiter, error) {
	g := s.makeGrant() // one that was used before may have a turn of its own
	g.turn = t
	if err := s.ask(units, charge, g); err != nil {
		return nil, err
	}
	w := &waiter{grant: g, since: s.since(), holds: holdsOf(ctx, s)}
	s.lock()
	defer s.unlock()
	if s.closed != nil {
		return nil, s.closed
	}
	if err := s.never(g.amounts); err != nil {
		return nil, err
	}
	t.contest.left.Add(1)
	s.enqueue(w)
	return w, nil
}
