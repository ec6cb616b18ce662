package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/activity"
)

// Row is one attempt of a call.
type Row struct {
	Attempt int           `json:"attempt"`
	Verdict string        `json:"verdict"`
	Wait    time.Duration `json:"wait_ns"` // that the engine decided on afterwards
	Reason  string        `json:"reason"`
}

// Timeline notes the attempts of calls. Methods tell it that an attempt
// starts; how the earlier ones ended, and why, the engine tells the attempt.
type Timeline struct {
	mu    sync.Mutex
	calls map[string]*noted
}

func newTimeline() *Timeline { return &Timeline{calls: map[string]*noted{}} }

type noted struct {
	starts []time.Time
	rows   []Row // of the attempts before the last
}

// attempt notes the start of an attempt.
func (t *Timeline) attempt(ctx context.Context, call string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.calls[call]
	if c == nil {
		c = &noted{}
		t.calls[call] = c
	}
	c.starts = append(c.starts, time.Now())
	c.rows = rows(activity.Previous(ctx))
}

// Call is the timeline of one call that has ended.
type Call struct {
	ID, Name, Caller string
	Rows             []Row
	starts           []time.Time
}

// accepted is a call that ended with a result.
func (t *Timeline) accepted(q Query, result any) Call {
	return t.ended(q.Call, Row{Verdict: "accepted", Reason: fmt.Sprintf("%+v", result)})
}

// failed is a call that ended with an error of its method.
func (t *Timeline) failed(q Query, err error) Call {
	reason := err.Error()
	// This is what is left of Go errors behind a server.
	if app, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		reason = app.Message()
	}
	return t.ended(q.Call, Row{Verdict: "failed", Reason: reason})
}

// refused is a call that ended with a RetryValidationError, which has all rows.
func (t *Timeline) refused(q Query, rows []Row) Call {
	c := t.ended(q.Call, Row{})
	c.Rows = rows
	return c
}

func (t *Timeline) ended(call string, last Row) Call {
	t.mu.Lock()
	defer t.mu.Unlock()
	var c noted
	if n := t.calls[call]; n != nil {
		c = *n
	}
	last.Attempt = len(c.rows) + 1
	return Call{ID: call, Rows: append(c.rows, last), starts: c.starts}
}

// shorten cuts text to a width: at the front as long as there is a ": ", since
// the cause stands at the end of a Go error, then at the end.
func shorten(text string, width int) string {
	if len(text) <= width {
		return text
	}
	for short := text; ; {
		_, after, found := strings.Cut(short, ": ")
		if !found {
			return strings.TrimSpace(strings.ToValidUTF8(text[:width-2], "")) + " …"
		}
		if short = after; len(short) <= width-2 {
			return "… " + short
		}
	}
}
