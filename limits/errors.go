package limits

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

var (
	// ErrNoRoom is returned by TryAcquire if it would have to wait.
	ErrNoRoom = errors.New("limits: no room")

	// ErrReleased is returned by a lease that has been released, and is the cause with
	// which its contexts end.
	ErrReleased = errors.New("limits: the lease has been released")

	// ErrLost is returned by a lease that was taken away, alone or because its set was
	// closed, as at the end of a session. It is also the cause with which the contexts of
	// the lease end. It wraps the reason, if there is one.
	ErrLost = errors.New("limits: the lease is lost")

	// ErrClosed is returned by a closed set. It wraps the cause of closing, if there is one.
	ErrClosed = errors.New("limits: the set is closed")

	// ErrNoLimits is returned by Acquire if the context has no limits.
	ErrNoLimits = errors.New("limits: the context has no limits: declare some with the method (activity.Options.Limits), or use limits.With, with limits.Unlimited() where nothing is to be bounded")
)

// closedBy returns the error of a set that was closed with cause.
func closedBy(cause error) error {
	switch {
	case cause == nil:
		return ErrClosed
	case errors.Is(cause, ErrClosed):
		return cause
	}
	return fmt.Errorf("%w: %w", ErrClosed, cause)
}

// lostBy returns the error of a lease that was taken away with cause.
func lostBy(cause error) error {
	if cause == nil {
		return ErrLost
	}
	return fmt.Errorf("%w: %w", ErrLost, cause)
}

// UnitsError reports units that can never be granted: of a limit that the set does not
// have, an amount that is not positive, or more than the limit can ever grant. Nothing was
// acquired.
type UnitsError struct {
	Name    string // of the limit
	Units   int
	Allowed string
}

func (e *UnitsError) Error() string {
	return fmt.Sprintf("limits: units of %q %d: %s", e.Name, e.Units, e.Allowed)
}

// WaitError reports an acquisition whose context ended while it waited, or before.
// Nothing was acquired. It wraps Err.
type WaitError struct {
	// Names are the limits that had no room when the wait ended. It is empty if earlier
	// requests had to be served first, or if there was room, but too late.
	Names []string
	// Ahead is how many requests had to be served first. It counts to 1000: that many
	// or more.
	Ahead int
	// RetryAfter is how long it takes until the rates have room for the request, if
	// nothing is taken of them or given back until then. It is zero if they have room. It
	// says nothing about resources, or about requests ahead. For a pool it is that of the
	// member whose rates have room first.
	RetryAfter time.Duration
	// Err is the cause with which the context ended.
	Err error
}

func (e *WaitError) Error() string {
	if e.room() {
		return fmt.Sprintf("limits: there is room, but it is too late: %v", e.Err)
	}
	reason := "no room for " + strings.Join(e.Names, ", ")
	if len(e.Names) == 0 {
		reason = "not its turn yet"
	}
	return fmt.Sprintf("limits: %s, %d ahead: %v", reason, e.Ahead, e.Err)
}

// room reports whether there was nothing to wait for.
func (e *WaitError) room() bool { return len(e.Names) == 0 && e.Ahead == 0 }

// Unwrap returns the cause with which the context ended.
func (e *WaitError) Unwrap() error { return e.Err }
