package opentelemetry_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/concurry-go/concurry/activity"
	attempts "github.com/concurry-go/concurry/contrib/opentelemetry"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
)

// What a trace shows of a call whose service was down once.
func ExampleSpanEvents() {
	down := true
	fetch := activity.Func("Fetch", func(_ context.Context, page string) (string, error) {
		if down {
			down = false
			return "", errors.New("connection refused")
		}
		return "text of " + page, nil
	}, activity.FuncOptions[string, string]{
		Retry:       retrypolicy.Policy{NumRetries: 3, Wait: time.Second, Jitter: retrypolicy.NoJitter},
		CallTimeout: time.Minute,
		Observers:   []retrypolicy.Observer{attempts.SpanEvents},
	})

	exporter := tracetest.NewInMemoryExporter()
	tracer := trace.NewTracerProvider(trace.WithSyncer(exporter)).Tracer("example")
	ctx, span := tracer.Start(context.Background(), "GET /page")
	clock := testsuite.NewClock() // does not really wait
	fmt.Println(fetch.Inline().WithClock(clock.Clock()).Call(ctx, "page 1"))
	span.End()

	for _, event := range exporter.GetSpans()[0].Events {
		fmt.Println(event.Name)
		for _, a := range event.Attributes {
			fmt.Printf("  %s: %s\n", a.Key, a.Value.String())
		}
	}
	// Output:
	// text of page 1 <nil>
	// concurry.attempt
	//   concurry.method: Fetch
	//   concurry.attempt: 1
	//   concurry.verdict: failed
	//   concurry.decision: retry
	//   concurry.elapsed: 0
	//   concurry.reason: connection refused
	//   concurry.wait: 1
	//   concurry.wait_on_server: false
	// concurry.attempt
	//   concurry.method: Fetch
	//   concurry.attempt: 2
	//   concurry.verdict: accepted
	//   concurry.decision: accept
	//   concurry.elapsed: 1
}
