package conformance_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/validation"
)

// entry is a line of the table: what the attempts of a call meet, in order, and
// the trace that every engine must leave. In the trace, ~n stands for the n-th
// draw of full jitter.
type entry struct {
	name   string
	policy retrypolicy.Policy
	// script is what the attempts meet: "ok", "bad" for a result that the
	// validator refuses, "panic", "permanent", "after 3ms", or an error's text.
	script string
	want   []string
}

var (
	errBusy = errors.New("busy")
	none    = retrypolicy.NoJitter
)

func table() []entry {
	filters := []retrypolicy.Filter{retrypolicy.ErrorIs(errConnection)}
	cases := []retrypolicy.Case{
		{On: retrypolicy.ErrorIs(errBusy), NumRetries: 3, Backoff: retrypolicy.Linear, Wait: 2 * time.Millisecond, Jitter: none},
		{On: retrypolicy.ErrorIs(errBug)},
	}
	return []entry{
		{"at once", retrypolicy.Policy{NumRetries: 3}, "ok", []string{"1 accepted: accept"}},
		{"no retries", retrypolicy.Policy{}, "connection", []string{"1 failed: give up, retries spent (connection reset)"}},
		{"no retries, refused", retrypolicy.Policy{}, "bad", []string{"1 refused: give up, retries spent (no good)"}},
		{"one retry helps", retrypolicy.Policy{NumRetries: 1, Jitter: none}, "connection, then ok", []string{
			"1 failed: retry in 1ms (connection reset)", "2 accepted: accept",
		}},
		{"the last retry helps", retrypolicy.Policy{NumRetries: 3, Jitter: none}, "bad, then connection, then bad, then ok", []string{
			"1 refused: retry in 1ms (no good)", "2 failed: retry in 2ms (connection reset)", "3 refused: retry in 4ms (no good)", "4 accepted: accept",
		}},
		{"no retry helps", retrypolicy.Policy{NumRetries: 2, Jitter: none, Backoff: retrypolicy.Linear}, "connection, then bad, then timeout, then ok", []string{
			"1 failed: retry in 1ms (connection reset)", "2 refused: retry in 2ms (no good)", "3 failed: give up, retries spent (timed out)",
		}},
		{"full jitter", retrypolicy.Policy{NumRetries: 3, Backoff: retrypolicy.Fibonacci}, "connection, then bad, then connection, then ok", []string{
			"1 failed: retry in ~1 (connection reset)", "2 refused: retry in ~2 (no good)", "3 failed: retry in ~3 (connection reset)", "4 accepted: accept",
		}},
		{"filtered", retrypolicy.Policy{NumRetries: 3, Jitter: none, RetryOn: filters}, "connection, then bad, then bug", []string{
			"1 failed: retry in 1ms (connection reset)", "2 refused: retry in 2ms (no good)", "3 failed: give up, not retried by any filter (index out of range)",
		}},
		{"permanent", retrypolicy.Policy{NumRetries: 3}, "permanent", []string{"1 failed: give up, permanent (no such account)"}},
		{"told when", retrypolicy.Policy{NumRetries: 3, MaxWait: time.Millisecond}, "after 3ms, then ok", []string{
			"1 failed: retry in 3ms (connection reset)", "2 accepted: accept",
		}},
		{"told to come back later than the call may", retrypolicy.Policy{NumRetries: 3, MaxElapsed: time.Minute}, "after 2h", []string{
			"1 failed: give up, maximum elapsed time (connection reset)",
		}},
		{"panic", retrypolicy.Policy{NumRetries: 1, Jitter: none}, "panic, then ok", []string{
			"1 failed: retry in 1ms (panic: out of cheese)", "2 accepted: accept",
		}},
		{"cases", retrypolicy.Policy{NumRetries: 1, Jitter: none, Cases: cases}, "busy, then connection, then busy, then busy, then busy", []string{
			"1 failed: retry in 2ms (busy)", "2 failed: retry in 1ms (connection reset)", "3 failed: retry in 4ms (busy)",
			"4 failed: retry in 6ms (busy)", "5 failed: give up, retries spent (busy)",
		}},
		{"a case without retries", retrypolicy.Policy{NumRetries: 5, Jitter: none, Cases: cases}, "connection, then bug", []string{
			"1 failed: retry in 1ms (connection reset)", "2 failed: give up, the case's retries spent (index out of range)",
		}},
		{"no wait", retrypolicy.Policy{NumRetries: 2, Wait: retrypolicy.NoWait}, "connection, then connection, then ok", []string{
			"1 failed: retry in 0s (connection reset)", "2 failed: retry in 0s (connection reset)", "3 accepted: accept",
		}},
	}
}

