package onserver_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/validation"
	"github.com/concurry-go/concurry/worker"
)

// sealed is a codec that encrypts whole payloads, metadata included.
type sealed struct{ aead cipher.AEAD }

func newSealed(t *testing.T) *sealed {
	t.Helper()
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	aead, err := cipher.NewGCMWithRandomNonce(block)
	require.NoError(t, err)
	return &sealed{aead}
}

func (s *sealed) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		data, err := p.Marshal()
		if err != nil {
			return nil, err
		}
		out[i] = &commonpb.Payload{
			Metadata: map[string][]byte{converter.MetadataEncoding: []byte("binary/sealed")},
			Data:     s.aead.Seal(nil, nil, data, nil),
		}
	}
	return out, nil
}

func (s *sealed) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		if string(p.GetMetadata()[converter.MetadataEncoding]) != "binary/sealed" {
			return nil, errors.New("a payload that was never sealed")
		}
		data, err := s.aead.Open(nil, nil, p.GetData(), nil)
		if err != nil {
			return nil, err
		}
		out[i] = &commonpb.Payload{}
		if err := out[i].Unmarshal(data); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// dialWith is a client whose values pass a codec. Errors and their details,
// refused results among them, do so only with a failure converter that knows
// of it: Temporal's default leaves them readable.
func dialWith(t *testing.T, codec converter.PayloadCodec) client.Client {
	t.Helper()
	dc := converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), codec)
	return testsuite.Dial(t, testsuite.Server(t), client.Options{
		DataConverter:    dc,
		FailureConverter: temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{DataConverter: dc, EncodeCommonAttributes: true}),
		Logger:           log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
}

func TestCodecAppliesToTheJournalTheResultsAndTheUsersDetails(t *testing.T) {
	t.Parallel()
	for name, codec := range map[string]converter.PayloadCodec{
		"encrypting":  newSealed(t),
		"compressing": converter.NewZlibCodec(converter.ZlibCodecOptions{AlwaysEncode: true}),
	} {
		for _, e := range []Engine{InPlace, OnServer} {
			t.Run(name+"/"+string(e), func(t *testing.T) {
				t.Parallel()
				underCodec(t, e, dialWith(t, codec))
			})
		}
	}
}

// underCodec runs one call whose values are all called secret.
func underCodec(t *testing.T, e Engine, c client.Client) {
	t.Helper()
	last, goOn := make(chan struct{}), make(chan struct{})
	var found []string
	impl := &Scripted{Body: func(ctx context.Context, n int, in string) (string, error) {
		var page string
		err := activity.GetHeartbeatDetails(ctx, &page)
		refused, _, ok := activity.LastRefusal[string](ctx)
		found = append(found, fmt.Sprint(in, "|", page, "|", err == nil, "|", refused, "|", ok))
		activity.RecordHeartbeat(ctx, fmt.Sprint("secret page ", n))
		if n == 3 {
			last <- struct{}{}
			<-goOn
		}
		return fmt.Sprint("secret ", n), nil
	}}
	d, do := Define(t, e, retrypolicy.Policy{NumRetries: 2}, validation.AcceptIf("no good secret", func(string) bool { return false }))
	// Inside the workflow the refused results are there too.
	flow := func(ctx workflow.Context, in string) ([]string, error) {
		_, err := do.Execute(ctx, in).Get(ctx)
		var rve *validation.RetryValidationError
		if !validation.As(err, &rve) {
			return nil, fmt.Errorf("no RetryValidationError: %w", err)
		}
		return validation.Results[string](rve)
	}
	queue := Queue(t)
	Start(t, c, queue, func(w *worker.Worker) {
		worker.Register(w, d, impl)
		w.RegisterWorkflow(flow)
	})
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, flow, "secret in")
	require.NoError(t, err)
	<-last
	described, err := c.DescribeWorkflow(t.Context(), run.GetID(), run.GetRunID())
	goOn <- struct{}{}
	require.NoError(t, err)
	description := described.RawResponse
	require.Len(t, description.GetPendingActivities(), 1)
	details := description.GetPendingActivities()[0].GetHeartbeatDetails()
	require.Len(t, details.GetPayloads(), 2, "the user's, and the journal")
	assert.False(t, wire.Is(wire.Journal, details.GetPayloads()[1]), "the mark is under the codec too")
	raw, err := description.Marshal()
	require.NoError(t, err)
	for _, plain := range []string{"secret", "verdict"} {
		assert.NotContains(t, string(raw), plain)
	}

	var results []string
	require.NoError(t, run.Get(t.Context(), &results))
	assert.Equal(t, []string{"secret 1", "secret 2", "secret 3"}, results)
	assert.Equal(t, []string{
		"secret in||false||false", "secret in|secret page 1|true|secret 1|true", "secret in|secret page 2|true|secret 2|true",
	}, found)

	events := c.GetWorkflowHistory(t.Context(), run.GetID(), run.GetRunID(), false, 0)
	for events.HasNext() {
		event, err := events.Next()
		require.NoError(t, err)
		raw, err := event.Marshal()
		require.NoError(t, err)
		assert.NotContains(t, string(raw), "secret", "%v", event.GetEventType())
	}
}

func TestSubmittedCallUnderACodec(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), dialWith(t, newSealed(t))
	impl := &Scripted{Body: func(_ context.Context, n int, _ string) (string, error) { return fmt.Sprint("secret ", n), nil }}
	d, do := Define(t, InPlace, retrypolicy.Policy{NumRetries: 1, Wait: time.Millisecond}, validation.AcceptIf("no good secret", func(string) bool { return false }))
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	_, err := Submit(t, c, do, queue, "").Get(t.Context())
	var rve *validation.RetryValidationError
	require.True(t, validation.As(err, &rve), "%v", err)
	all, err := validation.Results[string](rve)
	require.NoError(t, err)
	assert.Equal(t, []string{"secret 1", "secret 2"}, all)
}
