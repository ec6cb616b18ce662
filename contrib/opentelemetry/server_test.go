package opentelemetry_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/opentelemetry"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/activity"
	attempts "github.com/concurry-go/concurry/contrib/opentelemetry"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/worker"
)

// onServer runs one call of ask's script in a workflow on a real server, under
// Temporal's own tracing, and returns the spans of the activity in their order.
func onServer(t *testing.T, inPlace time.Duration, atWorker bool, script ...any) (tracetest.SpanStubs, error) {
	t.Helper()
	spans, tracer := exporter(t)
	tracing, err := opentelemetry.NewTracingInterceptor(opentelemetry.TracerOptions{Tracer: tracer})
	require.NoError(t, err)

	definition := activity.Define[*scripted]("LLM", activity.Options{
		Retry: retrypolicy.Policy{
			NumRetries: 2, Wait: 10 * time.Millisecond, Jitter: retrypolicy.NoJitter, InPlace: inPlace,
			RetryOn: []retrypolicy.Filter{retrypolicy.ErrorIs(errDown), retrypolicy.ErrorIs(io.EOF)},
		},
		CallTimeout: time.Minute,
	})
	method := activity.Method(definition, "Ask", (*scripted).Ask)
	run := func(ctx workflow.Context, in string) (string, error) { return method.Execute(ctx, in).Get(ctx) }

	options := client.Options{Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))}
	workerOptions := worker.Options{WorkerStopTimeout: 2 * time.Second}
	if atWorker {
		workerOptions.Interceptors = []interceptor.WorkerInterceptor{tracing}
	} else {
		options.Interceptors = []interceptor.ClientInterceptor{tracing}
	}
	c := testsuite.Dial(t, testsuite.Server(t), options)
	queue := fmt.Sprintf("%s-%s", t.Name(), rand.Text()[:8])
	w := worker.New(c, queue, workerOptions, worker.Observe(attempts.SpanEvents))
	worker.Register(w, definition, &scripted{script})
	w.RegisterWorkflowWithOptions(run, workflow.RegisterOptions{Name: "Run"})
	require.NoError(t, w.Start())

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	started, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, "Run", "Dune?")
	require.NoError(t, err)
	result := started.Get(ctx, nil)
	w.Stop() // every span has ended then

	var ofActivity tracetest.SpanStubs
	for _, span := range spans.GetSpans() {
		if span.Name == "RunActivity:LLM.Ask" {
			ofActivity = append(ofActivity, span)
			continue
		}
		for _, e := range span.Events {
			assert.NotEqual(t, "concurry.attempt", e.Name, "on span %s", span.Name)
		}
	}
	return ofActivity, result
}

// told are the attempts of a span's events, in short.
func told(span tracetest.SpanStub) []string {
	var all []string
	for _, e := range span.Events {
		if e.Name != "concurry.attempt" {
			continue
		}
		a := attributes(e)
		all = append(all, fmt.Sprint(a["concurry.attempt"], " ", a["concurry.verdict"], ": ", a["concurry.decision"]))
	}
	return all
}

func exceptions(span tracetest.SpanStub) int {
	n := 0
	for _, e := range span.Events {
		if e.Name == "exception" {
			n++
		}
	}
	return n
}

func TestOnAServerAttemptsInPlaceAreEventsOfTheActivitysOneSpan(t *testing.T) {
	t.Parallel()
	for name, atWorker := range map[string]bool{"interceptor at the client": false, "interceptor at the worker": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spans, err := onServer(t, time.Hour, atWorker, errDown, io.EOF, "a desert")
			require.NoError(t, err)
			require.Len(t, spans, 1)
			assert.Equal(t, []string{"1 failed: retry", "2 failed: retry", "3 accepted: accept"}, told(spans[0]))
			assert.Equal(t, codes.Unset, spans[0].Status.Code)
			assert.Zero(t, exceptions(spans[0]))
			assert.Equal(t, "LLM.Ask", attributes(spans[0].Events[0])["concurry.method"])
			assert.Equal(t, false, attributes(spans[0].Events[0])["concurry.wait_on_server"])
		})
	}
}

func TestOnAServerEveryHandoutHasASpanAndTheNumbersGoOn(t *testing.T) {
	t.Parallel()
	spans, err := onServer(t, -1, false, errDown, io.EOF, "a desert")
	require.NoError(t, err)
	require.Len(t, spans, 3)
	for i, want := range []string{"1 failed: retry", "2 failed: retry", "3 accepted: accept"} {
		assert.Equal(t, []string{want}, told(spans[i]))
		status := codes.Unset
		if i < 2 {
			status = codes.Error // of ErrResultPending, by Temporal's interceptor: the engine has answered
		}
		assert.Equal(t, status, spans[i].Status.Code)
	}
	assert.Equal(t, true, attributes(spans[0].Events[0])["concurry.wait_on_server"])
	assert.Equal(t, spans[0].SpanContext.TraceID(), spans[2].SpanContext.TraceID())
}

func TestOnAServerTheStatusOfACallThatGaveUpIsSetByTemporalOnce(t *testing.T) {
	t.Parallel()
	spans, err := onServer(t, time.Hour, false, errDown, errDown, errDown)
	require.Error(t, err)
	require.Len(t, spans, 1)
	assert.Equal(t, []string{"1 failed: retry", "2 failed: retry", "3 failed: give up"}, told(spans[0]))
	assert.Equal(t, codes.Error, spans[0].Status.Code)
	assert.Equal(t, 1, exceptions(spans[0]))
}
