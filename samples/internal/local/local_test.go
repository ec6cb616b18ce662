package local

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/concurry-go/concurry/testsuite"
)

func TestWithoutEnvironmentAServerWithUIIsStarted(t *testing.T) {
	t.Setenv("TEMPORAL_ADDRESS", "")
	t.Setenv("TEMPORAL_PROFILE", "")
	temporal, err := Start(t.Context(), client.Options{})
	require.NoError(t, err)
	defer temporal.Stop()
	assert.True(t, temporal.Embedded())
	get := func() (status int, err error) {
		resp, err := http.Get(temporal.UI)
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}
	status, err := get()
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, status)
	temporal.Stop()
	_, err = get()
	require.Error(t, err)
}

func TestTheEnvironmentNamesAnotherServer(t *testing.T) {
	srv := testsuite.Server(t)
	t.Setenv("TEMPORAL_ADDRESS", srv.HostPort())
	temporal, err := Start(t.Context(), client.Options{})
	require.NoError(t, err)
	defer temporal.Stop()
	assert.False(t, temporal.Embedded())
	assert.Equal(t, srv.HostPort(), temporal.Address)
	assert.Equal(t, "default", temporal.Namespace)
	assert.Empty(t, temporal.UI)
}

func TestAServerThatIsNotThereIsNamed(t *testing.T) {
	t.Setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
	_, err := Start(t.Context(), client.Options{})
	require.ErrorContains(t, err, "127.0.0.1:1")
}
