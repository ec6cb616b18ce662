package failure

import (
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/internal/chain"
	"github.com/concurry-go/concurry/internal/marks"
	"github.com/concurry-go/concurry/retrypolicy"
)

// OfStop returns e as it travels: as the first cause of the call's own error, whose
// message says what e knows, with cause behind it. more are further details.
func OfStop(e *retrypolicy.StopError, cause error, more ...any) error {
	return temporal.NewApplicationErrorWithOptions("no further attempt", marks.StopType, temporal.ApplicationErrorOptions{
		NonRetryable: true, Cause: cause, Details: append([]any{string(e.Stop), e.Attempts, e.Detail}, more...),
	})
}

// Explain returns text, what the last attempt's error says, and why there is no
// further one, unless the call was never to have one. [retrypolicy.StopOf] reads it
// where nothing but the text has arrived.
func Explain(e *retrypolicy.StopError, text string) string {
	if e.Detail == "" && e.Stop == retrypolicy.StopSpent && e.Attempts <= 1 {
		return text
	}
	why := &retrypolicy.StopError{Stop: e.Stop, Attempts: e.Attempts, Detail: e.Detail}
	return text + "; " + why.Error()
}

// EndOfCall returns err as a call in this process ends with it, where no
// [retrypolicy.StopError] says so. The marks and stops that it carries belong to
// that call, and mean nothing to one whose method returns it.
func EndOfCall(err error) error {
	err = marks.Unmark(err)
	if carries(err) {
		return &marks.CallEndError{Err: err}
	}
	return err
}

// carries reports whether err has a mark or a StopError in its chain.
func carries(err error) (yes bool) {
	chain.Walk(err, func(err error) chain.Step {
		switch e := err.(type) { //nolint:errorlint // the chain is walked here
		case *marks.PermanentError, *marks.AfterError, *retrypolicy.StopError:
			yes = true
		case *temporal.ApplicationError:
			yes = e.NonRetryable() || e.NextRetryDelay() > 0
		case *marks.CallEndError:
			return chain.Skip
		}
		if yes {
			return chain.Stop
		}
		return chain.Next
	})
	return yes
}
