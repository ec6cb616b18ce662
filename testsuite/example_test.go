package testsuite_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/worker"
)

// In this process: no Temporal, and waits that take no time.
func ExampleClock() {
	attempts := 0
	fetch := activity.Func("Fetch", func(_ context.Context, id int) (string, error) {
		if attempts++; attempts < 3 {
			return "", errors.New("connection reset")
		}
		return fmt.Sprint("page ", id), nil
	}, activity.FuncOptions[int, string]{
		Retry: retrypolicy.Policy{NumRetries: 5, Wait: time.Hour, Jitter: retrypolicy.NoJitter},
	})

	clock := testsuite.NewClock()
	page, err := fetch.Inline().WithClock(clock.Clock()).Call(context.Background(), 7)
	fmt.Println(page, err, attempts, clock.Slept())
	// Output: page 7 <nil> 3 [1h0m0s 2h0m0s]
}

// A workflow, in Temporal's test environment with the engine inside: hours of
// waiting take no time, and timers of the workflow fire in between.
func ExampleNewWorkflowEnvironment() {
	t := newT() // a test's *testing.T
	defer t.end()
	pages := activity.Define[*flaky]("Flaky", activity.Options{
		Retry: retrypolicy.Policy{NumRetries: 3, Wait: time.Hour}, CallTimeout: 24 * time.Hour,
	})
	fetch := activity.Method(pages, "Fetch", (*flaky).Fetch)

	env := testsuite.NewWorkflowEnvironment(t)
	testsuite.Register(t, env, pages, &flaky{})
	env.ExecuteWorkflow(func(ctx workflow.Context) (string, error) { return fetch.Execute(ctx, "7").Get(ctx) })
	var page string
	err := env.GetWorkflowResult(&page)
	fmt.Println(page, err)
	// Output: page 7 <nil>
}

// A real server, one for all tests of a package.
func ExampleClient() {
	t := newT() // a test's *testing.T
	defer t.end()
	fetch := activity.Func("Fetch", func(_ context.Context, id int) (string, error) { return fmt.Sprint("page ", id), nil },
		activity.FuncOptions[int, string]{Retry: retrypolicy.Policy{NumRetries: 3}, CallTimeout: time.Minute})

	c := testsuite.Client(t)
	queue := "ExampleClient" // t.Name()
	w := worker.New(c, queue, worker.Options{})
	worker.RegisterFunc(w, fetch)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	fmt.Println(fetch.With(activity.CallOptions{TaskQueue: queue}).Run(context.Background(), c, 7))
	// Output: page 7 <nil>
}

// exampleT stands where a test would be.
type exampleT struct {
	testing.TB
	cleanups []func()
}

func newT() *exampleT { return &exampleT{} }

func (*exampleT) Helper()              {}
func (*exampleT) Skipped() bool        { return false }
func (*exampleT) Failed() bool         { return false }
func (*exampleT) Logf(string, ...any)  {}
func (*exampleT) Output() io.Writer    { return io.Discard }
func (*exampleT) Fatal(args ...any)    { panic(fmt.Sprint(args...)) }
func (t *exampleT) Cleanup(end func()) { t.cleanups = append(t.cleanups, end) }

func (t *exampleT) end() {
	for _, end := range slices.Backward(t.cleanups) {
		end()
	}
}
