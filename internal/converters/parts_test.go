package converters_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"

	"github.com/concurry-go/concurry/internal/converters"
)

// partsOf is what a plugin finds out of a worker that starts. It fails the test
// where a new version of the SDK keeps its converters elsewhere.
func partsOf(t *testing.T, o client.Options, w worker.Options) converters.Parts {
	t.Helper()
	c, err := client.NewLazyClient(o)
	require.NoError(t, err)
	defer c.Close()
	found := make(chan converters.Parts, 1)
	plugin, err := temporal.NewSimplePlugin(temporal.SimplePluginOptions{
		Name: "parts",
		RunContextBefore: func(_ context.Context, o temporal.SimplePluginRunContextBeforeOptions) error {
			p, err := converters.OfWorker(o.Registry)
			found <- p
			require.NoError(t, err)
			return assert.AnError // it need not start
		},
	})
	require.NoError(t, err)
	w.Plugins = append(w.Plugins, plugin)
	require.ErrorIs(t, worker.New(c, "parts", w).Start(), assert.AnError)
	return <-found
}

func TestPartsOfAWorkerAreItsClients(t *testing.T) {
	t.Parallel()
	dc := converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), converter.NewZlibCodec(converter.ZlibCodecOptions{AlwaysEncode: true}))
	fc := temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{DataConverter: dc})
	p := partsOf(t, client.Options{DataConverter: dc, FailureConverter: fc, Namespace: "shop", Identity: "till"}, worker.Options{
		DeploymentOptions: worker.DeploymentOptions{
			UseVersioning: true, Version: worker.WorkerDeploymentVersion{DeploymentName: "shop", BuildID: "7"},
		},
	})
	assert.Equal(t, encode(t, dc, "x"), encode(t, p.Data, "x"))
	assert.Same(t, fc, p.Failure)
	assert.Equal(t, "shop", p.Namespace)
	assert.Equal(t, "till", p.Identity)
	assert.Equal(t, "7", p.Deployment.GetBuildId())

	p = partsOf(t, client.Options{}, worker.Options{Identity: "own"})
	assert.Equal(t, encode(t, converter.GetDefaultDataConverter(), "x"), encode(t, p.Data, "x"))
	assert.Equal(t, client.DefaultNamespace, p.Namespace)
	assert.Equal(t, "own", p.Identity)
	assert.Nil(t, p.Deployment)
}

func TestPartsOfAClientAreItsOptions(t *testing.T) {
	t.Parallel()
	dc := converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), converter.NewZlibCodec(converter.ZlibCodecOptions{AlwaysEncode: true}))
	fc := temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{DataConverter: dc})
	c, err := client.NewLazyClient(client.Options{DataConverter: dc, FailureConverter: fc, Namespace: "shop", Identity: "till"})
	require.NoError(t, err)
	defer c.Close()
	p := converters.OfClient(c)
	assert.Equal(t, encode(t, dc, "x"), encode(t, p.Data, "x"))
	assert.Same(t, fc, p.Failure)
	assert.Equal(t, "shop", p.Namespace)
	assert.Equal(t, "till", p.Identity)
	assert.Equal(t, converters.Default(), converters.OfClient(nil))
}

func TestWhatIsNoWorkerHasTheDefaults(t *testing.T) {
	t.Parallel()
	for _, registry := range []any{nil, 7, (*struct{})(nil), struct{}{}} {
		p, err := converters.OfWorker(registry)
		require.NoError(t, err)
		assert.Equal(t, converters.Default(), p)
	}
	_, err := converters.OfWorker(&struct{ name string }{"a worker that hides them"})
	require.ErrorIs(t, err, converters.ErrHidden)
}

func encode(t *testing.T, dc converter.DataConverter, v any) *commonpb.Payload {
	t.Helper()
	p, err := dc.ToPayload(v)
	require.NoError(t, err)
	return p
}

func TestClientWithoutOptionsHasTheDefaults(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]client.Options{
		"converter": {DataConverter: all()["codec"]},
		"failures":  {FailureConverter: temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{EncodeCommonAttributes: true})},
	} {
		c, err := client.NewLazyClient(o)
		require.NoError(t, err)
		assert.False(t, converters.OfClient(c).IsDefault(), name)
	}
	c, err := client.NewLazyClient(client.Options{})
	require.NoError(t, err)
	assert.True(t, converters.OfClient(c).IsDefault())
}
