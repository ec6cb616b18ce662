// Api asks an HTTP API 170 questions, which allows 100 requests and 10,000 tokens
// per minute, and never asks for more than it allows.
//
//	go run ./samples/api
//	go run ./samples/api -window 2s
//
// The API is a server in this program, which counts what goes beyond its
// quotas. Temporal is the server of the environment (TEMPORAL_ADDRESS), or else
// one that it starts.
//
// model.go has all that you would write yourself: the limits, the policy and the
// method. service.go is the API.
package main

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/samples/internal/local"
	"github.com/concurry-go/concurry/worker"
)

func main() {
	window := flag.Duration("window", time.Minute, "the time in which the API allows 100 requests and 10,000 tokens")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if _, err := run(ctx, os.Stdout, *window); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "api:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to stop
	}
}

// questions are many for short answers, which need requests, or fewer for long
// ones, which need tokens.
func questions() (short, long []Question) {
	for i := range 170 {
		if i < 130 {
			short = append(short, Question{Number: i, Text: "Why?", Words: 40})
		} else {
			long = append(long, Question{Number: i, Text: "Why is that?", Words: 400})
		}
	}
	return short, long
}

// result is what has become of the questions.
type result struct {
	observed         // by the API
	answers          []Answer
	refunds, debits  int // answers that took less, or more, than was estimated
	estimated, taken int // tokens
	took             time.Duration
}

const report = `
   calls        %d of %d answered
   requests     %d, of which %d met an overloaded API and came again when it said
   tokens       %d taken, %d estimated: %d refunds, %d debits
   within %-5v at most %d requests of %d, and %d tokens of %d
   violations   %d
   took         %.1f s
`

// run starts everything, asks, and tells.
func run(ctx context.Context, out io.Writer, window time.Duration) (r result, err error) {
	api, err := startService(ctx, window)
	if err != nil {
		return r, err
	}
	defer api.stop()
	temporal, err := local.Start(ctx, client.Options{Plugins: []client.Plugin{worker.Plugin()}})
	if err != nil {
		return r, err
	}
	defer temporal.Stop()

	short, long := questions()
	all := slices.Concat(short, long)
	_, _ = fmt.Fprintf(out, "%d questions; the API allows %d requests and %d tokens per %v: this takes at least %v …\n",
		len(all), requestQuota, tokenQuota, window, 2*(window+leeway))
	begin := time.Now()
	answers, err := ask(ctx, temporal.Client, api.URL, window, short, long)
	if err != nil {
		return r, err
	}
	r = count(all, answers)
	r.observed, r.took = api.seen(), time.Since(begin)
	_, err = fmt.Fprintf(out, report, len(r.answers), len(all), r.Requests, r.Overloaded, r.taken, r.estimated, r.refunds, r.debits,
		window, r.MostRequests, requestQuota, r.MostTokens, tokenQuota, r.Violations, r.took.Seconds())
	return r, err
}

// ask asks all questions from a workflow, on a worker in this program.
func ask(ctx context.Context, c client.Client, url string, window time.Duration, short, long []Question) (answers []Answer, err error) {
	model, handle := declare(window)
	askAll := func(ctx workflow.Context, short, long []Question) ([]Answer, error) {
		answers, err := handle.Map(ctx, short)
		if err != nil {
			return nil, err
		}
		more, err := handle.Map(ctx, long)
		return append(answers, more...), err
	}

	queue := "api-" + strings.ToLower(rand.Text()[:6]) // yours is a constant
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	w := worker.New(c, queue, worker.Options{})
	worker.Register(w, model, &Model{URL: url, HTTP: &http.Client{Transport: transport, Timeout: 10 * time.Second}})
	w.RegisterWorkflowWithOptions(askAll, workflow.RegisterOptions{Name: "AskAll"})
	if err := w.Start(); err != nil {
		return nil, err
	}
	defer w.Stop()
	call, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, "AskAll", short, long)
	if err != nil {
		return nil, err
	}
	return answers, call.Get(ctx, &answers)
}

func count(all []Question, answers []Answer) result {
	r := result{answers: answers}
	for i, a := range answers {
		estimated := all[i].tokens()
		r.estimated += estimated
		r.taken += a.Tokens
		switch {
		case a.Tokens < estimated:
			r.refunds++
		case a.Tokens > estimated:
			r.debits++
		}
	}
	return r
}
