package limits

import (
	"sync"
)

// Scope is whom a declared set bounds.
type Scope string

const (
	// ScopeSessionOrWorker is the session's when the call runs in one, else the worker's.
	ScopeSessionOrWorker Scope = "session or worker"
	// ScopeWorker is the calls of one worker.
	ScopeWorker Scope = "worker"
	// ScopeSession is the calls of one Temporal session. The set lives on the
	// session's worker, and ends with the session.
	ScopeSession Scope = "session"
)

// Source is where the limits of a definition come from: a *Declaration, of
// which every worker makes sets of its own, or a *Set, *Keyed or *Pool that
// this program has made and shares as it likes.
type Source interface {
	// CheckUnits returns an error unless a request for units can ever be
	// granted. None are always fine.
	CheckUnits(units Units) error
	// Charging tells whether there are call limits, which every call takes a
	// unit of.
	Charging() bool
}

// Declaration is limits of which every worker, or every session, makes a set of
// its own. Give the same one to all definitions that share it on a worker.
type Declaration struct {
	scope  Scope
	limits []Limit

	inProcess func() (*Keyed, error)
}

// PerSessionOrWorker declares limits without an explicit scope: they bound the calls of a
// session where a call runs in one, else those of the worker.
func PerSessionOrWorker(limits ...Limit) *Declaration { return declare(ScopeSessionOrWorker, limits) }

// PerWorker declares limits that bound the calls of one worker.
func PerWorker(limits ...Limit) *Declaration { return declare(ScopeWorker, limits) }

// PerSession declares limits that bound the calls of one Temporal session; see
// activity.InSession. A call that runs in none is an error.
func PerSession(limits ...Limit) *Declaration { return declare(ScopeSession, limits) }

func declare(scope Scope, limits []Limit) *Declaration {
	d := &Declaration{scope: scope, limits: append([]Limit(nil), limits...)}
	d.inProcess = sync.OnceValues(func() (*Keyed, error) { return d.Open(Clock{}) })
	return d
}

// Scope is whom the limits bound.
func (d *Declaration) Scope() Scope { return d.scope }

// Limits are the limits.
func (d *Declaration) Limits() []Limit { return append([]Limit(nil), d.limits...) }

// Open makes the sets of one worker or session: one for each key, and that of
// the empty key for methods without LimitKey.
func (d *Declaration) Open(clock Clock) (*Keyed, error) {
	if err := d.Check(); err != nil {
		return nil, err
	}
	return newKeyed(clock, d.limits), nil
}

// InProcess are the sets of calls that run in this process, without a worker.
func (d *Declaration) InProcess() (*Keyed, error) { return d.inProcess() }

// Check returns nil, or every mistake in the limits, each a *FieldError.
func (d *Declaration) Check() error { return Check(d.limits...) }

// CheckUnits implements Source.
func (d *Declaration) CheckUnits(units Units) error {
	if err := d.Check(); err != nil {
		return err
	}
	return newSet(Clock{}, d.limits).CheckUnits(units)
}

// Charging implements Source.
func (d *Declaration) Charging() bool {
	for _, l := range d.limits {
		if l.Kind == KindCalls {
			return true
		}
	}
	return false
}

// CheckUnits implements Source.
func (s *Set) CheckUnits(units Units) error {
	if len(units) == 0 {
		return nil
	}
	g := s.makeGrant()
	if err := s.ask(units, ChargeNothing, g); err != nil {
		return err
	}
	s.lock()
	defer s.unlock()
	return s.never(g.amounts)
}

// Charging implements Source.
func (s *Set) Charging() bool { return s.charges > 0 }

// CheckUnits implements Source.
func (k *Keyed) CheckUnits(units Units) error {
	k.mu.Lock()
	s := newSetBy(k.timing, k.limits)
	k.mu.Unlock()
	return s.CheckUnits(units)
}

// Charging implements Source.
func (k *Keyed) Charging() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return declare(ScopeSessionOrWorker, k.limits).Charging()
}

// CheckUnits implements Source: one member that can grant them is enough.
func (p *Pool) CheckUnits(units Units) error {
	var first error
	for _, m := range p.members {
		err := m.Set.CheckUnits(units)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// Charging implements Source.
func (p *Pool) Charging() bool {
	for _, m := range p.members {
		if m.Set.Charging() {
			return true
		}
	}
	return false
}
