// Quickstart shows what the SDK is for, on a Temporal server of its own and a
// service that misbehaves on a script:
//
//	go run ./samples/quickstart
//	go run ./samples/quickstart -keep
//
// The calls in this process come first: they need no server. The server is
// built from source once, beside them; CONCURRY_DEVSERVER=temporal takes
// Temporal's command line tool instead, and TEMPORAL_ADDRESS a server that runs.
//
// Read methods.go first, which declares methods and their policies, and then
// workflow.go, which calls them. http.go is the client of an HTTP service;
// service.go is that service. The rest is the show: scenarios.go calls each
// method in process, from a workflow and as a standalone activity; timeline.go
// and show.go print what became of it.
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
	s.books = &Books{
		URL:      shop.URL,
		HTTP:     &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
		Timeline: s.timeline,
	}
	server := startServer(ctx)
	defer server.stop()
	if err := s.inProcess(ctx); err != nil {
		return s, interrupted(ctx, err)
	}

	s.printf("\nwaiting for the Temporal server …\n")
	temporal, err := server.wait()
	if err != nil {
		return s, interrupted(ctx, err)
	}
	s.temporal = temporal.Client
	w := worker.New(temporal.Client, taskQueue, worker.Options{})
	worker.Register(w, books, s.books)
	w.RegisterWorkflow(FactsWorkflow)
	w.RegisterWorkflow(DescribeWorkflow)
	w.RegisterWorkflow(TranslateWorkflow)
	w.RegisterWorkflow(OrderWorkflow)
	if err := w.Start(); err != nil {
		return s, interrupted(ctx, err)
	}
	defer w.Stop()
	s.introduce(temporal, server.took)
	if err := s.onServer(ctx); err != nil {
		return s, interrupted(ctx, err)
	}
	s.conclude(temporal, keep)
	if keep {
		<-ctx.Done()
	}
	return s, nil
}

// starting is a Temporal server that starts, which takes minutes where its
// program has to be built first.
type starting struct {
	cancel   context.CancelFunc
	done     chan struct{} // closed when the fields below are set
	temporal *local.Temporal
	err      error
	took     time.Duration
}

func startServer(ctx context.Context) *starting {
	ctx, cancel := context.WithCancel(ctx)
	s := &starting{cancel: cancel, done: make(chan struct{})}
	begin := time.Now()
	go func() {
		defer close(s.done)
		s.temporal, s.err = local.Start(ctx, client.Options{Plugins: []client.Plugin{worker.Plugin()}})
		s.took = time.Since(begin)
	}()
	return s
}

func (s *starting) wait() (*local.Temporal, error) {
	<-s.done
	return s.temporal, s.err
}

// stop stops the server, or its start.
func (s *starting) stop() {
	s.cancel()
	if temporal, err := s.wait(); err == nil {
		temporal.Stop()
	}
}

// interrupted is err, unless it is only the consequence of Ctrl-C.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return err
}
