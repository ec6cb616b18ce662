package failure

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/concurry-go/concurry/internal/chain"
	"github.com/concurry-go/concurry/internal/wire"
)

// TextOf reads err's text, and returns an error whose chain can be walked, by
// filters too. An error that panics when it is asked, such as a nil pointer in an
// error, is replaced by its panic; one whose chain of causes has no end, by its
// text.
func TextOf(err error) (text string, same error) {
	defer func() {
		if r := recover(); r != nil {
			same = &PanicError{Value: fmt.Sprintf("%T: reading the error panicked: %v", err, r), Stack: debug.Stack()}
			text = same.Error()
		}
	}()
	text = err.Error()
	probe := func(err error) chain.Step {
		if is, ok := err.(interface{ Is(target error) bool }); ok {
			is.Is(errProbe)
		}
		if as, ok := err.(interface{ As(target any) bool }); ok {
			var none *probe
			as.As(&none)
		}
		return chain.Next
	}
	if chain.Walk(err, probe) {
		return text, err
	}
	text = wire.Cut(text, maxMessage)
	return text, &endlessError{text: text, errType: typeName(err)}
}

// probe is an error that no chain has.
type probe struct{ error }

var errProbe = &probe{errors.New("probe")}

// endlessError stands for an error with too many causes to look at, or one that
// is its own.
type endlessError struct{ text, errType string }

func (e *endlessError) Error() string {
	return fmt.Sprintf("%s (more than %d causes, which are left out)", e.text, chain.Longest)
}
