package worker_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	sdkworker "go.temporal.io/sdk/worker"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/worker"
)

func TestWorkerOfTemporalsOwnHostsADefinition(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), testsuite.Client(t)
	impl := &Scripted{Body: func(_ context.Context, n int, in string) (string, error) {
		if n < 3 {
			return "", errors.New("not yet")
		}
		return in + "!", nil
	}}
	d, do := Define(t, InPlace, retrypolicy.Policy{NumRetries: 5})
	twice := activity.Func("Twice", func(_ context.Context, n int) (int, error) { return 2 * n, nil }, activity.FuncOptions[int, int]{CallTimeout: Timeout, TaskQueue: queue})
	w := sdkworker.New(c, queue, sdkworker.Options{Plugins: []sdkworker.Plugin{worker.Plugin(worker.Host(d, impl), worker.HostFunc(twice))}})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)

	out, err := do.With(activity.CallOptions{TaskQueue: queue}).Run(t.Context(), c, "hello")
	require.NoError(t, err)
	assert.Equal(t, "hello!", out)
	assert.EqualValues(t, 3, impl.Started.Load())

	var caller activity.Caller[int, int] = twice.Via(c)
	n, err := caller.Call(t.Context(), 21)
	require.NoError(t, err)
	assert.Equal(t, 42, n)
}

// The client's plugin hosts on workers that have a plugin of their own, whose engine
// takes its place.
func TestDefinitionsOfTheClientsPluginAreGovernedOnWorkersWithTheirOwn(t *testing.T) {
	t.Parallel()
	queue := Queue(t)
	impl := &Scripted{Body: func(_ context.Context, n int, in string) (string, error) {
		if n < 3 {
			return "", errors.New("not yet")
		}
		return in + "!", nil
	}}
	d, do := Define(t, InPlace, retrypolicy.Policy{NumRetries: 5})
	c := testsuite.Dial(t, testsuite.Server(t), client.Options{Plugins: []client.Plugin{worker.Plugin(worker.Host(d, impl))}})
	w := sdkworker.New(c, queue, sdkworker.Options{Plugins: []sdkworker.Plugin{worker.Plugin()}})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	out, err := do.With(activity.CallOptions{TaskQueue: queue}).Run(t.Context(), c, "hello")
	require.NoError(t, err)
	assert.Equal(t, "hello!", out)
	assert.EqualValues(t, 3, impl.Started.Load())
}

func TestHostedMistakesAreToldBeforeAnythingIsPolled(t *testing.T) {
	t.Parallel()
	_, err := worker.NewPlugin(worker.Host[*Scripted](nil, &Scripted{}), worker.HostFunc[int, int](nil))
	require.EqualError(t, err, "worker: Host: the definition is nil\nworker: HostFunc: the function handle is nil")

	d, _ := Define(t, InPlace, retrypolicy.Policy{NumRetries: 5})
	start := func(options ...worker.Option) error {
		return sdkworker.New(testsuite.Client(t), Queue(t), sdkworker.Options{Plugins: []sdkworker.Plugin{worker.Plugin(options...)}}).Start()
	}
	require.ErrorContains(t, start(worker.Host(d, nil)), "worker: Scripted: its implementation is nil; want a *enginetest.Scripted")
	require.ErrorContains(t, start(worker.Host(d, &Scripted{}), worker.Host(d, &Scripted{})), "worker: Scripted.Do: registered twice")
	require.ErrorContains(t, start(worker.Host(activity.Define[*Scripted]("Empty", activity.Options{}), &Scripted{})), "worker: Empty: no methods are declared; use activity.Method")
	require.ErrorContains(t, start(worker.Host(d, &Scripted{}), worker.Policies{"Scripted.Do": {}}), "worker: Scripted.Do: it is a method of a definition, whose options stand there: remove it from Policies")
}

func TestCallThroughAClientNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	_, do := Define(t, InPlace, retrypolicy.Policy{NumRetries: 5})
	_, err := do.Via(testsuite.Client(t)).Call(t.Context(), "x")
	require.ErrorContains(t, err, `Scripted.Do: TaskQueue "": Submit needs one`)
	var none client.Client
	_, err = do.Via(none).Call(t.Context(), "x")
	require.EqualError(t, err, "Scripted.Do: Submit: the client is nil")
}
