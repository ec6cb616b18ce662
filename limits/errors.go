package limits

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

var (
	// ErrNoRoom is what TryAcquire returns when it would have to wait.
	ErrNoRoom = errors.New("limits: no room")

	// ErrReleased is what a lease returns that has been released, and the
	// cause with which its contexts end.
	ErrReleased = errors.New("limits: the lease has been released")

	// ErrLost is the cause with which the contexts of a lease end that was
	// taken away, since its set was closed: its session has ended, for
	// instance.
	ErrLost = errors.New("limits: the lease is lost")

	// ErrClosed is what a closed set returns, with the cause of its closing.
	ErrClosed = errors.New("limits: the set is closed")

	// ErrNoLimits is what Acquire returns for a context without limits.
	ErrNoLimits = errors.New("limits: the context has no limits: declare some with the method (activity.Options.Limits), or use limits.With, with limits.Unlimited() where nothing is to be bounded")
)

// closedBy is what a set returns that was closed with cause.
func closedBy(cause error) error {
	switch {
	case cause == nil:
		return ErrClosed
	case errors.Is(cause, ErrClosed):
		return cause
	}
	return fmt.Errorf("%w: %w", ErrClosed, cause)
}

// lostBy returns what a lease says that was taken away with cause.
func lostBy(cause error) error {
	if cause == nil {
		return ErrLost
	}
	return fmt.Errorf("%w: %w", ErrLost, cause)
}

// UnitsError says what is wrong with the units of a request: a key that the
// set does not have, an amount that is not positive, or more than there ever
// is. Nothing was acquired.
type UnitsError struct {
	Name    string
	Units   int
	Allowed string
}

func (e *UnitsError) Error() string {
	return fmt.Sprintf("limits: units of %q %d: %s", e.Name, e.Units, e.Allowed)
}

// WaitError ends an acquisition that waited until its context did, or whose
// context had ended before. Nothing was acquired.
type WaitError struct {
	// Keys are the limits that had no room when the wait ended; none if it was
	// the turn of requests before this one, or if there was room, too late.
	Names []string
	// Ahead is how many requests were to be served first; 1000 means that or
	// more.
	Ahead int
	// RetryAfter is how long it takes until the rates have room for the request,
	// if nothing more is taken of them and nothing is given back; zero if they
	// have it. A resource may take longer, and so may those who wait: neither
	// says how long. Of a pool it is that of the member whose rates have room
	// first.
	RetryAfter time.Duration
	// Err is why the context ended.
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

// room tells whether there was nothing to wait for.
func (e *WaitError) room() bool { return len(e.Names) == 0 && e.Ahead == 0 }

// Unwrap is why the context ended.
func (e *WaitError) Unwrap() error { return e.Err }
