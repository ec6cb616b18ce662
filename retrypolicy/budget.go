package retrypolicy

import (
	"fmt"
	"math"
	"sync"
	"time"
)

const (
	// DefaultBudgetShare is the share of a budget whose Share is zero.
	DefaultBudgetShare = 0.2
	// DefaultBudgetFloor is the floor of a budget whose Floor is zero.
	DefaultBudgetFloor = 10
	// DefaultBudgetWindow is the window of a budget whose Window is zero.
	DefaultBudgetWindow = 10 * time.Second

	budgetSlots = 10
)

// Budget bounds the retries of many calls together: when too many of the
// recent attempts are retries, the service behind them is in trouble, and more
// retries are what keeps it there. A call that may not retry for that reason
// ends at once with its last error, which says so; see StopOf.
//
// Share one in the policies of all methods that use a service. It counts the
// attempts of this process. The idea is that of Finagle's RetryBudget and of
// "Handling Overload" in Site Reliability Engineering, 2016.
//
// The zero value works: set fields before its first use. Safe for concurrent
// use.
type Budget struct {
	// Share is the largest part of the recent attempts that may be retries,
	// above 0 and at most 1, which bounds nothing. Zero means
	// DefaultBudgetShare.
	Share float64

	// Floor is how many retries a window may have whatever their share, so
	// that a process with few calls can retry at all. Zero means
	// DefaultBudgetFloor; NoFloor means none.
	Floor int

	// Window is how far back the attempts are that count. Zero means
	// DefaultBudgetWindow. At least 10 ms.
	Window time.Duration

	mu    sync.Mutex
	slots [budgetSlots]budgetSlot
}

// NoFloor as Budget.Floor makes Share hold from the first attempt on.
const NoFloor = -1

// budgetSlot counts a tenth of the window.
type budgetSlot struct {
	at                int64 // which tenth, since 1970
	attempts, retries int64
}

func (b *Budget) check() (errs []error) {
	if math.IsNaN(b.Share) || b.Share < 0 || b.Share > 1 {
		errs = append(errs, &FieldError{Field: "Budget.Share", Value: b.Share, Allowed: fmt.Sprintf("must be above 0 and at most 1, or 0 (the default, %v)", DefaultBudgetShare)})
	}
	if b.Floor < NoFloor {
		errs = append(errs, &FieldError{Field: "Budget.Floor", Value: b.Floor, Allowed: fmt.Sprintf("must be positive, 0 (the default, %d) or NoFloor", DefaultBudgetFloor)})
	}
	if b.Window != 0 && (b.Window < budgetSlots*time.Millisecond || b.Window > MaxDuration) {
		errs = append(errs, &FieldError{Field: "Budget.Window", Value: b.Window, Allowed: fmt.Sprintf("must be from %v to %v, or 0 (the default, %v)", budgetSlots*time.Millisecond, MaxDuration, DefaultBudgetWindow)})
	}
	return errs
}

// NoteAttempt counts the first attempt of a call. The engine calls it, and TryRetry;
// call both in a retry loop of your own.
func (b *Budget) NoteAttempt(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.slot(now).attempts++
}

// TryRetry counts one more retry if the budget has room for it, and reports whether
// it had.
func (b *Budget) TryRetry(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	attempts, retries := b.recent(now)
	share, floor := b.Share, int64(b.Floor)
	if share == 0 {
		share = DefaultBudgetShare
	}
	if floor == 0 {
		floor = DefaultBudgetFloor
	}
	if retries+1 > floor && float64(retries+1) > share*float64(attempts+1) {
		return false
	}
	s := b.slot(now)
	s.attempts++
	s.retries++
	return true
}

// Recent returns how many attempts were made in the window before now, and how many
// of them were retries.
func (b *Budget) Recent(now time.Time) (attempts, retries int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a, r := b.recent(now)
	return int(a), int(r)
}

func (b *Budget) recent(now time.Time) (attempts, retries int64) {
	newest := b.tenth(now)
	for _, s := range b.slots {
		if s.at <= newest && s.at > newest-budgetSlots {
			attempts += s.attempts
			retries += s.retries
		}
	}
	return attempts, retries
}

// slot is where what happens now is counted.
func (b *Budget) slot(now time.Time) *budgetSlot {
	at := b.tenth(now)
	s := &b.slots[((at%budgetSlots)+budgetSlots)%budgetSlots]
	if s.at != at { // also where the clock was set back, and what it holds is to come
		*s = budgetSlot{at: at}
	}
	return s
}

func (b *Budget) tenth(now time.Time) int64 {
	window := b.Window
	if window <= 0 {
		window = DefaultBudgetWindow
	}
	return now.UnixNano() / int64(window/budgetSlots)
}
