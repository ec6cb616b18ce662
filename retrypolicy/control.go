package retrypolicy

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/concurry-go/concurry/internal/chain"
	"github.com/concurry-go/concurry/internal/marks"
)

// Permanent marks err as not to be retried, whatever the policy says. The mark
// does not change the error's text, and is transparent to errors.Is and
// errors.As. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &marks.PermanentError{Err: err}
}

// After marks err with the delay to wait before the next attempt, if the
// policy retries it: for a server that says when to come back. The delay is
// taken as it is, without backoff, jitter or MaxWait, up to MaxDuration; zero and
// less mean at once. After(nil, d) is nil.
func After(err error, delay time.Duration) error {
	if err == nil {
		return nil
	}
	return &marks.AfterError{Err: err, Delay: max(delay, 0)}
}

// IsPermanent reports whether err carries the mark of [Permanent], or is (or wraps) a
// Temporal application error that is non-retryable. If the method called another
// method of this package's and err wraps that call's error, what is inside of it is
// ignored. The engine asks it; so can a loop of your own.
func IsPermanent(err error) bool {
	permanent, decided := false, false
	walkCall(err, func(err error) chain.Step {
		switch e := err.(type) { //nolint:errorlint // the chain is walked here
		case *marks.PermanentError:
			permanent = true
			return chain.Stop
		case chain.ApplicationError:
			if !decided { // the first one decides
				permanent, decided = e.NonRetryable(), true
			}
		}
		return chain.Next
	})
	return permanent
}

// walkCall walks err as far as it is the method's own: behind the end of another
// call it means nothing to this one.
func walkCall(err error, visit func(error) chain.Step) {
	chain.Walk(err, func(err error) chain.Step {
		switch e := err.(type) { //nolint:errorlint // the chain is walked here
		case *StopError, *marks.CallEndError:
			return chain.Skip
		case chain.ApplicationError:
			if stopOf(e) != nil {
				return chain.Skip
			}
		}
		return visit(err)
	})
}

// DelayOf returns the delay that err asks for, at most MaxDuration, and whether it
// asks for one. It looks for, in this order: the delay of [After]; the NextRetryDelay
// of the first Temporal application error; the result, if above zero, of the first
// RetryAfter method in the chain. If the method called another method under a policy
// and err wraps that call's error, marks and application errors inside of it are
// ignored; RetryAfter methods are not.
func DelayOf(err error) (delay time.Duration, ok bool) {
	var told, app, header time.Duration = -1, -1, -1
	walkCall(err, func(err error) chain.Step {
		switch e := err.(type) { //nolint:errorlint // the chain is walked here
		case *marks.AfterError:
			told = e.Delay
			return chain.Stop
		case chain.ApplicationError:
			if app < 0 {
				app = e.NextRetryDelay()
			}
		}
		return chain.Next
	})
	if told >= 0 {
		return min(told, MaxDuration), true
	}
	if app > 0 {
		return min(app, MaxDuration), true
	}
	chain.Walk(err, func(err error) chain.Step {
		if c, ok := err.(carrier); ok { //nolint:errorlint // the chain is walked here
			header = retryAfter(c)
			return chain.Stop
		}
		return chain.Next
	})
	return min(max(header, 0), MaxDuration), header > 0
}

// carrier is an error that knows when to come back.
type carrier interface {
	error
	RetryAfter() time.Duration
}

// retryAfter survives a method of a nil pointer, or any that panics.
func retryAfter(c carrier) (delay time.Duration) {
	defer func() {
		if recover() != nil {
			delay = 0
		}
	}()
	return c.RetryAfter()
}

// AfterHeader marks err with the delay that an HTTP response asks for in its
// Retry-After header, as seconds or as a date (RFC 9110, section 10.2.3):
//
//	if resp.StatusCode == http.StatusTooManyRequests {
//		return r, retrypolicy.AfterHeader(errors.New(resp.Status), resp.Header)
//	}
//
// A date counts from the response's own Date where it has one, so that the two
// clocks need not agree; one in the past means at once. Without the header, or
// with one that is neither, err is returned as it is, and the policy's backoff
// holds. AfterHeader(nil, h) is nil.
func AfterHeader(err error, h http.Header) error {
	delay, ok := retryAfterHeader(h)
	if !ok {
		return err
	}
	return After(err, delay)
}

func retryAfterHeader(h http.Header) (time.Duration, bool) {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, uint64(MaxDuration/time.Second))) * time.Second, true
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return min(max(date.Sub(now), 0), MaxDuration), true
}
