package conformance_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
)

// curve: the table of the guide, for a base wait, and the same waits decided
// on by every engine.
func curve(t *testing.T, algorithm retrypolicy.Algorithm, text string, base time.Duration, table []time.Duration) {
	t.Helper()
	row(t, "the table of waits", text, func(t *testing.T) {
		p := retrypolicy.Policy{Backoff: algorithm, Wait: base}
		for n, want := range table {
			assert.Equal(t, want, p.Ceiling(n+1), "after attempt %d", n+1)
			assert.Equal(t, want, p.Delay(n+1, func(n int64) int64 { return n - 1 }), "full jitter never waits longer")
			assert.Equal(t, time.Duration(1), p.Delay(n+1, func(int64) int64 { return 0 }), "nor less than a nanosecond")
		}
	})
	everywhere(t, "the waits between attempts", text, func(t *testing.T, e Engine) {
		const scale = 1000 // seconds are milliseconds here
		o := call{
			policy: retrypolicy.Policy{NumRetries: len(table), Backoff: algorithm, Wait: base / scale, Jitter: retrypolicy.NoJitter},
			body:   fails(errConnection),
		}.run(t, e)
		var want []time.Duration
		for _, w := range table {
			want = append(want, w/scale)
		}
		assert.Equal(t, want, o.waits())
		assert.Equal(t, len(table)+1, o.starts)
	})
}

func seconds(n ...int) (waits []time.Duration) {
	for _, s := range n {
		waits = append(waits, time.Duration(s)*time.Second)
	}
	return waits
}

func TestExponentialBackoffDefault(t *testing.T) {
	under(t, "Exponential Backoff (Default)")
	block(t, "`Backoff: retrypolicy.Exponential`", Example_exponentialBackoff)
	curve(t, retrypolicy.Exponential, "`Wait·2^(n-1)`: the formula of the guide; its table is doubled", time.Second, seconds(1, 2, 4, 8, 16))
}

func TestLinearBackoff(t *testing.T) {
	under(t, "Linear Backoff")
	block(t, "`Backoff: retrypolicy.Linear`", Example_linearBackoff)
	curve(t, retrypolicy.Linear, "`Wait·n`", 2*time.Second, seconds(2, 4, 6, 8, 10))
}

func TestFibonacciBackoff(t *testing.T) {
	under(t, "Fibonacci Backoff")
	block(t, "`Backoff: retrypolicy.Fibonacci`", Example_fibonacciBackoff)
	curve(t, retrypolicy.Fibonacci, "`Wait·fib(n)`", time.Second, seconds(1, 1, 2, 3, 5))
}

func TestFullJitter(t *testing.T) {
	under(t, "Full Jitter")
	block(t, "`Jitter: retrypolicy.FullJitter`, the zero value", Example_fullJitter)
	everywhere(t, "all strategies: uniform between 0 and the calculated wait", "`retrypolicy.FullJitter`", func(t *testing.T, e Engine) {
		for _, b := range []retrypolicy.Algorithm{retrypolicy.Exponential, retrypolicy.Linear, retrypolicy.Fibonacci} {
			p := retrypolicy.Policy{NumRetries: 3, Backoff: b, Wait: 4 * time.Millisecond}
			random := testsuite.Seeded(1)
			var want []time.Duration
			for n := 1; n <= 3; n++ {
				want = append(want, p.Delay(n, random))
			}
			o := call{policy: p, body: fails(errConnection)}.run(t, e)
			assert.Equal(t, want, o.waits(), "%s, with the source of chance that the engine has", b)
		}
	})
	everywhere(t, "retry_jitter=0 disables it", "`Jitter: retrypolicy.NoJitter`", func(t *testing.T, e Engine) {
		o := call{
			policy: retrypolicy.Policy{NumRetries: 2, Wait: 3 * time.Millisecond, Jitter: retrypolicy.NoJitter}, body: fails(errConnection),
		}.run(t, e)
		assert.Equal(t, []time.Duration{3 * time.Millisecond, 6 * time.Millisecond}, o.waits())
	})
	row(t, "the distribution is uniform", "Kolmogorov-Smirnov over 20,000 waits", func(t *testing.T) {
		p, random := retrypolicy.Policy{Wait: time.Second}, testsuite.Seeded(7)
		const n = 20_000
		var below [100]int
		for range n {
			below[int(p.Delay(1, random)*100/(time.Second+1))]++
		}
		sum, worst := 0, 0.0
		for i, c := range below {
			sum += c
			worst = max(worst, float64(sum)/n-float64(i+1)/100, float64(i+1)/100-float64(sum)/n)
		}
		require.Less(t, worst, 1.63/141.4, "the 1 %% bound of the test for 20,000 samples")
	})
}
