package activityhost

import (
	"context"
	"sync"
	"time"

	"github.com/concurry-go/concurry/internal/engine"
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
	case engine.PreviousKey:
		return c.previous
	case engine.NumberKey:
		return c.number
	case engine.DriverKey:
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
