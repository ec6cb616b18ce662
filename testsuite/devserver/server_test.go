package devserver_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdktestsuite "go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/testsuite/devserver"
)

func start(t *testing.T, o devserver.Options) *devserver.Server {
	t.Helper()
	srv, err := devserver.Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, srv.Stop()) })
	return srv
}

func TestServesTheWebUI(t *testing.T) {
	t.Parallel()
	srv := start(t, devserver.Options{UI: true, Namespace: "mine"})
	for _, path := range []string{"/", "/namespaces/mine/workflows", "/api/v1/namespaces"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.UIURL()+path, nil)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Equal(t, http.StatusOK, response.StatusCode, path)
		assert.NotEmpty(t, body, path)
	}
}

func TestKilledServerGoesOnFromItsFile(t *testing.T) {
	t.Parallel()
	srv := start(t, devserver.Options{DBFilename: filepath.Join(t.TempDir(), "temporal.db")})
	c, err := srv.Dial(client.Options{})
	require.NoError(t, err)
	defer c.Close()
	w := worker.New(c, "q", worker.Options{})
	w.RegisterWorkflowWithOptions(func(ctx workflow.Context) (string, error) {
		var word string
		workflow.GetSignalChannel(ctx, "word").Receive(ctx, &word)
		return word, nil
	}, workflow.RegisterOptions{Name: "Wait"})
	require.NoError(t, w.Start())
	defer w.Stop()
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: "q"}, "Wait")
	require.NoError(t, err)

	before := srv.HostPort()
	require.NoError(t, srv.Kill())
	assert.Nil(t, srv.Process())
	require.NoError(t, srv.Restart(t.Context()))
	assert.Equal(t, before, srv.HostPort())
	require.ErrorContains(t, srv.Restart(t.Context()), "call Stop or Kill first")

	require.NoError(t, c.SignalWorkflow(t.Context(), run.GetID(), run.GetRunID(), "word", "still here"))
	var out string
	require.NoError(t, run.Get(t.Context(), &out))
	assert.Equal(t, "still here", out)
}

func TestRunsUnderTheSDKsOwnStarter(t *testing.T) {
	t.Parallel()
	path, err := devserver.Find(t.Context(), os.Stderr)
	require.NoError(t, err)
	srv, err := sdktestsuite.StartDevServer(t.Context(), sdktestsuite.DevServerOptions{ExistingPath: path, LogLevel: "never", Stdout: io.Discard})
	require.NoError(t, err)
	defer srv.Client().Close()
	_, err = srv.Client().CheckHealth(t.Context(), &client.CheckHealthRequest{})
	require.NoError(t, err)
	require.NoError(t, srv.Stop())
}

func TestSearchAttributesAndMoreFlags(t *testing.T) {
	t.Parallel()
	srv := start(t, devserver.Options{
		ExtraArgs:     []string{"--search-attribute", "City=Keyword"},
		DynamicConfig: map[string]string{"limit.maxIDLength": "50"},
	})
	c, err := srv.Dial(client.Options{})
	require.NoError(t, err)
	defer c.Close()
	attributes, err := c.OperatorService().ListSearchAttributes(t.Context(), &operatorservice.ListSearchAttributesRequest{Namespace: "default"})
	require.NoError(t, err)
	assert.Equal(t, enumspb.INDEXED_VALUE_TYPE_KEYWORD, attributes.GetCustomAttributes()["City"])
	_, err = c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: strings.Repeat("x", 51), TaskQueue: "q"}, "W")
	require.ErrorContains(t, err, "exceeds maximum allowed length (51/50)")
}

// A long poll that misses a workflow's end is answered when it expires.
func TestLongPollsOfTheFastProfileExpireSoon(t *testing.T) {
	t.Parallel()
	srv := start(t, devserver.Options{Profile: devserver.Fast})
	c, err := srv.Dial(client.Options{})
	require.NoError(t, err)
	defer c.Close()
	// Nobody runs the workflow: the server ends it, before a stock server's
	// poll expires.
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: "q", WorkflowRunTimeout: 10 * time.Second}, "W")
	require.NoError(t, err)
	answer, err := c.WorkflowService().GetWorkflowExecutionHistory(t.Context(), &workflowservice.GetWorkflowExecutionHistoryRequest{
		Namespace:              srv.Namespace(),
		Execution:              &commonpb.WorkflowExecution{WorkflowId: run.GetID(), RunId: run.GetRunID()},
		WaitNewEvent:           true,
		HistoryEventFilterType: enumspb.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT,
	})
	require.NoError(t, err)
	assert.Empty(t, answer.GetHistory().GetEvents(), "the poll expired first")
	assert.NotEmpty(t, answer.GetNextPageToken(), "and is to be asked again")
}

func TestBadOptionsAreNamedBeforeAnythingStarts(t *testing.T) {
	t.Parallel()
	_, err := devserver.Start(t.Context(), devserver.Options{Profile: "turbo"})
	require.EqualError(t, err, `devserver: Profile "turbo": must be "fast" or "stock"`)
	_, err = devserver.Start(t.Context(), devserver.Options{Port: -1})
	require.ErrorContains(t, err, "devserver: Port -1")
}

func TestServerThatExitsSaysWhy(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	_, err := devserver.Start(t.Context(), devserver.Options{DBFilename: "/no/such/directory/x.db", Output: &out, Port: 1})
	require.ErrorContains(t, err, `--db-filename "/no/such/directory/x.db": its directory`)
}

func TestStartRespectsItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := devserver.Start(ctx, devserver.Options{Path: "/bin/cat", Output: io.Discard})
	require.Error(t, err)
}

func TestMissingProgramIsNamed(t *testing.T) {
	t.Setenv(devserver.EnvPath, "/no/such/program")
	_, err := devserver.Find(t.Context(), io.Discard)
	require.ErrorContains(t, err, `CONCURRY_DEVSERVER="/no/such/program"`)
}
