// Quickstart shows what the SDK is for, on a Temporal server of its own and a
// service that misbehaves on a script:
//
//	go run ./samples/quickstart
//	go run ./samples/quickstart -keep
//
// The server is built from source once; CONCURRY_DEVSERVER=temporal takes
// Temporal's command line tool instead, and TEMPORAL_ADDRESS a server that runs.
//
// Read methods.go first, which declares methods and their policies, and then
// workflow.go, which calls them. http.go is the client of an HTTP service;
// service.go is that service. The rest is the show: scenarios.go calls each
// method from a workflow and from plain Go, timeline.go and show.go print what
// became of it.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/concurry-go/concurry/samples/internal/local"
	"github.com/concurry-go/concurry/worker"
)

func main() {
	keep := flag.Bool("keep", false, "leave the server and its web UI running until Ctrl-C")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait for the first
	_, err := quickstart(ctx, os.Stdout, *keep)
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// quickstart runs everything and returns what there was to see.
func quickstart(ctx context.Context, out io.Writer, keep bool) (*show, error) {
	shop, err := startService(ctx)
	if err != nil {
		return nil, err
	}
	defer shop.stop()

	s := &show{out: out, shop: shop, timeline: newTimeline(), id: "quickstart-" + strings.ToLower(rand.Text()[:6])}
	s.printf("starting …\n")
	begin := time.Now()
	temporal, err := local.Start(ctx, client.Options{Plugins: []client.Plugin{worker.Plugin()}})
	if err != nil {
		return nil, interrupted(ctx, err)
	}
	defer temporal.Stop()

	s.temporal = temporal.Client
	s.books = &Books{
		URL:      shop.URL,
		HTTP:     &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
		Timeline: s.timeline,
	}
	w := worker.New(temporal.Client, taskQueue, worker.Options{})
	worker.Register(w, books, s.books)
	w.RegisterWorkflow(FactsWorkflow)
	w.RegisterWorkflow(DescribeWorkflow)
	w.RegisterWorkflow(TranslateWorkflow)
	w.RegisterWorkflow(OrderWorkflow)
	if err := w.Start(); err != nil {
		return nil, interrupted(ctx, err)
	}
	defer w.Stop()
	s.introduce(temporal, time.Since(begin))
	if err := s.all(ctx); err != nil {
		return s, interrupted(ctx, err)
	}
	s.conclude(temporal, keep)
	if keep {
		<-ctx.Done()
	}
	return s, nil
}

// interrupted is err, unless it is only the consequence of Ctrl-C.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return err
}
