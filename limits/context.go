package limits

import (
	"context"
	"slices"
	"sync"

	"github.com/concurry-go/concurry/internal/limitengine"
)

// With returns a context from which [Acquire] acquires units of limiter, and a function
// that releases what was acquired through it and is still held. The engine of package
// activity does this for every attempt of a method with limits; a program that uses this
// package alone does it around a piece of work. The function can be called again, and
// from any goroutine.
func With(ctx context.Context, limiter Limiter) (context.Context, func()) {
	h := &holder{limiter: limiter, charge: limitengine.ChargeCalls, outer: holderIn(ctx)}
	return context.WithValue(ctx, holderKey{}, h), h.release
}

// within is With for a call that has been charged; see limitengine.Limiter.
func within(ctx context.Context, limiter Limiter, held Lease) (context.Context, func()) {
	h := &holder{limiter: limiter, charge: limitengine.ChargeNothing, held: held, outer: holderIn(ctx)}
	return context.WithValue(ctx, holderKey{}, h), h.release
}

// Acquire waits until all units can be taken at once from the limits of ctx, and takes
// them; see [Set.Acquire]. Inside a method these are the limits declared with it. What the
// method does not release is released when the attempt ends, however it ends.
//
// Work that holds a resource is served before requests that hold none, because one of
// those may be waiting for it. Two pieces of work that each wait for what the other holds
// wait until a context ends: acquire such resources together.
//
// Errors: [ErrNoLimits], those of [Set.Acquire], and [ErrReleased] if the work has ended
// meanwhile.
func Acquire(ctx context.Context, units Units) (Lease, error) {
	h, err := holderOf(ctx)
	if err != nil {
		return Lease{}, err
	}
	return h.keep(h.limiter.EngineLimiter(limitengine.Access{}).Acquire(ctx, units, h.charge))
}

// TryAcquire takes all units now from the limits of ctx, or returns [ErrNoRoom] if there
// is no room or a request waits, whatever ctx holds. If ctx has ended, it takes nothing
// and returns the cause.
func TryAcquire(ctx context.Context, units Units) (Lease, error) {
	h, err := holderOf(ctx)
	if err != nil {
		return Lease{}, err
	}
	if ended(ctx) {
		return Lease{}, context.Cause(ctx)
	}
	return h.keep(h.limiter.EngineLimiter(limitengine.Access{}).TryAcquire(units, h.charge))
}

// Held returns the lease of what was acquired for the work of ctx before it began: in a
// method, what its Requires and RequiresOf say, and call limits. [Lease.Use] reports how
// much was really used, [Lease.Metadata] says which member of a pool was chosen, and
// [Lease.Context] ends when the lease is lost, such as with its session. Without limits,
// and in a method of a pool that requires nothing, Held returns the zero Lease.
func Held(ctx context.Context) Lease {
	if h := holderIn(ctx); h != nil {
		return h.held
	}
	return Lease{}
}

// From returns what [Acquire] acquires from; nil if ctx has no limits.
func From(ctx context.Context) Limiter {
	if h, err := holderOf(ctx); err == nil {
		return h.limiter
	}
	return nil
}

type holderKey struct{}

// holder notes the leases of one piece of work.
type holder struct {
	limiter Limiter
	charge  limitengine.Charge
	held    Lease   // before it began
	outer   *holder // of the work that this is a part of; nil if it is none

	mu     sync.Mutex
	leases []Lease
	sweep  int // how many leases there may be until those that were released are dropped
	ended  bool
}

func holderIn(ctx context.Context) *holder {
	h, _ := ctx.Value(holderKey{}).(*holder)
	return h
}

// holdsOf reports whether the work of ctx holds a resource of s. Others may be waiting for
// that, so the work must not wait for them.
func holdsOf(ctx context.Context, s *Set) bool {
	for h := holderIn(ctx); h != nil; h = h.outer {
		if h.occupies(s) {
			return true
		}
	}
	return false
}

func (h *holder) occupies(s *Set) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.held.occupies(s) || slices.ContainsFunc(h.leases, func(l Lease) bool { return l.occupies(s) })
}

func holderOf(ctx context.Context) (*holder, error) {
	h := holderIn(ctx)
	if h == nil || h.limiter == nil {
		return nil, ErrNoLimits
	}
	return h, nil
}

func (h *holder) keep(l Lease, err error) (Lease, error) {
	if err != nil {
		return l, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended { // the work goes on after its end
		l.Undo()
		return Lease{}, ErrReleased
	}
	if len(h.leases) >= h.sweep { // work that is long may acquire and release without end
		h.leases = slices.DeleteFunc(h.leases, Lease.over)
		h.sweep = 2*len(h.leases) + 8
	}
	h.leases = append(h.leases, l)
	return l, nil
}

func (h *holder) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	for _, l := range h.leases {
		l.Release()
	}
	h.leases = nil
}
