package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/testsuite"
)

// onTestServer makes the samples use the server that tests share.
func onTestServer(t *testing.T) {
	t.Helper()
	srv := testsuite.Server(t)
	t.Setenv("TEMPORAL_ADDRESS", srv.HostPort())
	t.Setenv("TEMPORAL_NAMESPACE", srv.Namespace())
}

func TestEachScenarioGoesAsItsPolicySays(t *testing.T) {
	onTestServer(t)
	// Run as with -keep, and interrupt it once everything has been shown.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &cancelling{text: "The worker stays up", cancel: cancel}
	s, err := quickstart(ctx, out, true)
	require.NoError(t, err, out.String())

	const (
		reset, unavailable = "connection reset", "503"
		ms                 = time.Millisecond
	)
	fact := func(result string, waits ...time.Duration) []Row {
		return []Row{
			{1, "failed", waits[0], reset},
			{2, "failed", waits[1], unavailable},
			{3, "failed", waits[2], reset},
			{4, "accepted", 0, result},
		}
	}
	price := fact("12.50 EUR", 50*ms, 100*ms, 200*ms)
	stock := fact("7 copies", 50*ms, 100*ms, 150*ms)
	rating := fact("4.6 of 5", 50*ms, 50*ms, 100*ms)
	describe := []Row{
		{1, "failed", jittered, reset},
		{2, "failed", time.Second, "429"},
		{3, "failed", jittered, unavailable},
		{4, "failed", jittered, "not JSON: invalid character"},
		{5, "refused", jittered, "the keywords are missing"},
		{6, "accepted", 0, "A boy and a desert."},
	}
	translate := []Row{
		{1, "refused", jittered, "confidence 0.41"},
		{2, "refused", jittered, "confidence 0.82"},
		{3, "refused", jittered, "confidence 0.66"},
		{4, "refused", 0, "confidence 0.73"},
	}
	order := []Row{{1, "failed", 0, "401"}}
	want := []Call{
		{Name: "Books.Price (exponential)", Caller: inProcess, Rows: price},
		{Name: "Books.Stock (linear)", Caller: inProcess, Rows: stock},
		{Name: "Books.Rating (Fibonacci)", Caller: inProcess, Rows: rating},
		{Name: "Books.Describe", Caller: inProcess, Rows: describe},
		{Name: "Books.Translate", Caller: inProcess, Rows: translate},
		{Name: "Books.Order", Caller: inProcess, Rows: order},
		{Name: "Books.Price (exponential)", Caller: byWorkflow, Rows: price},
		{Name: "Books.Stock (linear)", Caller: byWorkflow, Rows: stock},
		{Name: "Books.Rating (Fibonacci)", Caller: byWorkflow, Rows: rating},
		{Name: "Books.Price (exponential)", Caller: byGo, Rows: price},
		{Name: "Books.Stock (linear)", Caller: byGo, Rows: stock},
		{Name: "Books.Rating (Fibonacci)", Caller: byGo, Rows: rating},
		{Name: "Books.Describe", Caller: byWorkflow, Rows: describe},
		{Name: "Books.Describe", Caller: byGo, Rows: describe},
		{Name: "Books.Translate", Caller: byWorkflow, Rows: translate},
		{Name: "Books.Translate", Caller: byGo, Rows: translate},
		{Name: "Books.Order", Caller: byWorkflow, Rows: order},
		{Name: "Books.Order", Caller: byGo, Rows: order},
	}
	require.Len(t, s.calls, len(want))
	for i, w := range want {
		got := s.calls[i]
		assert.Equal(t, w.Name+", "+w.Caller, got.Name+", "+got.Caller)
		assertRows(t, w, got)
		assert.Len(t, s.shop.requests(got.ID), len(w.Rows), "%s, %s: requests that the service saw", w.Name, w.Caller)
	}
	assert.Equal(t, 3, strings.Count(out.String(), "fallback: {Text:Der Wüstenplanet Confidence:0.82}"))
	for line := range strings.Lines(out.String()) {
		assert.LessOrEqual(t, len([]rune(line)), 101, line) // with its newline
	}
}

