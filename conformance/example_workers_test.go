package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/testsuite/devserver"
	"github.com/concurry-go/concurry/validation"
	"github.com/concurry-go/concurry/worker"
)

// A worker type with state of its own: the retry configuration applies to all
// of its methods.
func Example_customWorker() {
	processor := activity.Define[*DataProcessor]("DataProcessor", activity.Options{
		Retry:       retrypolicy.Policy{NumRetries: 3, Backoff: retrypolicy.Exponential},
		CallTimeout: time.Minute,
	})
	process := activity.Method(processor, "Process", (*DataProcessor).Process)
	result, err := process.Inline(&DataProcessor{Multiplier: 10}).WithClock(testsuite.NewClock().Clock()).Call(context.Background(), 5)
	fmt.Println(result, err)
	// Output: 50 <nil>
}

// DataProcessor is a worker with state of its own; its first call fails.
type DataProcessor struct {
	Multiplier int
	calls      int
}

// Process multiplies.
func (d *DataProcessor) Process(_ context.Context, value int) (int, error) {
	if d.calls++; d.calls == 1 {
		return 0, errors.New("transient")
	}
	return d.Multiplier * value, nil
}

// A function as a task: submitted once, and mapped over many inputs, by a
// program that need not be the one that runs it.
func Example_tasks() {
	ctx, c := context.Background(), exampleClient()
	var mu sync.Mutex
	tried := map[int]bool{}
	double := activity.Func("Double", func(_ context.Context, x int) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		if !tried[x] {
			tried[x] = true
			return 0, refused() // each input fails once
		}
		return 2 * x, nil
	}, activity.FuncOptions[int, int]{
		TaskQueue:   "tasks",
		Retry:       retrypolicy.Policy{NumRetries: 3, Wait: time.Millisecond},
		CallTimeout: time.Minute,
	})

	w := worker.New(c, "tasks", worker.Options{})
	worker.RegisterFunc(w, double)
	if err := w.Start(); err != nil {
		fmt.Println(err)
		return
	}
	defer w.Stop()

	call, err := double.Submit(ctx, c, 10)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(call.Get(ctx))
	fmt.Println(double.SubmitMap(ctx, c, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}))
	// Output:
	// 20 <nil>
	// [0 2 4 6 8 10 12 14 16 18] <nil>
}

var fetcher = activity.Define[*Fetcher]("Fetcher", activity.Options{
	TaskQueue:   "fetcher",
	Retry:       retrypolicy.Policy{NumRetries: 3, Wait: time.Millisecond},
	CallTimeout: time.Minute,
})

var fetchPage = activity.Method(fetcher, "Fetch", (*Fetcher).Fetch)

// Fetcher fails once for each URL.
type Fetcher struct {
	mu    sync.Mutex
	tried map[string]bool
}

// Fetch gets a page.
func (f *Fetcher) Fetch(_ context.Context, url string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.tried[url] {
		f.tried[url] = true
		return "", refused()
	}
	return "the page " + url, nil
}

// Calls of a workflow are futures: all are under way at once, each with its own
// retries.
func Example_asynchronousCalls() {
	ctx, c := context.Background(), exampleClient()
	fetchAll := func(ctx workflow.Context, urls []string) ([]string, error) {
		futures := make([]activity.Future[string], len(urls))
		for i, url := range urls {
			futures[i] = fetchPage.Execute(ctx, url)
		}
		pages := make([]string, len(urls))
		for i, f := range futures {
			var err error
			if pages[i], err = f.Get(ctx); err != nil {
				return nil, err
			}
		}
		return pages, nil
	}

	w := worker.New(c, "fetcher", worker.Options{})
	worker.Register(w, fetcher, &Fetcher{tried: map[string]bool{}})
	w.RegisterWorkflow(fetchAll)
	if err := w.Start(); err != nil {
		fmt.Println(err)
		return
	}
	defer w.Stop()

	run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: "fetcher"}, fetchAll, []string{"/a", "/b", "/c"})
	if err != nil {
		fmt.Println(err)
		return
	}
	var pages []string
	err = run.Get(ctx, &pages)
	fmt.Println(strings.Join(pages, ", "), err)
	// Output: the page /a, the page /b, the page /c <nil>
}

