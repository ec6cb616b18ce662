package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

func TestOverview(t *testing.T) {
	under(t, "Overview")
	everywhere(t, "multiple backoff strategies with configurable jitter", "`Policy.Backoff`, `Policy.Jitter`", func(t *testing.T, e Engine) {
		for _, b := range []retrypolicy.Algorithm{retrypolicy.Exponential, retrypolicy.Linear, retrypolicy.Fibonacci} {
			p := retrypolicy.Policy{NumRetries: 4, Backoff: b, Jitter: retrypolicy.NoJitter, Wait: 2 * time.Millisecond}
			o := call{policy: p, body: fails(errConnection)}.run(t, e)
			var want []time.Duration
			for n := 1; n <= 4; n++ {
				want = append(want, p.Ceiling(n))
			}
			assert.Equal(t, want, o.waits(), "%s", b)
		}
	})
	everywhere(t, "exception filtering: by type, or by custom logic", "`Policy.RetryOn`", func(t *testing.T, e Engine) {
		p := retrypolicy.Policy{NumRetries: 3, RetryOn: []retrypolicy.Filter{retrypolicy.ErrorIs(errConnection)}}
		assert.Equal(t, 4, call{policy: p, body: fails(errConnection)}.run(t, e).starts)
		assert.Equal(t, 1, call{policy: p, body: fails(errBug)}.run(t, e).starts)
	})
	everywhere(t, "output validation: retried until the output is good", "`MethodOptions.RetryUntil`", func(t *testing.T, e Engine) {
		o := call{
			policy: retrypolicy.Policy{NumRetries: 3}, until: []validation.Validator[Reply]{confident},
			body: says(Reply{Confidence: 0.2}, Reply{Confidence: 0.95}),
		}.run(t, e)
		require.NoError(t, o.err)
		assert.InDelta(t, 0.95, o.reply.Confidence, 0)
		assert.Equal(t, 2, o.starts)
	})
	everywhere(t, "full context: filters receive attempt number, elapsed time, and more", "`retrypolicy.Attempt`", func(t *testing.T, e Engine) {
		var seen []string
		p := retrypolicy.Policy{NumRetries: 1, RetryOn: []retrypolicy.Filter{func(err error, a retrypolicy.Attempt) bool {
			seen = append(seen, fmt.Sprintf("%d %s %v %v %v", a.Number, a.Method, a.Args(), err, a.Elapsed() >= 0))
			return true
		}}}
		call{policy: p, body: fails(errConnection), prompt: "Dune?", anew: func(*call) { seen = nil }}.run(t, e)
		assert.Equal(t, []string{"1 Model.Ask [Dune?] connection reset true"}, seen)
	})
	everywhere(t, "automatic limit release between attempts", "`Options.Limits`", func(t *testing.T, e Engine) {
		set := limits.MustNew(limits.Resource("connections", 1))
		free := true
		o := call{
			policy: retrypolicy.Policy{NumRetries: 2, RetryOn: []retrypolicy.Filter{func(error, retrypolicy.Attempt) bool {
				free = free && usage(set)["connections"] == 0
				return true
			}}},
			tune: limited(set, limits.Units{"connections": 1}), body: fails(errConnection),
		}.run(t, e)
		assert.Equal(t, 3, o.starts)
		assert.True(t, free)
	})
	within(t, servers, "actor-side execution: retries happen on the worker", "`Policy.InPlace`, one second by default", func(t *testing.T, e Engine) {
		var serverAttempts []int32
		o := call{policy: retrypolicy.Policy{NumRetries: 2}, anew: func(*call) { serverAttempts = nil }, body: func(ctx context.Context, n int, _ string) (Reply, error) {
			serverAttempts = append(serverAttempts, activity.GetInfo(ctx).Attempt)
			if n < 3 {
				return Reply{}, errConnection
			}
			return Reply{}, nil
		}}.run(t, e)
		require.NoError(t, o.err)
		want := []int32{1, 1, 1}
		if e == OnServer {
			want = []int32{1, 2, 3}
		}
		assert.Equal(t, want, serverAttempts)
	})
}

func TestSimpleRetryConfiguration(t *testing.T) {
	under(t, "Simple Retry Configuration")
	block(t, "`activity.Define[*API](…, activity.Options{Retry: retrypolicy.Policy{NumRetries: 3}})`", Example_simpleRetryConfiguration)
	everywhere(t, "retries up to three times on any exception", "`NumRetries: 3`", func(t *testing.T, e Engine) {
		o := call{policy: retrypolicy.Policy{NumRetries: 3}, body: fails(errBug)}.run(t, e)
		require.ErrorContains(t, o.err, errBug.Error())
		assert.Equal(t, 4, o.starts)
		o = call{policy: retrypolicy.Policy{NumRetries: 3}, body: failsUntil(4, errBug), prompt: "x"}.run(t, e)
		require.NoError(t, o.err)
		assert.Equal(t, Reply{Text: "x"}, o.reply)
	})
	everywhere(t, "a panic is an exception too", "filters see it, with its stack", func(t *testing.T, e Engine) {
		o := call{policy: retrypolicy.Policy{NumRetries: 1}, body: func(context.Context, int, string) (Reply, error) { panic("out of cheese") }}.run(t, e)
		require.ErrorContains(t, o.err, "out of cheese")
		assert.Equal(t, 2, o.starts)
	})
}

