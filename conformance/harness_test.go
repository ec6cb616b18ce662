package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/conformance/internal/parity"
	"github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

// TestMain keeps the panics that these tests provoke out of the output.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

// under makes a top-level test the one of a heading of the specification.
func under(t *testing.T, heading string) {
	t.Helper()
	t.Parallel()
	t.Attr(parity.HeadingKey, heading)
}

// row is a feature of the heading, how it is written in Go, and its test.
func row(t *testing.T, feature, text string, test func(t *testing.T)) {
	t.Helper()
	file := caller()
	describe(t, feature, text, file, test)
}

// everywhere is a row whose test is run in every engine.
func everywhere(t *testing.T, feature, text string, test func(t *testing.T, e enginetest.Engine)) {
	t.Helper()
	file := caller()
	describe(t, feature, text, file, func(t *testing.T) { enginetest.Each(t, test) })
}

// activities are the engines in which a method is a Temporal activity, servers
// those with a real server.
var (
	activities = []enginetest.Engine{enginetest.Environment, enginetest.InPlace, enginetest.OnServer}
	servers    = activities[1:]
)

// alone is a row whose test runs while no other does; its top-level test calls
// it instead of under.
func alone(t *testing.T, heading, feature, text string, test func(t *testing.T)) {
	t.Helper()
	file := caller()
	t.Attr(parity.HeadingKey, heading)
	t.Run(feature, func(t *testing.T) {
		attributes(t, feature, text, file)
		test(t)
	})
}

// within is a row about what only some engines have.
func within(t *testing.T, engines []enginetest.Engine, feature, text string, test func(t *testing.T, e enginetest.Engine)) {
	t.Helper()
	file := caller()
	describe(t, feature, text, file, func(t *testing.T) {
		for _, e := range engines {
			t.Run(string(e), func(t *testing.T) {
				t.Parallel()
				test(t, e)
			})
		}
	})
}

// caller is the file that calls the function that calls this one.
func caller() string {
	pcs := make([]uintptr, 1)
	runtime.Callers(3, pcs)
	frame, _ := runtime.CallersFrames(pcs).Next()
	return frame.File
}

// block is the heading's code block: the example is its counterpart, and is run
// by go test like every other.
func block(t *testing.T, text string, example func()) {
	t.Helper()
	f := runtime.FuncForPC(reflect.ValueOf(example).Pointer())
	file, _ := f.FileLine(f.Entry())
	name := strings.TrimPrefix(path.Ext(f.Name()), ".")
	describe(t, "code block", text, file, func(t *testing.T) { t.Attr(parity.ExampleKey, name) })
}

func describe(t *testing.T, feature, text, file string, test func(t *testing.T)) {
	t.Helper()
	t.Run(feature, func(t *testing.T) {
		t.Parallel()
		attributes(t, feature, text, file)
		test(t)
	})
}

func attributes(t *testing.T, feature, text, file string) {
	t.Helper()
	t.Attr(parity.FeatureKey, feature)
	t.Attr(parity.GoKey, text)
	t.Attr(parity.FileKey, filepath.Base(file))
}

// Reply is what the methods of these tests return.
type Reply struct {
	Text       string   `json:"text,omitempty"`
	Confidence float64  `json:"confidence,omitempty"`
	Tags       []string `json:"tags,omitempty"`
}

// Model is the worker of these tests; each sets its method's body.
type Model struct {
	Body func(ctx context.Context, n int, prompt string) (Reply, error)

	mu      sync.Mutex
	started int
}

// Ask runs the body as the n-th start on this worker.
func (m *Model) Ask(ctx context.Context, prompt string) (Reply, error) {
	m.mu.Lock()
	m.started++
	n := m.started
	m.mu.Unlock()
	return m.Body(ctx, n, prompt)
}

// call is a method under a policy, and what its attempts meet.
type call struct {
	policy retrypolicy.Policy
	until  []validation.Validator[Reply]
	body   func(ctx context.Context, n int, prompt string) (Reply, error)
	prompt string
	tune   func(o *activity.Options)
	// anew takes back what filters, validators and the body have noted, for
	// when the call has to be made again; see run.
	anew func(c *call)
}