// meets is what the n-th attempt does.
func (en *entry) meets(n int) (Reply, error) {
	steps := strings.Split(en.script, ", then ")
	step := steps[min(n, len(steps))-1]
	if delay, ok := strings.CutPrefix(step, "after "); ok {
		d, err := time.ParseDuration(delay)
		if err != nil {
			panic(err)
		}
		return Reply{}, retrypolicy.After(errConnection, d)
	}
	switch step {
	case "ok":
		return Reply{Text: "good"}, nil
	case "bad":
		return Reply{Text: "bad"}, nil
	case "panic":
		panic("out of cheese")
	case "permanent":
		return Reply{}, retrypolicy.Permanent(errors.New("no such account"))
	default:
		return Reply{}, map[string]error{"connection": errConnection, "timeout": errTimeout, "bug": errBug, "busy": errBusy}[step]
	}
}

func TestOneTable(t *testing.T) {
	under(t, "All Execution Modes")
	everywhere(t, "one table of calls: the same attempts, verdicts, reasons and waits", "whatever the method meets, and by whichever way it is called", func(t *testing.T, e Engine) {
		for _, en := range table() {
			t.Run(en.name, func(t *testing.T) {
				t.Parallel()
				en.check(t, e)
			})
		}
	})
}

// check runs the entry's call in an engine.
func (en *entry) check(t *testing.T, e Engine) {
	t.Helper()
	o := call{
		policy: en.policy,
		until: until(func(r Reply, _ retrypolicy.Attempt) error {
			if r.Text == "bad" {
				return errors.New("no good")
			}
			return nil
		}),
		body: func(_ context.Context, n int, _ string) (Reply, error) { return en.meets(n) },
	}.run(t, e)

	want := strings.Join(en.want, "\n")
	p, random := en.policy, testsuite.Seeded(1)
	p.Wait = time.Millisecond
	for i, draw := range []string{"~1", "~2", "~3"} {
		want = strings.ReplaceAll(want, draw, p.Delay(i+1, random).String())
	}
	assert.Equal(t, want, strings.Join(o.trace(), "\n"))
	assert.Len(t, en.want, o.starts, "as many bodies as events")
	last := o.events[len(o.events)-1]
	switch last.Verdict {
	case retrypolicy.VerdictAccepted:
		require.NoError(t, o.err)
		assert.Equal(t, Reply{Text: "good"}, o.reply)
	case retrypolicy.VerdictRefused:
		rve := o.refused(t)
		assert.Equal(t, o.starts, rve.Attempts)
		assert.Equal(t, "no good", rve.ValidationErrors[len(rve.ValidationErrors)-1])
	default:
		require.ErrorContains(t, o.err, last.Err.Error())
		var rve *validation.RetryValidationError
		assert.False(t, validation.As(o.err, &rve))
	}
}

