package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/samples/internal/local"
)

// show runs the scenarios and prints what happens.
type show struct {
	temporal client.Client
	books    *Books
	shop     *service
	timeline *Timeline
	out      io.Writer
	id       string // makes this run's IDs unique
	calls    []Call // that were printed
}

// inProcess runs the scenarios in this process.
func (s *show) inProcess(ctx context.Context) error {
	s.printf("In this process, without any server. The Temporal server starts meanwhile.\n")
	s.printf("   book shop         %s (misbehaves on a script: samples/quickstart/service.go)\n", s.shop.URL)
	for _, sc := range scenarios {
		s.title(sc)
		if err := sc.inline(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// onServer runs the scenarios on the Temporal server.
func (s *show) onServer(ctx context.Context) error {
	for _, sc := range scenarios {
		s.title(sc)
		if err := sc.workflow(ctx, s); err != nil {
			return err
		}
		err := sc.plain(ctx, s)
		if errors.Is(err, activity.ErrStandaloneUnsupported) {
			s.printf("\n   Plain Go is left out: this server does not run standalone activities, for which it needs\n" +
				"   version 1.32, or the setting activity.enableStandalone.\n")
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *show) title(sc scenario) {
	s.printf("\n%s\n   %s\n\n", sc.title, sc.text)
	s.printf(columns, "attempt", "started", "verdict", "then wait", "reason, or result")
}

// run runs a workflow and decodes its result.
func (s *show) run(ctx context.Context, name string, result, workflow any, args ...any) error {
	run, err := s.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: s.id + "-" + name, TaskQueue: taskQueue, WorkflowExecutionTimeout: time.Minute,
	}, workflow, args...)
	if err != nil {
		return err
	}
	return run.Get(ctx, result)
}

func (s *show) query(name string) Query { return Query{Call: s.id + "-" + name, Title: "Dune"} }

const columns = "   %-7s  %7s  %-8s  %9s  %s\n"

// print prints a row for each attempt of a call.
func (s *show) print(name, caller string, c Call) {
	c.Name, c.Caller = name, caller
	s.calls = append(s.calls, c)
	s.printf("\n   %s, %s\n", name, caller)
	for i, r := range c.Rows {
		started, wait := "", ""
		if i < len(c.starts) {
			started = fmt.Sprintf("%.3f s", c.starts[i].Sub(c.starts[0]).Seconds())
		}
		if r.Wait > 0 {
			wait = fmt.Sprintf("%d ms", r.Wait.Milliseconds())
		}
		s.printf(columns, fmt.Sprintf("%4d", r.Attempt), started, r.Verdict, wait, shorten(r.Reason, 57))
	}
}

// printFeedback prints what the call's last request told the service.
func (s *show) printFeedback(q Query) {
	requests := s.shop.requests(q.Call)
	s.printf("   what the last request told the service:\n")
	for _, reason := range requests[len(requests)-1].Feedback {
		s.printf("   - %s\n", reason)
	}
}

func (s *show) printf(format string, args ...any) { _, _ = fmt.Fprintf(s.out, format, args...) }

func (s *show) introduce(t *local.Temporal, took time.Duration) {
	kind := "from the environment"
	if t.Embedded() {
		kind = fmt.Sprintf("in memory, ready after %.1f s", took.Seconds())
	}
	s.printf("\nThe same methods on a Temporal server\n")
	s.printf("   Temporal server   %s, namespace %s (%s)\n", t.Address, t.Namespace, kind)
	if t.UI != "" {
		s.printf("   its web UI        %s\n", t.UI)
	}
	s.printf("   worker            in this program, on task queue %s\n", taskQueue)
}

func (s *show) conclude(t *local.Temporal, keep bool) {
	s.printf(`
Next
   read     samples/quickstart/methods.go, the policies and the methods; workflow.go calls them
   change   a policy or a script there, and run this again
`)
	if t.Embedded() {
		s.printf(`   cluster  to run it on your own Temporal server, without any change here:
              TEMPORAL_ADDRESS=host:7233 TEMPORAL_NAMESPACE=default go run ./samples/quickstart
            TEMPORAL_API_KEY, TEMPORAL_TLS_… and profiles count too, as for Temporal's own tools
`)
	}
	switch {
	case keep && t.UI != "":
		s.printf("\nThe server and the worker stay up; look at %s, and end them with Ctrl-C.\n", t.UI)
	case keep:
		s.printf("\nThe worker stays up; end it with Ctrl-C.\n")
	case t.UI != "":
		s.printf("   look     at the calls in the web UI: go run ./samples/quickstart -keep\n")
	}
}
