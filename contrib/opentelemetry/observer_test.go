package opentelemetry_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	api "go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/concurry-go/concurry/activity"
	attempts "github.com/concurry-go/concurry/contrib/opentelemetry"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/validation"
)

// exporter is one in memory, and a tracer that feeds it.
func exporter(t testing.TB, options ...trace.TracerProviderOption) (*tracetest.InMemoryExporter, api.Tracer) {
	t.Helper()
	e := tracetest.NewInMemoryExporter()
	provider := trace.NewTracerProvider(append(options, trace.WithSyncer(e))...)
	t.Cleanup(func() { assert.NoError(t, provider.Shutdown(context.Background())) })
	return e, provider.Tracer("test")
}

// attributes are those of an event, all of them.
func attributes(e trace.Event) map[string]any {
	all := map[string]any{}
	for _, a := range e.Attributes {
		all[string(a.Key)] = a.Value.AsInterface()
	}
	return all
}

var (
	errDown = errors.New("service is down")
	errGone = errors.New("no such model")
)

// scripted is a method that does what the script says, attempt by attempt.
type scripted struct{ script []any }

func (s *scripted) Ask(context.Context, string) (string, error) {
	step := s.script[0]
	s.script = s.script[1:]
	if err, ok := step.(error); ok {
		return "", err
	}
	return step.(string), nil
}

var llm = activity.Define[*scripted]("LLM", activity.Options{
	Retry: retrypolicy.Policy{
		NumRetries: 2, Wait: 2 * time.Second, Jitter: retrypolicy.NoJitter,
		RetryOn: []retrypolicy.Filter{retrypolicy.ErrorIs(errDown)},
	},
	CallTimeout: time.Minute,
	Observers:   []retrypolicy.Observer{attempts.SpanEvents},
})

var ask = activity.Method(llm, "Ask", (*scripted).Ask, activity.MethodOptions[string, string]{
	RetryUntil: []validation.Validator[string]{validation.AcceptIf("no text", func(s string) bool { return s != "" })},
})

func call(ctx context.Context, script ...any) error {
	_, err := ask.Inline(&scripted{script}).WithClock(testsuite.NewClock().Clock()).Call(ctx, "Dune?")
	return err
}

func TestEveryAttemptIsAnEventOfTheCallersSpan(t *testing.T) {
	t.Parallel()
	spans, tracer := exporter(t)
	ctx, span := tracer.Start(t.Context(), "caller")
	require.NoError(t, call(ctx, errDown, "", "a desert"))
	span.End()

	require.Len(t, spans.GetSpans(), 1, "no span is begun")
	ended := spans.GetSpans()[0]
	assert.Equal(t, codes.Unset, ended.Status.Code)
	require.Len(t, ended.Events, 3)
	for i, want := range []map[string]any{
		{
			"concurry.method": "LLM.Ask", "concurry.attempt": int64(1), "concurry.verdict": "failed", "concurry.decision": "retry",
			"concurry.elapsed": 0.0, "concurry.reason": "service is down", "concurry.wait": 2.0, "concurry.wait_on_server": false,
		},
		{
			"concurry.method": "LLM.Ask", "concurry.attempt": int64(2), "concurry.verdict": "refused", "concurry.decision": "retry",
			"concurry.elapsed": 2.0, "concurry.reason": "no text", "concurry.wait": 4.0, "concurry.wait_on_server": false,
		},
		{
			"concurry.method": "LLM.Ask", "concurry.attempt": int64(3), "concurry.verdict": "accepted", "concurry.decision": "accept",
			"concurry.elapsed": 6.0,
		},
	} {
		assert.Equal(t, "concurry.attempt", ended.Events[i].Name)
		assert.Equal(t, want, attributes(ended.Events[i]))
	}
}

func TestTheLastEventSaysWhyACallGaveUpAndTheStatusIsItsOwners(t *testing.T) {
	t.Parallel()
	for stop, script := range map[retrypolicy.Stop][]any{
		retrypolicy.StopSpent:     {errDown, errDown, errDown},
		retrypolicy.StopFiltered:  {errGone},
		retrypolicy.StopPermanent: {retrypolicy.Permanent(errDown)},
	} {
		spans, tracer := exporter(t)
		ctx, span := tracer.Start(t.Context(), "caller")
		require.Error(t, call(ctx, script...))
		span.End()

		ended := spans.GetSpans()[0]
		require.Len(t, ended.Events, len(script), "the error is recorded by who ends the span, or nobody")
		last := attributes(ended.Events[len(script)-1])
		assert.Equal(t, "give up", last["concurry.decision"])
		assert.Equal(t, string(stop), last["concurry.stop"])
		assert.NotEmpty(t, last["concurry.reason"])
		assert.NotContains(t, last, "concurry.wait")
		assert.Equal(t, codes.Unset, ended.Status.Code)
	}
}