// jittered stands for a wait that only chance knows.
const jittered time.Duration = -1

func assertRows(t *testing.T, want, got Call) {
	t.Helper()
	name := want.Name + ", " + want.Caller
	if !assert.Len(t, got.Rows, len(want.Rows), name) {
		return
	}
	for i, w := range want.Rows {
		g := got.Rows[i]
		at := fmt.Sprintf("%s, attempt %d", name, w.Attempt)
		assert.Equal(t, w.Attempt, g.Attempt, at)
		assert.Equal(t, w.Verdict, g.Verdict, at)
		assert.Contains(t, g.Reason, w.Reason, at)
		if w.Wait == jittered {
			assert.Positive(t, g.Wait, at)
		} else {
			assert.Equal(t, w.Wait, g.Wait, at)
		}
	}
}

// cancelling cancels once a text was written.
type cancelling struct {
	bytes.Buffer
	text   string
	cancel func()
}

func (c *cancelling) Write(b []byte) (int, error) {
	n, err := c.Buffer.Write(b)
	if strings.Contains(c.String(), c.text) {
		c.cancel()
	}
	return n, err
}

func TestAnInterruptStopsTheRunPromptly(t *testing.T) {
	onTestServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var interrupt time.Time
	out := &cancelling{text: "The same methods on a Temporal server", cancel: func() {
		interrupt = time.Now()
		cancel()
	}}
	s, err := quickstart(ctx, out, false)
	require.EqualError(t, err, "interrupted")
	assert.Len(t, s.calls, 6)
	assert.Less(t, time.Since(interrupt), 5*time.Second)
}

func TestCallsInThisProcessDoNotWaitForTheServer(t *testing.T) {
	t.Setenv("TEMPORAL_ADDRESS", silentServer(t))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &cancelling{text: "waiting for the Temporal server", cancel: cancel}
	s, err := quickstart(ctx, out, false)
	require.EqualError(t, err, "interrupted")
	require.Len(t, s.calls, 6)
	for _, c := range s.calls {
		assert.Equal(t, inProcess, c.Caller)
	}
}

func TestAServerThatDoesNotStartIsAnErrorAfterTheCallsInThisProcess(t *testing.T) {
	t.Setenv("TEMPORAL_ADDRESS", "")
	t.Setenv("TEMPORAL_PROFILE", "")
	t.Setenv("CONCURRY_DEVSERVER", "no-such-program")
	s, err := quickstart(t.Context(), &bytes.Buffer{}, false)
	require.ErrorContains(t, err, "no-such-program")
	assert.Len(t, s.calls, 6)
}

// silentServer is the address of a server that accepts connections, and never
// answers: one that does not become ready.
func silentServer(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

func TestTheModelAnswersBetterOnlyWhenToldWhatWasWrong(t *testing.T) {
	ask := func(feedback ...string) string {
		w := httptest.NewRecorder()
		describe(w, request{Feedback: feedback})
		return w.Body.String()
	}
	var card Card
	require.Error(t, json.Unmarshal([]byte(ask()), &card))
	require.Error(t, json.Unmarshal([]byte(ask("keywords")), &card))
	require.NoError(t, json.Unmarshal([]byte(ask("not JSON")), &card))
	assert.Empty(t, card.Keywords)
	require.NoError(t, json.Unmarshal([]byte(ask("not JSON", "the keywords are missing")), &card))
	assert.Len(t, card.Keywords, 3)
}

func TestShortenKeepsTheCauseOfGoErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"short", "short"},
		{"Post \"http://127.0.0.1:1\": read: reset", "… read: reset"},
		{"one long sentence without a colon", "one long sentence …"},
	} {
		assert.Equal(t, c.want, shorten(c.text, 20))
	}
}
