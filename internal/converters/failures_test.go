package converters_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/internal/converters"
	"github.com/concurry-go/concurry/internal/wire"
)

// There and back: what is ours is encoded, the details of others are as ever.
func TestFailuresEncodeWhatIsOurs(t *testing.T) {
	t.Parallel()
	ours, err := wire.Seal(wire.Refusals, "secret")
	require.NoError(t, err)
	for name, dc := range all() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dc := converters.Tolerant(dc)
			f := converters.Failures(dc)
			result, err := converters.Plain(dc).ToPayload(order{ID: "7"})
			require.NoError(t, err)
			sent := f.ErrorToFailure(temporal.NewApplicationError("m", "T", converter.NewRawValue(ours), converter.NewRawValue(result), order{ID: "8"}))
			details := sent.GetApplicationFailureInfo().GetDetails().GetPayloads()
			require.Len(t, details, 3)
			if converters.NatureOf(dc).Encodes || name == "scratch, encrypted" {
				assert.NotContains(t, string(details[0].GetData()), "secret")
				assert.False(t, converters.Readable(f))
			}
			assert.JSONEq(t, `{"ID":"8","Tags":null}`, string(details[2].GetData()), "another error's")

			var app *temporal.ApplicationError
			require.ErrorAs(t, f.FailureToError(sent), &app)
			var raw converter.RawValue
			var first, second order
			require.NoError(t, app.Details(&raw, &first, &second))
			var text string
			require.NoError(t, wire.Open(wire.Refusals, raw.Payload(), &text))
			assert.Equal(t, "secret", text)
			assert.Equal(t, "8", second.ID)
			if !wire.Known(result.GetMetadata()) || name == "default" { // else the user's own codec or types decide
				assert.Equal(t, "7", first.ID)
			}
		})
	}
}

func TestFailuresReadWhatWorkersWithoutThemSend(t *testing.T) {
	t.Parallel()
	ours, err := wire.Seal(wire.Refusals, "x")
	require.NoError(t, err)
	sent := temporal.GetDefaultFailureConverter().ErrorToFailure(temporal.NewApplicationError("m", "T", converter.NewRawValue(ours)))
	for name, dc := range all() {
		var app *temporal.ApplicationError
		require.ErrorAs(t, converters.Failures(converters.Tolerant(dc)).FailureToError(sent), &app)
		var raw converter.RawValue
		require.NoError(t, app.Details(&raw), name)
		assert.True(t, wire.Is(wire.Refusals, raw.Payload()), name)
	}
}

func TestDetailsThatCannotBeEncodedForTheMomentAreNotSentReadable(t *testing.T) {
	t.Parallel()
	ours, err := wire.Seal(wire.Refusals, "secret")
	require.NoError(t, err)
	down := errors.New("kms: connection refused")
	f := converters.Failures(converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), xor{&down}))
	sent := f.ErrorToFailure(temporal.NewApplicationError("m", "T", converter.NewRawValue(ours)))
	text, err := json.Marshal(sent)
	require.NoError(t, err)
	assert.NotContains(t, string(text), "secret")
	var said string
	var app *temporal.ApplicationError
	require.ErrorAs(t, f.FailureToError(sent), &app)
	require.NoError(t, app.Details(&said))
	assert.Contains(t, said, "not encoded: ")
	assert.Contains(t, said, "kms: connection refused")
}

func TestReadableDetailsAreNoticed(t *testing.T) {
	t.Parallel()
	assert.True(t, converters.Readable(temporal.GetDefaultFailureConverter()))
	assert.False(t, converters.Readable(temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{DataConverter: all()["codec"]})))
}

func TestNameIsOfTheUsersConverter(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "converters_test.scratch", converters.Name(all()["scratch, in a codec"]))
	assert.Equal(t, "*converter.CompositeDataConverter", converters.Name(all()["codec"]))
}
