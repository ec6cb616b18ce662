package testsuite_test

import (
	"context"
	"errors"
	"fmt"
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
func ExampleNewWorkflowEnvironment() { //nolint:testableexamples // it needs a test
	llm := activity.Define[*flaky]("Flaky", activity.Options{
		Retry: retrypolicy.Policy{NumRetries: 3, Wait: time.Hour}, CallTimeout: 24 * time.Hour,
	})
	fetch := activity.Method(llm, "Fetch", (*flaky).Fetch)

	test := func(t *testing.T) { // a test of yours
		t.Helper()
		env := testsuite.NewWorkflowEnvironment(t)
		testsuite.Register(t, env, llm, &flaky{})
		env.ExecuteWorkflow(func(ctx workflow.Context) (string, error) { return fetch.Execute(ctx, "7").Get(ctx) })
		if err := env.GetWorkflowError(); err != nil {
			t.Error(err)
		}
	}
	_ = test
}

// A real server, one for all tests of a package.
func ExampleClient() { //nolint:testableexamples // it needs a test
	fetch := activity.Func("Fetch", func(_ context.Context, id int) (string, error) { return fmt.Sprint("page ", id), nil },
		activity.FuncOptions[int, string]{Retry: retrypolicy.Policy{NumRetries: 3}, CallTimeout: time.Minute})

	test := func(t *testing.T) {
		t.Helper()
		c := testsuite.Client(t)
		w := worker.New(c, t.Name(), worker.Options{})
		worker.RegisterFunc(w, fetch)
		if err := w.Start(); err != nil {
			t.Fatal(err)
		}
		defer w.Stop()
		call, err := fetch.With(activity.CallOptions{TaskQueue: t.Name()}).Submit(t.Context(), c, 7)
		if err != nil {
			t.Fatal(err)
		}
		if page, err := call.Get(t.Context()); page != "page 7" {
			t.Error(page, err)
		}
	}
	_ = test
}