func TestBeyondTheGuide(t *testing.T) {
	under(t, "Beyond the guide")
	everywhere(t, "different retries and waits for different errors", "`Policy.Cases`", func(t *testing.T, e Engine) {
		p := retrypolicy.Policy{NumRetries: 1, Cases: []retrypolicy.Case{
			{On: retrypolicy.ErrorIs(errBusy), NumRetries: 5, Backoff: retrypolicy.Constant, Wait: 3 * time.Millisecond, Jitter: none},
		}}
		o := call{policy: p, body: fails(errBusy)}.run(t, e)
		assert.Equal(t, 6, o.starts)
		for _, w := range o.waits() {
			assert.Equal(t, 3*time.Millisecond, w)
		}
		assert.Equal(t, 2, call{policy: p, body: fails(errConnection)}.run(t, e).starts)
	})
	everywhere(t, "what was tried, what came back, why it was refused: inside the method", "`activity.Previous(ctx)`, `activity.LastRefusal`", func(t *testing.T, e Engine) {
		o := call{policy: retrypolicy.Policy{NumRetries: 3}, until: until(confident), body: func(ctx context.Context, _ int, _ string) (Reply, error) {
			last, reason, ok := activity.LastRefusal[Reply](ctx)
			if !ok {
				return Reply{Confidence: 0.5}, nil
			}
			if reason != "confidence 0.50, want 0.90" || len(activity.Previous(ctx)) != 1 {
				return Reply{}, retrypolicy.Permanent(errors.New("not told: " + reason))
			}
			return Reply{Confidence: 2 * last.Confidence}, nil
		}}.run(t, e)
		require.NoError(t, o.err)
		assert.Equal(t, 2, o.starts)
	})
	everywhere(t, "the same in filters", "`Attempt.Previous()`", func(t *testing.T, e Engine) {
		p := retrypolicy.Policy{NumRetries: 9, RetryOn: []retrypolicy.Filter{func(err error, a retrypolicy.Attempt) bool {
			previous := a.Previous() // not the same error three times
			n := len(previous)
			return n < 2 || previous[n-1].Reason != err.Error() || previous[n-2].Reason != err.Error()
		}}}
		assert.Equal(t, 3, call{policy: p, body: fails(errConnection)}.run(t, e).starts)
	})
	everywhere(t, "a delay that the service asks for", "`retrypolicy.After`, an error's `RetryAfter() time.Duration`, `retrypolicy.AfterHeader`", func(t *testing.T, e Engine) {
		o := call{policy: retrypolicy.Policy{NumRetries: 1}, body: failsUntil(2, &later{7 * time.Millisecond})}.run(t, e)
		require.NoError(t, o.err)
		assert.Equal(t, []time.Duration{7 * time.Millisecond}, o.waits())
	})
	within(t, append([]Engine{Sync}, servers...), "a delay beyond the remaining time ends the call, and its error says so", "`retrypolicy.StopOf`", func(t *testing.T, e Engine) {
		o := call{policy: retrypolicy.Policy{NumRetries: 5}, body: fails(&later{time.Hour})}.run(t, e)
		assert.Equal(t, 1, o.starts)
		require.ErrorContains(t, o.err, "come back later")
		require.ErrorContains(t, o.err, ": the wait of 1h0m0s that was asked for does not fit into")
		stop, ok := retrypolicy.StopOf(o.err)
		assert.True(t, ok)
		assert.Equal(t, retrypolicy.StopCallTimeout, stop.Stop)
	})
	everywhere(t, "the same for results: a validator that asks for a delay", "`retrypolicy.After` around the refusal", func(t *testing.T, e Engine) {
		o := call{
			policy: retrypolicy.Policy{NumRetries: 1}, body: says(Reply{}, Reply{Text: "x"}),
			until: until(func(r Reply, a retrypolicy.Attempt) error {
				return retrypolicy.After(hasText(r, a), 5*time.Millisecond)
			}),
		}.run(t, e)
		require.NoError(t, o.err)
		assert.Equal(t, []time.Duration{5 * time.Millisecond}, o.waits())
	})
	everywhere(t, "retry budgets shared by many calls", "`Policy.Budget`", func(t *testing.T, e Engine) {
		p := retrypolicy.Policy{NumRetries: 2, Budget: &retrypolicy.Budget{Share: 0.5, Floor: retrypolicy.NoFloor}}
		starts := 0
		for range 6 {
			starts += call{policy: p, body: fails(errConnection)}.run(t, e).starts
		}
		assert.LessOrEqual(t, starts, 12, "half of the attempts are retries, at most")
		assert.Greater(t, starts, 6)
	})
	everywhere(t, "maximum elapsed time", "`Policy.MaxElapsed`", func(t *testing.T, e Engine) {
		o := call{
			policy: retrypolicy.Policy{NumRetries: 1000, Backoff: retrypolicy.Constant, Wait: 10 * time.Millisecond, MaxElapsed: 55 * time.Millisecond, Jitter: none},
			body:   fails(errConnection),
		}.run(t, e)
		assert.LessOrEqual(t, o.starts, 6)
		stop, _ := retrypolicy.StopOf(o.err)
		assert.Equal(t, retrypolicy.StopMaxElapsed, stop.Stop)
		require.ErrorContains(t, o.err, errConnection.Error())
		for _, event := range o.events {
			if event.Decision == retrypolicy.DecisionRetry {
				assert.LessOrEqual(t, event.Elapsed()+event.Wait, 60*time.Millisecond, "each retry was decided on in time")
			}
		}
	})
	everywhere(t, "hooks on every decision", "`Options.Observers`, `worker.Observe`: attempt, verdict, reason, wait", func(t *testing.T, e Engine) {
		o := call{policy: retrypolicy.Policy{NumRetries: 1, Jitter: none}, until: until(hasText), body: says(Reply{}), prompt: "x"}.run(t, e)
		require.Len(t, o.events, 2)
		assert.Equal(t, "Model.Ask", o.events[0].Method)
		assert.Equal(t, []any{"x"}, o.events[0].Args())
		require.ErrorIs(t, o.events[0].Err, errNoData)
		assert.Equal(t, []string{
			"1 refused: retry in 1ms (the reply has no data)", "2 refused: give up, retries spent (the reply has no data)",
		}, o.trace())
	})
	everywhere(t, "an error that no retry mends", "`retrypolicy.Permanent`", func(t *testing.T, e Engine) {
		o := call{policy: retrypolicy.Policy{NumRetries: 5}, body: fails(retrypolicy.Permanent(errBug))}.run(t, e)
		assert.Equal(t, 1, o.starts)
		require.ErrorContains(t, o.err, errBug.Error())
	})
}

// later is an error that knows when to come back, as clients of services have.
type later struct{ delay time.Duration }

func (*later) Error() string               { return "come back later" }
func (l *later) RetryAfter() time.Duration { return l.delay }