// outcome is what became of a call.
type outcome struct {
	reply  Reply
	err    error
	starts int
	// events are what an observer was told, in order.
	events []retrypolicy.Event
	// elapsed are the events' Elapsed at the time.
	elapsed []time.Duration
}

// trace is the outcome in words that are the same in every engine.
func (o *outcome) trace() (lines []string) {
	for _, e := range o.events {
		line := fmt.Sprintf("%d %s: %s", e.Number, e.Verdict, e.Decision)
		if e.Decision == retrypolicy.DecisionRetry {
			line += " in " + e.Wait.String()
		}
		if e.Stop != "" {
			line += ", " + string(e.Stop)
		}
		if e.Err != nil {
			line += " (" + e.Err.Error() + ")"
		}
		lines = append(lines, line)
	}
	return lines
}

// waits are the waits that were decided on.
func (o *outcome) waits() (waits []time.Duration) {
	for _, e := range o.events {
		if e.Decision == retrypolicy.DecisionRetry {
			waits = append(waits, e.Wait)
		}
	}
	return waits
}

// refused is the call's RetryValidationError; the test fails without one.
func (o *outcome) refused(t *testing.T) *validation.RetryValidationError {
	t.Helper()
	var rve *validation.RetryValidationError
	if !validation.As(o.err, &rve) {
		t.Fatalf("no RetryValidationError: %v", o.err)
	}
	return rve
}

// run runs the call in an engine. Waits are short unless the policy says so.
//
// A Temporal server that is short of time can start a task and never deliver
// it, since it gives itself one second for that. The attempt counts, as
// promised, although no body was started. Tests of that are in test/fire; here
// the call is made again.
func (c call) run(t *testing.T, e enginetest.Engine) *outcome {
	t.Helper()
	for try := 1; ; try++ {
		o := c.once(t, e)
		lost := 0
		for _, event := range o.events {
			if event.Verdict == retrypolicy.VerdictLost {
				lost++
			}
		}
		if lost == 0 || o.starts+lost != len(o.events) || try == 5 {
			return o
		}
		t.Logf("%d tasks were not delivered by the server; the call is made again", lost)
		if c.anew != nil {
			c.anew(&c)
		}
	}
}

func (c call) once(t *testing.T, e enginetest.Engine) *outcome {
	t.Helper()
	if c.policy.Wait == 0 {
		c.policy.Wait = time.Millisecond
	}
	o := &outcome{}
	var mu sync.Mutex
	options := activity.Options{
		Retry: e.Policy(c.policy), CallTimeout: time.Minute,
		Observers: []retrypolicy.Observer{func(_ context.Context, event retrypolicy.Event) {
			mu.Lock()
			defer mu.Unlock()
			o.events = append(o.events, event)
			o.elapsed = append(o.elapsed, event.Elapsed())
		}},
	}
	if c.tune != nil {
		c.tune(&options)
	}
	d := activity.Define[*Model]("Model", options)
	ask := activity.Method(d, "Ask", (*Model).Ask, activity.MethodOptions[string, Reply]{RetryUntil: c.until})
	model := &Model{Body: c.body}
	o.reply, o.err = enginetest.Run(t, e, d, ask, model, c.prompt)
	o.starts = model.started
	return o
}

// fails is a body that always does.
func fails(err error) func(context.Context, int, string) (Reply, error) {
	return func(context.Context, int, string) (Reply, error) { return Reply{}, err }
}

// failsUntil fails before its n-th attempt.
func failsUntil(n int, err error) func(context.Context, int, string) (Reply, error) {
	return func(_ context.Context, started int, prompt string) (Reply, error) {
		if started < n {
			return Reply{}, err
		}
		return Reply{Text: prompt}, nil
	}
}

// says returns one reply after another, the last one again and again.
func says(replies ...Reply) func(context.Context, int, string) (Reply, error) {
	return func(_ context.Context, n int, _ string) (Reply, error) { return replies[min(n, len(replies))-1], nil }
}

// Errors that the bodies fail with.
var (
	errConnection = errors.New("connection reset")
	errTimeout    = errors.New("timed out")
	errBug        = errors.New("index out of range")
)
