package limits

import (
	"sync"

	"github.com/concurry-go/concurry/internal/limitengine"
)

// Scope says whose calls the limits of a [Declaration] bound.
type Scope string

const (
	// ScopeSessionOrWorker bounds the calls of a session where a call runs in one, else
	// those of the worker.
	ScopeSessionOrWorker Scope = "session or worker"
	// ScopeWorker bounds the calls of one worker.
	ScopeWorker Scope = "worker"
	// ScopeSession bounds the calls of one Temporal session. Its sets live on the
	// session's worker, and end with the session.
	ScopeSession Scope = "session"
)

// Source is where the limits of a method come from. It is one of
//
//   - a *[Declaration], of which every worker makes sets of its own,
//   - a *[Set], *[Keyed] or *[Pool] that this program has made, which bounds all who
//     name it.
//
// No other package can implement it, so that it can grow.
type Source interface {
	// EngineSource is for this module alone; nobody else can name its parameter's type.
	EngineSource(access limitengine.Access) limitengine.Source[Sets]
}

// Sets are independent sets of the same limits, one for each key: those of a
// [Declaration] on one worker, or a [Keyed]. Safe for concurrent use. No other package
// can implement it, so that it can grow.
type Sets interface {
	Source
	// For returns the set of one key. Calls of methods without LimitKey have the empty
	// key.
	For(key string) Limiter
	// Snapshots returns what the set of each busy key holds now.
	Snapshots() map[string]Snapshot
	// Resize gives the limit called name another capacity, in the sets of all keys; see
	// [Set.Resize].
	Resize(name string, capacity float64) error
}

// Declaration declares limits of which every worker, or every session, makes sets of
// its own. Give one Declaration to all definitions that share its sets on a worker. It
// is immutable and safe for concurrent use; made by [PerWorker], [PerSession] or
// [PerSessionOrWorker].
type Declaration struct {
	scope  Scope
	limits []Limit

	inProcess func() (*Keyed, error)
}

// PerWorker declares limits that bound the calls of one worker.
func PerWorker(limits ...Limit) *Declaration { return declare(ScopeWorker, limits) }

// PerSession declares limits that bound the calls of one Temporal session; see
// activity.InSession. A call outside of sessions is an error.
func PerSession(limits ...Limit) *Declaration { return declare(ScopeSession, limits) }

// PerSessionOrWorker declares limits that bound the calls of a session where a call
// runs in one, else those of the worker.
func PerSessionOrWorker(limits ...Limit) *Declaration { return declare(ScopeSessionOrWorker, limits) }

func declare(scope Scope, limits []Limit) *Declaration {
	d := &Declaration{scope: scope, limits: append([]Limit(nil), limits...)}
	d.inProcess = sync.OnceValues(func() (*Keyed, error) { return d.open(Clock{}) })
	return d
}

func (d *Declaration) open(clock Clock) (*Keyed, error) {
	if err := d.Check(); err != nil {
		return nil, err
	}
	return newKeyed(clock, d.limits), nil
}

// Scope returns whose calls the limits bound.
func (d *Declaration) Scope() Scope { return d.scope }

// Limits returns a copy of the limits.
func (d *Declaration) Limits() []Limit { return append([]Limit(nil), d.limits...) }

// InProcess returns the sets that bound calls in this process, made by Inline, without
// a worker. It returns the same ones each time, or the error of Check.
func (d *Declaration) InProcess() (Sets, error) {
	k, err := d.inProcess()
	if err != nil {
		return nil, err
	}
	return k, nil
}

// Check returns nil, or every mistake in the limits, each a *[FieldError].
func (d *Declaration) Check() error { return checkAll(d.limits...) }
