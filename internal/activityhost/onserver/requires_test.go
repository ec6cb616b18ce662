package onserver_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/retrypolicy"
)

// requiring is a method that requires one unit of c, and tokens by its input.
func requiring(e Engine, source limits.Source, requiresOf func(string) limits.Units) (*activity.Definition[*Scripted], *ScriptedHandle) {
	d := activity.Define[*Scripted]("Scripted", activity.Options{
		Retry: e.Policy(retrypolicy.Policy{NumRetries: 1, Wait: time.Millisecond}), CallTimeout: time.Minute,
		Limits: source, Requires: limits.Units{"c": 1},
	})
	return d, activity.Method(d, "Do", (*Scripted).Do, activity.MethodOptions[string, string]{RequiresOf: requiresOf})
}

func TestAttemptsRequireWhatTheirInputNeedsAndSayWhatTheyUsed(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, e Engine) {
		set := limits.MustNew(limits.Resource("c", 3), limits.Rate("tokens", 100, time.Hour))
		impl := &Scripted{Body: func(ctx context.Context, n int, in string) (string, error) {
			assert.Equal(t, limits.Units{"c": 2, "tokens": len(in)}, limits.Held(ctx).Units())
			if n == 1 {
				return "", errors.New("once more")
			}
			return "ok", limits.Held(ctx).Use(limits.Units{"tokens": 2})
		}}
		d, do := requiring(e, set, func(in string) limits.Units { return limits.Units{"c": 1, "tokens": len(in)} })
		out, err := Run(t, e, d, do, impl, "seven..")
		require.NoError(t, err)
		assert.Equal(t, "ok", out)
		usage := set.Snapshot().Limits
		assert.Zero(t, usage[0].InUse)
		assert.InDelta(t, 7+2, usage[1].InUse, 0, "the estimate of the failed attempt, and what the other used")
	})
}

func TestInputThatNeedsNothingMoreRequiresTheRest(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, e Engine) {
		set := limits.MustNew(limits.Resource("c", 3), limits.Rate("tokens", 100, time.Hour))
		impl := &Scripted{Body: func(ctx context.Context, _ int, _ string) (string, error) {
			assert.Equal(t, limits.Units{"c": 1}, limits.Held(ctx).Units())
			return "ok", nil
		}}
		for _, none := range []limits.Units{nil, {"tokens": 0}} {
			d, do := requiring(e, set, func(string) limits.Units { return none })
			_, err := Run(t, e, d, do, impl, "")
			require.NoError(t, err)
		}
	})
}

// What is used is charged also where nothing is required, and does not matter
// where there are no limits.
func TestUsageIsChargedThoughNothingWasRequired(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, e Engine) {
		impl := &Scripted{Body: func(ctx context.Context, _ int, _ string) (string, error) {
			return "ok", limits.Held(ctx).Use(limits.Units{"tokens": 3})
		}}
		set := limits.MustNew(limits.Rate("tokens", 100, time.Hour))
		keyed := limits.MustNewKeyed(limits.Rate("tokens", 100, time.Hour))
		for _, source := range []limits.Source{set, keyed, nil} {
			d, do := Limited(e, source, nil, retrypolicy.Policy{})
			out, err := Run(t, e, d, do, impl, "")
			require.NoError(t, err)
			assert.Equal(t, "ok", out)
		}
		assert.InDelta(t, 3, set.Snapshot().Limits[0].InUse, 0)
		assert.Zero(t, set.Snapshot().Leases)
		assert.InDelta(t, 3, keyed.Snapshots()[""].Limits[0].InUse, 0)
	})
}

func TestSourcesThatAreNilAreRefused(t *testing.T) {
	t.Parallel()
	for want, source := range map[string]limits.Source{
		"limits.New":      (*limits.Set)(nil),
		"limits.NewKeyed": (*limits.Keyed)(nil),
		"limits.NewPool":  (*limits.Pool)(nil),
	} {
		_, err := activity.NewDefinition[*Scripted]("Scripted", activity.Options{CallTimeout: time.Minute, Limits: source})
		require.ErrorContains(t, err, `"nil": must be made by `+want)
	}
}

func TestInputThatNeedsTheImpossibleEndsTheCallAndNamesIt(t *testing.T) {
	t.Parallel()
	for want, f := range map[string]func(string) limits.Units{
		`units of "tokens" 101: must be from 1 to 100`: func(string) limits.Units { return limits.Units{"tokens": 101} },
		`units of "c" -1: must be from 1 to 3`:         func(string) limits.Units { return limits.Units{"c": -1} },
		`units of "d" 1: no such limit`:                func(string) limits.Units { return limits.Units{"d": 1} },
		"RequiresOf panicked: out of cheese":           func(string) limits.Units { panic("out of cheese") },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			for _, e := range []Engine{Sync, InPlace} {
				set := limits.MustNew(limits.Resource("c", 3), limits.Rate("tokens", 100, time.Hour))
				impl := &Scripted{}
				d, do := requiring(e, set, f)
				_, err := Run(t, e, d, do, impl, "")
				require.ErrorContains(t, err, want)
				assert.Zero(t, impl.Started.Load())
				assert.Zero(t, set.Snapshot().Leases)
			}
		})
	}
	d := activity.Define[*Scripted]("Scripted", activity.Options{CallTimeout: time.Minute})
	_, err := activity.NewMethod(d, "Do", (*Scripted).Do, activity.MethodOptions[string, string]{RequiresOf: func(string) limits.Units { return nil }})
	require.ErrorContains(t, err, `Scripted.Do: RequiresOf "a function": must be nil without Limits`)
}

// A pool's member is known where its account is needed.
func TestHeldTellsWhichMemberOfAPoolAnAttemptHas(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, e Engine) {
		account := func(name string) limits.Member {
			return limits.Member{Set: limits.MustNew(limits.Resource("c", 1)), Metadata: name}
		}
		pool, err := limits.NewPool(account("first"), account("second"))
		require.NoError(t, err)
		busy, err := pool.TryAcquire(limits.Units{"c": 1})
		require.NoError(t, err)
		defer busy.Release()
		impl := &Scripted{Body: func(ctx context.Context, _ int, _ string) (string, error) {
			name, _ := limits.Held(ctx).Metadata().(string)
			return name, nil
		}}
		d, do := Limited(e, pool, limits.Units{"c": 1}, retrypolicy.Policy{})
		out, err := Run(t, e, d, do, impl, "")
		require.NoError(t, err)
		assert.Equal(t, "second", out)
	})
	assert.Zero(t, limits.Held(t.Context()))
}
