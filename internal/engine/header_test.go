package engine

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"pgregory.net/rapid"

	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/retrypolicy"
)

func TestCallersNumbersWinAndTheRestIsTheWorkers(t *testing.T) {
	t.Parallel()
	worker := &Spec{
		Method: "A.B", CallTimeout: time.Hour, JournalBytes: 5, CloneArgs: true, NoHeartbeat: true,
		Retry:          retrypolicy.Policy{NumRetries: 9, Backoff: retrypolicy.Linear, MaxWait: time.Minute, RetryOn: []retrypolicy.Filter{}},
		AttemptTimeout: time.Second,
	}
	rapid.Check(t, func(t *rapid.T) {
		caller := &Spec{
			Method: "ignored",
			Retry: retrypolicy.Policy{
				NumRetries: rapid.IntRange(0, retrypolicy.MaxRetries).Draw(t, "retries"),
				Backoff:    rapid.SampledFrom([]retrypolicy.Backoff{retrypolicy.Exponential, retrypolicy.Linear, retrypolicy.Fibonacci, retrypolicy.Constant}).Draw(t, "backoff"),
				Wait:       time.Duration(rapid.Int64Range(-1, int64(retrypolicy.MaxDuration)).Draw(t, "wait")),
				MaxWait:    time.Duration(rapid.Int64Range(0, int64(retrypolicy.MaxDuration)).Draw(t, "max wait")),
				Jitter:     rapid.SampledFrom([]retrypolicy.Jitter{retrypolicy.FullJitter, retrypolicy.NoJitter, retrypolicy.EqualJitter, retrypolicy.Proportional(0.1)}).Draw(t, "jitter"),
				InPlace:    time.Duration(rapid.Int64().Draw(t, "in place")),
			},
			AttemptTimeout: time.Duration(rapid.Int64Range(0, int64(retrypolicy.MaxDuration)).Draw(t, "attempt timeout")),
		}
		p, err := caller.Header()
		require.NoError(t, err)
		merged, err := worker.WithHeader(p)
		require.NoError(t, err)
		want := *worker
		want.Retry, want.AttemptTimeout = caller.Retry, caller.AttemptTimeout
		want.Retry.RetryOn = worker.Retry.RetryOn
		require.Equal(t, &want, merged)
	})
	assert.Equal(t, 9, worker.Retry.NumRetries, "the worker's own spec is left alone")
}

func TestCallersDefaultBackoffIsExponentialAndItsFunctionTheWorkers(t *testing.T) {
	t.Parallel()
	worker := &Spec{Retry: retrypolicy.Policy{Backoff: retrypolicy.Linear}}
	p, err := (&Spec{}).Header()
	require.NoError(t, err)
	merged, err := worker.WithHeader(p)
	require.NoError(t, err)
	assert.Equal(t, retrypolicy.Exponential, merged.Retry.Backoff)

	p, err = (&Spec{Retry: retrypolicy.Policy{Backoff: retrypolicy.BackoffFunc(func(time.Duration, int) time.Duration { return 1 })}}).Header()
	require.NoError(t, err)
	merged, err = worker.WithHeader(p)
	require.NoError(t, err)
	assert.Equal(t, retrypolicy.Linear, merged.Retry.Backoff, "a function does not travel")
}

func TestWithoutHeaderTheWorkersDefinitionRules(t *testing.T) {
	t.Parallel()
	h := &SpecCache{Spec: &Spec{Method: "A.B"}}
	got, err := h.ForHeader(nil)
	require.NoError(t, err)
	assert.Same(t, h.Spec, got)
}

func TestHeaderIsMergedOncePerContent(t *testing.T) {
	t.Parallel()
	h := &SpecCache{Spec: &Spec{Method: "A.B"}}
	merge := func(retries int) *Spec {
		p, err := (&Spec{Retry: retrypolicy.Policy{NumRetries: retries}}).Header()
		require.NoError(t, err)
		s, err := h.ForHeader(p)
		require.NoError(t, err)
		assert.Equal(t, retries, s.Retry.NumRetries)
		return s
	}
	first := merge(1)
	assert.Same(t, first, merge(1))
	assert.NotSame(t, first, merge(2))
	merge(1)
}

func TestHeaderWithBadNumbersIsRefusedNamingTheField(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		numbers wire.CallNumbers
		text    string
	}{
		"negative retries":         {wire.CallNumbers{NumRetries: -1}, "NumRetries -1"},
		"too many retries":         {wire.CallNumbers{NumRetries: math.MaxInt}, "NumRetries"},
		"unknown algorithm":        {wire.CallNumbers{Algorithm: "cubic"}, `Backoff "cubic"`},
		"negative wait":            {wire.CallNumbers{Wait: -time.Second}, "Wait -1s"},
		"negative max wait":        {wire.CallNumbers{MaxWait: -time.Second}, "MaxWait -1s"},
		"unknown jitter":           {wire.CallNumbers{Jitter: 77}, `Jitter "Jitter(77)"`},
		"negative attempt timeout": {wire.CallNumbers{AttemptTimeout: -time.Second}, "AttemptTimeout -1s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := wire.Seal(wire.Header, tc.numbers)
			require.NoError(t, err)
			_, err = (&SpecCache{Spec: &Spec{}}).ForHeader(p)
			require.ErrorContains(t, err, tc.text)
			require.ErrorContains(t, err, `header "concurry"`)
		})
	}
}

func TestHeaderThatCannotBeReadIsRefused(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]*commonpb.Payload{
		"empty":  {},
		"broken": {Metadata: map[string][]byte{wire.MarkKey: []byte("call/1")}, Data: []byte(`{"num_retries":"x"`)},
		"kind":   {Metadata: map[string][]byte{wire.MarkKey: []byte("journal/1")}, Data: []byte(`{}`)},
	} {
		_, err := (&SpecCache{Spec: &Spec{}}).ForHeader(p)
		require.ErrorContains(t, err, `header "concurry"`, name)
	}
}

func TestHeaderOfAnUnknownVersionIsRefused(t *testing.T) {
	t.Parallel()
	h := &SpecCache{Spec: &Spec{}}
	known, err := (&Spec{Retry: retrypolicy.Policy{NumRetries: 3}}).Header()
	require.NoError(t, err)
	unknown := &commonpb.Payload{Metadata: map[string][]byte{wire.MarkKey: []byte("call/2")}, Data: known.GetData()}

	var version *wire.VersionError
	_, err = h.ForHeader(unknown)
	require.ErrorAs(t, err, &version)
	_, err = h.ForHeader(known)
	require.NoError(t, err)
	_, err = h.ForHeader(unknown)
	require.ErrorAs(t, err, &version, "also after the same bytes of a known version")
}

// What a later caller says beside the numbers counts where it has to.
func TestHeaderThatSaysWhatItsReadersHaveToKnow(t *testing.T) {
	t.Parallel()
	mark := map[string][]byte{wire.MarkKey: []byte("call/1")}
	more := &commonpb.Payload{Metadata: mark, Data: []byte(`{"num_retries": 3, "color": "red"}`)}
	got, err := (&SpecCache{Spec: &Spec{}}).ForHeader(more)
	require.NoError(t, err)
	assert.Equal(t, 3, got.Retry.NumRetries)

	needed := &commonpb.Payload{Metadata: mark, Data: []byte(`{"num_retries": 3, "max_bodies": 2, "needs": ["max_bodies"]}`)}
	_, err = (&SpecCache{Spec: &Spec{}}).ForHeader(needed)
	require.EqualError(t, err, `header "concurry": call needs max_bodies, which this build of concurry does not know; upgrade it`)
}
