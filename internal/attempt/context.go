package attempt

import (
	"context"
	"sync"
	"time"

	"github.com/concurry-go/concurry/retrypolicy"
)

// attemptContext is the context of one attempt. It differs from the standard
// library's in being cheap while nobody asks for it: the channel, and the hook
// on the parent, come with the first Done.
type attemptContext struct {
	parent   context.Context
	deadline time.Time // zero means the parent's
	previous []retrypolicy.Outcome
	number   int
	// execution is whose attempt it is; nil in a call in this process.
	execution *execution

	mu     sync.Mutex
	done   chan struct{}
	err    error
	unhook func() bool
}

type (
	previousKey struct{}
	numberKey   struct{}
)

// Number is the number of the attempt that ctx belongs to, 0 for none.
func Number(ctx context.Context) int {
	n, _ := ctx.Value(numberKey{}).(int)
	return n
}

// Previous are the earlier outcomes of the call ctx belongs to.
func Previous(ctx context.Context) []retrypolicy.Outcome {
	previous, _ := ctx.Value(previousKey{}).([]retrypolicy.Outcome)
	return previous
}

// Deadline implements context.Context.
func (c *attemptContext) Deadline() (time.Time, bool) {
	d, ok := c.parent.Deadline()
	if !c.deadline.IsZero() && (!ok || c.deadline.Before(d)) {
		return c.deadline, true
	}
	return d, ok
}

// Done implements context.Context.
func (c *attemptContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		} else {
			c.unhook = context.AfterFunc(c.parent, func() { c.cancel(c.parent.Err()) })
		}
	}
	return c.done
}

// Err implements context.Context.
func (c *attemptContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		// Without a hook nobody else notices, and with one it may be late.
		if err := c.parent.Err(); err != nil {
			c.end(err)
		}
	}
	return c.err
}

// Value implements context.Context.
func (c *attemptContext) Value(key any) any {
	switch key.(type) {
	case previousKey:
		return c.previous
	case numberKey:
		return c.number
	case executionKey:
		return c.execution
	}
	return c.parent.Value(key)
}

// expired reports whether the context's deadline has ended it.
func (c *attemptContext) expired() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err == context.DeadlineExceeded && c.parent.Err() == nil //nolint:errorlint // as it was set
}

// cancel ends the context with err, unless it has ended already.
func (c *attemptContext) cancel(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(err)
}

func (c *attemptContext) end(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	if c.done != nil {
		close(c.done)
	}
	if c.unhook != nil {
		c.unhook()
	}
}