func TestRetryParameters(t *testing.T) {
	under(t, "Retry Parameters")
	everywhere(t, "num_retries: 0 by default", "`Policy.NumRetries`", func(t *testing.T, e Engine) {
		assert.Equal(t, 1, call{body: fails(errConnection)}.run(t, e).starts)
		o := call{body: says(Reply{}), until: []validation.Validator[Reply]{confident}}.run(t, e)
		assert.Equal(t, 1, o.starts)
		assert.Equal(t, 1, o.refused(t).Attempts, "one attempt, and judged")
	})
	everywhere(t, "retry_on: every exception by default", "`Policy.RetryOn`", func(t *testing.T, e Engine) {
		for _, err := range []error{errConnection, errBug, fmt.Errorf("wrapped: %w", errTimeout)} {
			assert.Equal(t, 2, call{policy: retrypolicy.Policy{NumRetries: 1}, body: fails(err)}.run(t, e).starts)
		}
	})
	row(t, "retry_algorithm: exponential by default", "`Policy.Backoff`", func(t *testing.T) {
		p := retrypolicy.Policy{}
		assert.Equal(t, []time.Duration{1 * time.Second, 2 * time.Second, 4 * time.Second}, []time.Duration{p.Ceiling(1), p.Ceiling(2), p.Ceiling(3)})
	})
	row(t, "retry_wait: 1.0 second by default", "`Policy.Wait`", func(t *testing.T) {
		p := retrypolicy.Policy{}
		assert.Equal(t, time.Second, p.Ceiling(1))
		assert.Equal(t, time.Second, retrypolicy.DefaultWait)
	})
	row(t, "retry_jitter: on by default; a number from 0 to 1", "`Policy.Jitter`, `Config.RetryJitter`", func(t *testing.T) {
		assert.Equal(t, retrypolicy.FullJitter, retrypolicy.Policy{}.Jitter)
		for _, j := range []float64{0, 0.3, 1} {
			p, err := retrypolicy.Config{RetryJitter: &j}.Policy()
			require.NoError(t, err)
			assert.Equal(t, j == 0, p.Jitter == retrypolicy.NoJitter)
		}
		for _, j := range []float64{-0.1, 1.1} {
			_, err := retrypolicy.Config{RetryJitter: &j}.Policy()
			require.ErrorContains(t, err, "retry_jitter")
		}
	})
	everywhere(t, "retry_until: none by default", "`MethodOptions.RetryUntil`", func(t *testing.T, e Engine) {
		o := call{policy: retrypolicy.Policy{NumRetries: 3}, body: says(Reply{})}.run(t, e)
		require.NoError(t, o.err)
		assert.Equal(t, 1, o.starts)
	})
	row(t, "bad values are refused when the worker is declared", "`activity.NewDefinition`", func(t *testing.T) {
		_, err := activity.NewDefinition[*Model]("Model", activity.Options{Retry: retrypolicy.Policy{NumRetries: -1, Wait: -5, Backoff: retrypolicy.Algorithm("cubic")}})
		for _, want := range []string{"Retry.NumRetries -1: must be from 0", "Retry.Wait -5ns: must be positive", `Retry.Backoff "cubic": must be "exponential"`} {
			require.ErrorContains(t, err, want)
		}
	})
	everywhere(t, "parameters for single methods", "`MethodOptions.Retry`, `Options.RetryConfig`", func(t *testing.T, e Engine) {
		three := 3
		tuned := func(config retrypolicy.Configs) func(o *activity.Options) {
			return func(o *activity.Options) { o.RetryConfig = config }
		}
		o := call{body: fails(errConnection), tune: tuned(retrypolicy.Configs{"Ask": {NumRetries: &three}})}.run(t, e)
		assert.Equal(t, 4, o.starts)
		o = call{body: fails(errConnection), tune: tuned(retrypolicy.Configs{retrypolicy.AllMethods: {NumRetries: &three}})}.run(t, e)
		assert.Equal(t, 4, o.starts)
		_, err := activity.NewDefinition[*Model]("Model", activity.Options{RetryConfig: retrypolicy.Configs{"Asq": {}}})
		require.ErrorContains(t, err, `RetryConfig "Asq": must be "*" or a method: Ask`)
	})
}

// confident is the validator of the guide's examples.
func confident(r Reply, _ retrypolicy.Attempt) error {
	if r.Confidence < 0.9 {
		return fmt.Errorf("confidence %.2f, want 0.90", r.Confidence)
	}
	return nil
}

var errNoData = errors.New("the reply has no data")
