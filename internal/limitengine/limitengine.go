// Package limitengine is the side of package limits that only this module sees: the
// engine charges calls with it, test environments put sets on their clock, and
// packages that implement limits.Source or limits.Limiter implement it too.
//
// Both interfaces are sealed by one method with a parameter of type Access, which
// nobody outside this module can name. Package limits imports this one, so types of
// that package are type parameters here: Lease is limits.Lease, Sets is limits.Sets.
package limitengine

import (
	"context"
	"time"
)

// Access is the parameter of the methods that seal limits.Source and limits.Limiter.
type Access struct{}

// Source is the engine's side of a limits.Source. Implementations are safe for
// concurrent use.
type Source[Sets any] interface {
	// CheckUnits returns an error unless a request for units can ever be granted.
	// No units are always fine.
	CheckUnits(units map[string]int) error
	// ChargesCalls reports whether there are call limits, of which every call takes
	// a unit.
	ChargesCalls() bool
	// OpenSets makes the sets of one worker or session from a declaration. It is an error
	// of every other source, which has sets already.
	OpenSets(clock Clock) (Sets, error)
	// Close closes the sets, with everything that is held of them; see limits.Set.Close.
	// A declaration has none.
	Close(cause error)

	// Follow puts the sets on the clock of a test environment, until Unfollow, and
	// reports whether they are on it. If one of them is on the clock of another
	// environment, the result is false and none is changed. A set that was made with a
	// clock keeps it. Time goes on from what it was, and what was taken still counts.
	// Requests from elsewhere in the program wait on that clock too, except those that
	// waited before.
	Follow(c *Clock) bool
	// Unfollow puts the sets that are on the clock of an environment back on the real
	// one. Time goes on from what it was.
	Unfollow(c *Clock)
}

// Limiter is the engine's side of a limits.Limiter. Implementations are safe for
// concurrent use.
type Limiter[Lease any] interface {
	// Acquire is that of the limiter, except that charge says which call limits it
	// takes a unit of.
	Acquire(ctx context.Context, units map[string]int, charge Charge) (Lease, error)
	// TryAcquire is that of the limiter, except for charge.
	TryAcquire(units map[string]int, charge Charge) (Lease, error)
	// OpenLease returns a lease of nothing, with which an attempt that requires nothing can
	// report usage. It is the zero Lease of a pool: no member is chosen yet.
	OpenLease() (Lease, error)
	// Within is limits.With for the inside of a call that has been charged already: its
	// acquisitions take no unit of call limits. held is what the call has acquired so
	// far, which its caller releases.
	Within(ctx context.Context, held Lease) (context.Context, func())
	// Lose takes one lease away: its contexts end with limits.ErrLost and cause, its
	// resources are free again, and what was taken of rates stays charged. It does
	// nothing to a lease that has ended.
	Lose(lease Lease, cause error)
	// Forecast returns how long it takes until the rates have room for the last of
	// requests, if each is served as soon as they have room for it and for all before
	// it. It ignores resources, requests that wait, and requests that can never be
	// granted.
	Forecast(requests []Request) time.Duration
}

// Charge says which limits of limits.KindCalls an acquisition takes a unit of.
type Charge int

const (
	// ChargeCalls is all of them: the first attempt of a call, and every acquisition
	// outside of calls.
	ChargeCalls Charge = iota
	// ChargeAttempt is those with PerAttempt: a further attempt of a call.
	ChargeAttempt
	// ChargeNothing is none: an acquisition inside a call, which has been charged.
	ChargeNothing
)

// Clock is a limits.Clock. That of a test environment identifies it, by its address.
type Clock struct {
	Now   func() time.Time
	Sleep func(d time.Duration, wake ...<-chan struct{}) bool
}

// Request is a request for units, as Acquire gets it.
type Request struct {
	Units  map[string]int
	Charge Charge
}
