package worker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/worker"
)

func TestStartRefusesIncompleteRegistrationsBeforePolling(t *testing.T) {
	t.Parallel()
	empty := activity.Define[*Scripted]("Empty", activity.Options{CallTimeout: time.Minute})
	untimed := activity.Define[*Scripted]("Untimed", activity.Options{})
	activity.Method(untimed, "Do", (*Scripted).Do)
	fine, _ := Define(t, InPlace, retrypolicy.Policy{})

	w := worker.New(Lazy(t), "q", worker.Options{})
	worker.Register(w, empty, &Scripted{})
	worker.Register(w, untimed, &Scripted{})
	worker.Register(w, fine, nil)
	worker.Register(w, fine, &Scripted{})
	worker.Register(w, fine, &Scripted{})
	worker.Register[*Scripted](w, nil, nil)
	for name, err := range map[string]error{"Start": w.Start(), "Run": w.Run(nil)} {
		require.Error(t, err, name)
		for _, want := range []string{
			"Empty: no methods are declared",
			"Untimed.Do: AttemptTimeout and CallTimeout are both unset",
			"Scripted: its implementation is nil; want a *enginetest.Scripted",
			"Scripted.Do: registered twice",
			"the definition is nil",
		} {
			require.ErrorContains(t, err, want, name)
		}
	}
}

func TestPoliciesThatAreWrongAreNamed(t *testing.T) {
	t.Parallel()
	_, err := worker.NewPlugin(worker.Policies{"ChargeCard": {Retry: retrypolicy.Policy{NumRetries: -1}}})
	require.EqualError(t, err, "worker: Policies: ChargeCard: Retry.NumRetries -1: must be from 0 (no retries) to 1000000")
	_, err = worker.NewPlugin(worker.Policies{"A": {}}, worker.Policies{"A": {}})
	require.EqualError(t, err, "worker: Policies: A: given twice")
	assert.Panics(t, func() { worker.Plugin(worker.Policies{"": {}}) })
}

// shapes has every signature there is an adapter for.
type shapes struct{}

func (shapes) Ping(context.Context) (string, error) { return "pong", nil }
func (shapes) Tell(context.Context, string) error   { return nil }
func (shapes) Nudge(context.Context) error          { return errors.New("nudged") }
func (shapes) Pair(_ context.Context, a string, n int) (string, error) {
	return a + string(rune('0'+n)), nil
}
func (shapes) Triple(_ context.Context, a, b string, c bool) (string, error) { return a + b, nil }

func TestMethodsOfEveryShape(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, e Engine) {
		d := activity.Define[shapes]("Shapes", activity.Options{Retry: e.Policy(retrypolicy.Policy{NumRetries: 1}), CallTimeout: time.Minute})
		ping := activity.Method(d, "Ping", activity.NoInput(shapes.Ping))
		tell := activity.Method(d, "Tell", activity.NoOutput(shapes.Tell))
		nudge := activity.Method(d, "Nudge", activity.ErrorOnly(shapes.Nudge))
		pair := activity.Method(d, "Pair", activity.Two(shapes.Pair))
		triple := activity.Method(d, "Triple", activity.Three(shapes.Triple))

		out, err := Run(t, e, d, ping, shapes{}, activity.None{})
		require.NoError(t, err)
		assert.Equal(t, "pong", out)
		_, err = Run(t, e, d, tell, shapes{}, "x")
		require.NoError(t, err)
		_, err = Run(t, e, d, nudge, shapes{}, activity.None{})
		require.ErrorContains(t, err, "nudged")
		out, err = Run(t, e, d, pair, shapes{}, activity.Args2[string, int]{A: "a", B: 2})
		require.NoError(t, err)
		assert.Equal(t, "a2", out)
		out, err = Run(t, e, d, triple, shapes{}, activity.Args3[string, string, bool]{A: "a", B: "b"})
		require.NoError(t, err)
		assert.Equal(t, "ab", out)
	})
}
