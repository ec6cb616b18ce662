package opentelemetry

import (
	"context"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/concurry-go/concurry/retrypolicy"
)

// eventName is one for all, so that a backend can group by it.
const eventName = "concurry.attempt"

// SpanEvents adds an event to the span in ctx, unless that span is not recorded. It is
// a [retrypolicy.Observer], for worker.Observe or activity.Options.Observers, and safe
// for concurrent use, as spans are.
func SpanEvents(ctx context.Context, e retrypolicy.Event) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	attributes := append(make([]attribute.KeyValue, 0, 9),
		attribute.String("concurry.method", e.Method),
		attribute.Int("concurry.attempt", e.Number),
		attribute.String("concurry.verdict", string(e.Verdict)),
		attribute.String("concurry.decision", string(e.Decision)),
		attribute.Float64("concurry.elapsed", e.Elapsed().Seconds()),
	)
	if e.ErrorType != "" {
		attributes = append(attributes, attribute.String("error.type", e.ErrorType))
	}
	if e.Err != nil {
		attributes = append(attributes, attribute.String("concurry.reason", textOf(e.Err)))
	}
	switch e.Decision {
	case retrypolicy.DecisionRetry:
		attributes = append(attributes, attribute.Float64("concurry.wait", e.Wait.Seconds()), attribute.Bool("concurry.wait_on_server", e.OnServer))
	case retrypolicy.DecisionGiveUp:
		attributes = append(attributes, attribute.String("concurry.stop", string(e.Stop)))
	}
	span.AddEvent(eventName, trace.WithAttributes(attributes...))
}

// textOf is the error's text, as long as Temporal's side of a call keeps it: a
// panic's has a stack, and a span is kept in memory. Exporters refuse a whole
// batch for a string that is not UTF-8.
func textOf(err error) string {
	return cut(strings.ToValidUTF8(err.Error(), "\uFFFD"), maxReason)
}

// maxReason is how many bytes of a reason are kept behind a server; it is
// validation.MaxReason, without its package.
const maxReason = 1 << 10

// cut shortens s to at most n bytes, between two characters.
func cut(s string, n int) string {
	const ellipsis = "…"
	if len(s) <= n {
		return s
	}
	keep := n - len(ellipsis)
	for keep > 0 && !utf8.RuneStart(s[keep]) {
		keep--
	}
	return s[:keep] + ellipsis
}