// The same handle in every mode.
func Example_executionModes() {
	ctx, c := context.Background(), exampleClient()
	impl := &Fetcher{tried: map[string]bool{}}
	inWorkflow := func(ctx workflow.Context) (string, error) {
		first, err := fetchPage.With(activity.CallOptions{TaskQueue: "modes"}).Execute(ctx, "/workflow").Get(ctx)
		if err != nil {
			return "", err
		}
		second, err := fetchPage.ExecuteLocal(ctx, "/local").Get(ctx)
		return first + ", " + second, err
	}
	w := worker.New(c, "modes", worker.Options{})
	worker.Register(w, fetcher, impl)
	w.RegisterWorkflow(inWorkflow)
	if err := w.Start(); err != nil {
		fmt.Println(err)
		return
	}
	defer w.Stop()

	// In this process, without a server.
	fmt.Println(fetchPage.Inline(impl).Call(ctx, "/here"))

	// From any program, on any worker.
	call, err := fetchPage.With(activity.CallOptions{TaskQueue: "modes"}).Submit(ctx, c, "/submitted")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(call.Get(ctx))

	// From a workflow, on any worker, and on its own.
	run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: "modes"}, inWorkflow)
	if err != nil {
		fmt.Println(err)
		return
	}
	var pages string
	err = run.Get(ctx, &pages)
	fmt.Println(pages, err)
	// Output:
	// the page /here <nil>
	// the page /submitted <nil>
	// the page /workflow, the page /local <nil>
}

// exampleClient is a client of a real server, which lives as long as this process.
var exampleClient = sync.OnceValue(func() client.Client {
	server, err := devserver.Start(context.Background(), devserver.Options{Profile: devserver.Fast, Output: os.Stderr})
	if err != nil {
		panic(err)
	}
	c, err := server.Dial(client.Options{
		Plugins: []client.Plugin{worker.Plugin()}, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	if err != nil {
		panic(err)
	}
	return c
})

// Accept lower quality after two attempts.
func Example_contextAwareValidation() {
	goodEnough := func(r Reply, a retrypolicy.Attempt) error {
		want := 0.7
		if a.Number <= 2 {
			want = 0.9 // the first two attempts: strict
		}
		if r.Confidence <= want {
			return fmt.Errorf("attempt %d: confidence %.1f, want more than %.1f", a.Number, r.Confidence, want)
		}
		return nil
	}
	fmt.Println(classify(retrypolicy.Policy{NumRetries: 5}, goodEnough, 0.8, 0.75, 0.72))
	// Output: {third 0.72 []} <nil>
}

// classify asks a model whose answers have these confidences.
func classify(p retrypolicy.Policy, v validation.Validator[Reply], confidences ...float64) (Reply, error) {
	model := activity.Define[*Model]("Model", activity.Options{Retry: p, CallTimeout: time.Hour})
	ask := activity.Method(model, "Ask", (*Model).Ask, activity.MethodOptions[string, Reply]{RetryUntil: []validation.Validator[Reply]{v}})
	impl := &Model{Body: func(_ context.Context, n int, _ string) (Reply, error) {
		return Reply{Text: []string{"first", "second", "third", "fourth"}[n-1], Confidence: confidences[n-1]}, nil
	}}
	return ask.Inline(impl).WithClock(testsuite.NewClock().Clock()).Call(context.Background(), "cat or dog?")
}

// Decide by the method's arguments.
func Example_filterByArguments() {
	policy := retrypolicy.Policy{NumRetries: 3, RetryOn: []retrypolicy.Filter{
		func(_ error, a retrypolicy.Attempt) bool {
			id, _ := retrypolicy.Arg[int](a, 0)
			fmt.Println("asked about", id)
			return id != 7 // fetch asks for record 7
		},
	}}
	fetch(policy, refused())
	// Output:
	// failed: dial tcp: connection refused
	// asked about 7
	//  dial tcp: connection refused
}

// A cap, or a calculator of your own.
func Example_maxWait() {
	printWaits(retrypolicy.Policy{NumRetries: 7, Wait: time.Second, MaxWait: 30 * time.Second})
	cap20 := retrypolicy.BackoffFunc(func(wait time.Duration, n int) time.Duration {
		return min(retrypolicy.Exponential.Ceiling(wait, n), 20*time.Second)
	})
	fmt.Println("mine:", (&retrypolicy.Policy{Backoff: cap20}).Ceiling(10))
	// Output:
	// attempt 1: random(0, 1s)
	// attempt 2: random(0, 2s)
	// attempt 3: random(0, 4s)
	// attempt 4: random(0, 8s)
	// attempt 5: random(0, 16s)
	// attempt 6: random(0, 30s)
	// attempt 7: random(0, 30s)
	// mine: 20s
}

// The best of all attempts is the fallback.
func Example_fallback() {
	reply, err := classify(retrypolicy.Policy{NumRetries: 3}, confident, 0.3, 0.8, 0.5, 0.6)
	var rve *validation.RetryValidationError
	if validation.As(err, &rve) {
		reply, err = validation.Best(rve, func(r Reply) float64 { return r.Confidence })
	}
	fmt.Println(reply, err)
	// Output: {second 0.8 []} <nil>
}
