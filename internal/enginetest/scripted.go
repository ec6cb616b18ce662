package enginetest

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

// Scripted is a worker whose body is the test's.
type Scripted struct {
	Started atomic.Int64
	Body    func(ctx context.Context, attempt int, in string) (string, error)
}

func (s *Scripted) Do(ctx context.Context, in string) (string, error) {
	return s.Body(ctx, int(s.Started.Add(1)), in)
}

type ScriptedHandle = activity.MethodHandle[*Scripted, string, string]

// ScriptedWith is the method under options of any kind.
func ScriptedWith(o activity.Options, validators ...validation.Validator[string]) (*activity.Definition[*Scripted], *ScriptedHandle) {
	if o.CallTimeout == 0 && o.AttemptTimeout == 0 {
		o.CallTimeout = Timeout
	}
	d := activity.Define[*Scripted]("Scripted", o)
	return d, activity.Method(d, "Do", (*Scripted).Do, activity.MethodOptions[string, string]{RetryUntil: validators})
}

// Define makes a definition whose waits are short, and where the engine wants
// them.
func Define(t *testing.T, e Engine, p retrypolicy.Policy, validators ...validation.Validator[string]) (*activity.Definition[*Scripted], *ScriptedHandle) {
	t.Helper()
	if p.Wait == 0 {
		p.Wait = time.Millisecond
	}
	d := activity.Define[*Scripted]("Scripted", activity.Options{Retry: e.Policy(p), CallTimeout: time.Minute})
	return d, activity.Method(d, "Do", (*Scripted).Do, activity.MethodOptions[string, string]{RetryUntil: validators})
}

// Again has other types than Do.
func (s *Scripted) Again(_ context.Context, n int) (int, error) { return n, nil }

// Submit starts a standalone call of do on queue.
func Submit(t *testing.T, c client.Client, do *ScriptedHandle, queue, in string) *activity.Call[string] {
	t.Helper()
	call, err := do.With(activity.CallOptions{TaskQueue: queue}).Submit(t.Context(), c, in)
	require.NoError(t, err)
	return call
}

// Limited is a definition with limits, whose waits are where the engine wants
// them.
func Limited(e Engine, source limits.Source, requires limits.Units, p retrypolicy.Policy) (*activity.Definition[*Scripted], *ScriptedHandle) {
	if p.Wait == 0 {
		p.Wait = time.Millisecond
	}
	d := activity.Define[*Scripted]("Scripted", activity.Options{
		Retry: e.Policy(p), CallTimeout: time.Minute, Limits: source, Requires: requires,
	})
	return d, activity.Method(d, "Do", (*Scripted).Do)
}

// Lazy is a client that never connects: what a refused worker would poll.
func Lazy(t *testing.T) client.Client {
	t.Helper()
	c, err := client.NewLazyClient(client.Options{HostPort: "127.0.0.1:1"})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}