func TestWithoutARecordedSpanNothingHappens(t *testing.T) {
	t.Parallel()
	require.NoError(t, call(t.Context(), errDown, "a desert"), "no span")

	ctx, span := noop.NewTracerProvider().Tracer("").Start(t.Context(), "noop")
	require.NoError(t, call(ctx, errDown, "a desert"), "a span that is none")
	span.End()

	spans, tracer := exporter(t, trace.WithSampler(trace.NeverSample()))
	ctx, span = tracer.Start(t.Context(), "dropped")
	require.NoError(t, call(ctx, errDown, "a desert"), "a span that is not sampled")
	span.End()
	assert.Empty(t, spans.GetSpans())

	spans, tracer = exporter(t)
	ctx, span = tracer.Start(t.Context(), "over")
	span.End()
	require.NoError(t, call(ctx, errDown, "a desert"), "a span that has ended")
	assert.Empty(t, spans.GetSpans()[0].Events)
}

// trap fails a test that asks for what costs something.
type trap struct {
	retrypolicy.Past

	t *testing.T
}

func (c trap) Elapsed() time.Duration { c.t.Error("asked for the elapsed time"); return 0 }

func (c trap) Error() string { c.t.Error("asked for the text"); return "" }

func TestWhatIsNotRecordedCostsNothing(t *testing.T) { //nolint:paralleltest // counts allocations
	event := retrypolicy.Event{Attempt: retrypolicy.Attempt{Past: trap{t: t}}, Err: trap{t: t}}
	assert.Zero(t, testing.AllocsPerRun(100, func() { attempts.SpanEvents(t.Context(), event) }))
}

func TestAReasonIsBoundedAndFitToTravel(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "short", strings.Repeat("é", 2000), "\xff" + strings.Repeat("\xe9", 5000), strings.Repeat("a", 1023) + "é", strings.Repeat("a", 1024)} {
		spans, tracer := exporter(t)
		ctx, span := tracer.Start(t.Context(), "caller")
		attempts.SpanEvents(ctx, retrypolicy.Event{Verdict: retrypolicy.VerdictFailed, Decision: retrypolicy.DecisionGiveUp, Err: errors.New(text)})
		span.End()
		reason, _ := attributes(spans.GetSpans()[0].Events[0])["concurry.reason"].(string)
		assert.LessOrEqual(t, len(reason), 1<<10)
		assert.True(t, utf8.ValidString(reason))
		if len(text) <= 1024 && utf8.ValidString(text) {
			assert.Equal(t, text, reason)
		}
	}
}

func TestAnEventOfALostAttemptHasWhatIsKnown(t *testing.T) {
	t.Parallel()
	spans, tracer := exporter(t)
	ctx, span := tracer.Start(t.Context(), "caller")
	attempts.SpanEvents(ctx, retrypolicy.Event{
		Attempt: retrypolicy.Attempt{Number: 1, Method: "LLM.Ask"},
		Verdict: retrypolicy.VerdictLost, Err: errors.New("its worker is gone"), Decision: retrypolicy.DecisionRetry, Wait: time.Minute, OnServer: true,
	})
	span.End()
	assert.Equal(t, map[string]any{
		"concurry.method": "LLM.Ask", "concurry.attempt": int64(1), "concurry.verdict": "lost", "concurry.decision": "retry",
		"concurry.elapsed": 0.0, "concurry.reason": "its worker is gone", "concurry.wait": 60.0, "concurry.wait_on_server": true,
	}, attributes(spans.GetSpans()[0].Events[0]))
}

func TestErrorTypeIsOpenTelemetrysAttribute(t *testing.T) {
	t.Parallel()
	exported, tracer := exporter(t)
	ctx, span := tracer.Start(t.Context(), "caller")
	require.Error(t, call(ctx, &typedError{}))
	span.End()
	assert.Equal(t, "typedError", attributes(exported.GetSpans()[0].Events[0])["error.type"])
}

type typedError struct{}

func (*typedError) Error() string { return "typed" }
