package enginetest

import (
	"context"
	"fmt"
	"sync"

	"github.com/concurry-go/concurry/retrypolicy"
)

// Events are what an observer was told.
type Events struct {
	mu  sync.Mutex
	all []string
}

func (e *Events) Observe(_ context.Context, event retrypolicy.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	text := fmt.Sprintf("%s %d %s: %s", event.Method, event.Number, event.Verdict, event.Decision)
	if event.Stop != "" {
		text += ", " + string(event.Stop)
	}
	if event.Err != nil {
		text += " (" + event.Err.Error() + ")"
	}
	e.all = append(e.all, text)
}

func (e *Events) Told() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.all...)
}
