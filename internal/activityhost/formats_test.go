package activityhost

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/internal/engine"
	"github.com/concurry-go/concurry/internal/marks"
	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

// stored is a document as a released version wrote it. These files are never
// changed: calls that run over an upgrade bring them along.
func stored(t *testing.T, file, mark string) *commonpb.Payload {
	t.Helper()
	data, err := os.ReadFile("testdata/formats/" + file)
	require.NoError(t, err)
	return &commonpb.Payload{
		Metadata: map[string][]byte{"encoding": []byte("json/plain"), "concurry": []byte(mark)},
		Data:     data,
	}
}

type reply struct {
	Text string `json:"text"`
}

func TestJournalOfFormat1IsRead(t *testing.T) {
	t.Parallel()
	h := &heartbeat{out: &withDetails{payloads: []*commonpb.Payload{{Data: []byte("the user's")}, stored(t, "journal-1.json", "journal/1")}}}
	found, err := h.open(t.Context(), byDefault)
	require.NoError(t, err)
	j := engine.Opened(found, 2, engine.Unrecorded{})
	assert.Equal(t, 3, j.Started)
	assert.Equal(t, time.Date(2026, 11, 23, 22, 0, 0, 0, time.UTC), j.FirstStart.UTC())
	require.Len(t, j.Outcomes, 3)
	assert.Equal(t, "OpError", j.Outcomes[0].ErrorType)
	result, err := retrypolicy.ResultOf[reply](j.Outcomes[1])
	require.NoError(t, err)
	assert.Equal(t, "hm", result.Text)
	assert.Equal(t, retrypolicy.VerdictLost, j.Outcomes[2].Verdict, "it was running")
	assert.Len(t, h.user, 1)
}

func TestHeaderOfFormat1IsRead(t *testing.T) {
	t.Parallel()
	s, err := (&engine.Spec{Method: "LLM.Generate"}).WithHeader(stored(t, "call-1.json", "call/1"))
	require.NoError(t, err)
	assert.Equal(t, retrypolicy.Policy{
		NumRetries: 4, Backoff: retrypolicy.Fibonacci, Wait: time.Millisecond, MaxWait: time.Second,
		Jitter: retrypolicy.NoJitter, InPlace: -1,
	}, s.Retry)
	assert.Equal(t, 2*time.Second, s.AttemptTimeout)
}

func TestErrorOfFormat1IsRead(t *testing.T) {
	t.Parallel()
	err := temporal.NewApplicationErrorWithOptions("old", marks.RefusedType, temporal.ApplicationErrorOptions{
		Details: []any{converter.NewRawValue(stored(t, "refusals-1.json", "refusals/1"))},
	})
	var rve *validation.RetryValidationError
	require.True(t, validation.As(err, &rve))
	assert.Equal(t, "LLM.Generate", rve.MethodName)
	assert.Equal(t, 2, rve.Attempts)
	last, err := validation.Last[reply](rve)
	require.NoError(t, err)
	assert.Equal(t, "hm", last.Text)
}

func TestUnknownFormatIsRefusedNeverMisread(t *testing.T) {
	t.Parallel()
	var version *wire.VersionError

	h := &heartbeat{out: &withDetails{payloads: []*commonpb.Payload{stored(t, "journal-1.json", "journal/2")}}}
	_, err := h.open(t.Context(), byDefault)
	require.ErrorAs(t, err, &version)
	assert.Equal(t, "journal/2", version.Mark)

	_, err = (&engine.Spec{}).WithHeader(stored(t, "call-1.json", "call/7"))
	require.ErrorAs(t, err, &version)

	foreign := temporal.NewApplicationErrorWithOptions("from the future", marks.RefusedType, temporal.ApplicationErrorOptions{
		Details: []any{converter.NewRawValue(stored(t, "refusals-1.json", "refusals/2"))},
	})
	var rve *validation.RetryValidationError
	require.True(t, validation.As(foreign, &rve), "it still is one")
	assert.Empty(t, rve.Outcomes, "and nothing is made up")
	assert.Contains(t, rve.ValidationErrors[1], "upgrade")
}

// withDetails is an activity that found heartbeat details.
type withDetails struct {
	interceptor.ActivityOutboundInterceptorBase
	payloads []*commonpb.Payload
}

func (w *withDetails) HasHeartbeatDetails(context.Context) bool { return len(w.payloads) > 0 }

func (w *withDetails) GetHeartbeatDetails(_ context.Context, pointers ...any) error {
	for i, p := range w.payloads {
		raw, ok := pointers[i].(*converter.RawValue)
		if !ok {
			return errors.New("not raw")
		}
		*raw = converter.NewRawValue(p)
	}
	return nil
}

// FuzzOpen feeds the reader of heartbeat details bytes from anywhere.
func FuzzOpen(f *testing.F) {
	journal, err := os.ReadFile("testdata/formats/journal-1.json")
	require.NoError(f, err)
	f.Add("journal/1", journal, int32(2))
	f.Add("journal/9", []byte("{}"), int32(0))
	f.Add("", []byte(`{"started":-5,"running":9999999999}`), int32(-3))
	f.Fuzz(func(t *testing.T, mark string, data []byte, attempt int32) {
		if attempt > 1000 {
			attempt = 1000 // the server counts up from 1, and stops at the backstop
		}
		h := &heartbeat{out: &withDetails{payloads: []*commonpb.Payload{{Metadata: map[string][]byte{"concurry": []byte(mark)}, Data: data}}}}
		found, err := h.open(context.Background(), byDefault)
		if err != nil {
			return
		}
		j := engine.Opened(found, attempt, engine.Unrecorded{})
		if n := len(j.Outcomes); n > engine.MaxOutcomes {
			t.Fatalf("%d outcomes are kept", n)
		}
		if j.Started < 0 {
			t.Fatalf("%d bodies started", j.Started)
		}
	})
}

// FuzzHeader feeds the reader of headers bytes from anywhere.
func FuzzHeader(f *testing.F) {
	header, err := os.ReadFile("testdata/formats/call-1.json")
	require.NoError(f, err)
	f.Add("call/1", header)
	f.Fuzz(func(t *testing.T, mark string, data []byte) {
		s, err := (&engine.Spec{Method: "M"}).WithHeader(&commonpb.Payload{Metadata: map[string][]byte{"concurry": []byte(mark)}, Data: data})
		if err == nil {
			if err := s.Retry.Check(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// byDefault is the default converter, for results.
func byDefault(context.Context) converter.DataConverter { return nil }
