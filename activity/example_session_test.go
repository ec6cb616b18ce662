package activity_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	sdkactivity "go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/activity"
)

// Files are where they were fetched to: on one worker.
type Files struct{ local map[string]string }

// Fetch copies a file to this worker.
func (f *Files) Fetch(_ context.Context, name string) (int, error) {
	f.local[name] = "three words here"
	return len(f.local[name]), nil
}

// Count counts the bytes of a file that was fetched.
func (f *Files) Count(_ context.Context, name string) (int, error) { return len(f.local[name]), nil }

var (
	files     = activity.Define[*Files]("Files", activity.Options{CallTimeout: time.Minute})
	fetch     = activity.Method(files, "Fetch", (*Files).Fetch)
	countFile = activity.Method(files, "Count", (*Files).Count)
)

// FetchAndCount makes both calls on one worker, and starts over on another when
// that one is gone.
func FetchAndCount(ctx workflow.Context, name string) (n int, err error) {
	for {
		err = activity.InSession(ctx, activity.SessionOptions{}, func(ctx workflow.Context) error {
			if _, err := fetch.Execute(ctx, name).Get(ctx); err != nil {
				return err
			}
			n, err = countFile.Execute(ctx, name).Get(ctx)
			return err
		})
		if !errors.Is(err, workflow.ErrSessionFailed) {
			return n, err
		}
	}
}

// A session keeps the calls of a workflow on one worker. Temporal's test
// environment is that worker here; real ones set EnableSessionWorker.
func ExampleInSession() {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	env.SetWorkerOptions(worker.Options{EnableSessionWorker: true})
	impl := &Files{local: map[string]string{}}
	env.RegisterActivityWithOptions(impl.Fetch, sdkactivity.RegisterOptions{Name: fetch.ActivityType()})
	env.RegisterActivityWithOptions(impl.Count, sdkactivity.RegisterOptions{Name: countFile.ActivityType()})
	env.ExecuteWorkflow(FetchAndCount, "a.txt")
	var n int
	err := env.GetWorkflowResult(&n)
	fmt.Println(n, err)
	// Output: 16 <nil>
}
