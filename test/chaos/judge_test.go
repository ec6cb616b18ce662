package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/retrypolicy"
)

// of is a call of a shape that fails, and fails again.
func of(s shape) *result {
	s.Name = "Shape"
	return &result{
		shape: &s, call: "c1", outcome: outcome{Ending: endsBodys, Body: s.attempts(), Call: "c1"},
		spec: spec{ID: "c1", Kind: submitted, Input: input{Steps: []step{{Act: fails}}}},
	}
}

// bodies are lines of bodies with these attempts' numbers, one after another.
func bodies(units int, numbers ...int) []line {
	var all []line
	for _, n := range numbers {
		l := line{Time: time.Unix(int64(len(all)), 0), PID: 1, Event: evBegin, Call: "c1", N: n, Shape: "Shape", Units: units}
		all = append(all, l)
		l.Event = evEnd
		all = append(all, l)
	}
	return all
}

func TestBrokenPromisesAreFound(t *testing.T) {
	t.Parallel()
	two := shape{NumRetries: 1, Limit: unlimited}
	with := func(s shape, change func(r *result)) *result {
		r := of(s)
		change(r)
		return r
	}
	overlapping := bodies(1, 1, 2)
	overlapping[1], overlapping[2] = overlapping[2], overlapping[1]
	for name, c := range map[string]struct {
		result *result
		lines  []line
		breaks string // empty is nothing
	}{
		"as it should be":                     {of(two), bodies(0, 1, 2), ""},
		"a body too many":                     {of(two), bodies(0, 1, 2, 3), "at most so many bodies"},
		"a number twice":                      {of(shape{NumRetries: 2, Limit: unlimited}), bodies(0, 1, 3, 3), "no attempt's number twice"},
		"a new budget":                        {with(two, func(r *result) { r.resets = 1 }), bodies(0, 1, 2, 1, 2), ""},
		"more than a new budget":              {with(two, func(r *result) { r.resets = 1 }), bodies(0, 1, 2, 1, 2, 2), "at most so many bodies"},
		"retries of a case":                   {with(shape{NumRetries: 1, CaseRetries: 1, Limit: unlimited}, func(*result) {}), bodies(0, 1, 2, 3), ""},
		"a number that is none":               {of(two), bodies(0, 0, 2), "attempts are numbered from 1"},
		"a local call starts over":            {with(two, func(r *result) { r.spec.Kind = localToFlow }), bodies(0, 1, 2, 1, 2), ""},
		"it hangs":                            {with(two, func(r *result) { r.hung = true }), bodies(0, 1, 2), "every call ends"},
		"it may not exist":                    {with(two, func(r *result) { r.orphan = true; r.outcome = outcome{} }), bodies(0, 1, 2), ""},
		"an outcome of no body":               {of(two), bodies(0, 1), "every outcome can be explained"},
		"another call's outcome":              {with(two, func(r *result) { r.outcome.Call = "c2" }), bodies(0, 1, 2), "every outcome can be explained"},
		"success of one that fails":           {with(two, func(r *result) { r.outcome.Ending = endsWell }), bodies(0, 1, 2), "every outcome can be explained"},
		"another error than its own":          {with(two, func(r *result) { r.outcome.Act = panics }), bodies(0, 1, 2), "every outcome can be explained"},
		"nobody canceled it":                  {with(two, func(r *result) { r.outcome = outcome{Ending: endsCanceled} }), bodies(0, 1), "every outcome can be explained"},
		"nobody canceled it at its hand-back": {with(two, func(r *result) { r.outcome = outcome{Ending: endsBetween} }), bodies(0, 1), "every outcome can be explained"},
		"canceled at its hand-back":           {with(two, func(r *result) { r.outcome = outcome{Ending: endsBetween}; r.canceled = true }), bodies(0, 1), ""},
		"somebody canceled it":                {with(two, func(r *result) { r.outcome = outcome{Ending: endsCanceled}; r.canceled = true }), bodies(0, 1), ""},
		"refused without a validator":         {with(two, func(r *result) { r.outcome = outcome{Ending: endsRefused} }), bodies(0, 1, 2), "every outcome can be explained"},
		"no timeout to run out of":            {with(two, func(r *result) { r.outcome = outcome{Ending: endsTimedOut} }), bodies(0, 1), "every outcome can be explained"},
		"no limit to wait for":                {with(two, func(r *result) { r.outcome = outcome{Ending: endsWaiting} }), nil, "every outcome can be explained"},
		"no time to be stopped by":            {with(two, func(r *result) { r.outcome.Stop = retrypolicy.StopMaxElapsed }), bodies(0, 1, 2), "every outcome can be explained"},
		"outside a session":                   {with(two, func(r *result) { r.outcome = outcome{Ending: endsSession} }), bodies(0, 1), "every outcome can be explained"},
		"an error nobody knows":               {with(two, func(r *result) { r.outcome = outcome{Ending: endsStrange} }), bodies(0, 1), "every outcome can be explained"},
		"lost":                                {with(two, func(r *result) { r.outcome = outcome{Ending: endsLost} }), bodies(0, 1), ""},
		"what nobody has left":                {of(two), append(bodies(0, 1, 2), line{Event: evMisread, Call: "c1", N: 2}), "heartbeat details are those of the call's bodies"},
		"what nobody has called":              {of(two), append(bodies(0, 1, 2), line{Event: evBegin, Call: "c9", N: 1}), "only calls that were made run"},
		"one after the other":                 {of(shape{NumRetries: 1, Limit: perWorker, Capacity: 1}), bodies(1, 1, 2), ""},
		"two of one":                          {of(shape{NumRetries: 1, Limit: perWorker, Capacity: 1}), overlapping, "a limit is never over capacity"},
		"two of two":                          {of(shape{NumRetries: 1, Limit: perWorker, Capacity: 2}), overlapping, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := judge(&plan{shapes: []*shape{c.result.shape}}, []*result{c.result}, c.lines)
			if c.breaks == "" {
				assert.Empty(t, j.violations)
				return
			}
			require.NotEmpty(t, j.violations)
			assert.Equal(t, c.breaks, j.violations[0].Promise)
		})
	}
}

func TestLostCallsAreCounted(t *testing.T) {
	t.Parallel()
	one, all := of(shape{NumRetries: 1, Limit: unlimited}), of(shape{NumRetries: 0, Limit: unlimited})
	one.outcome, all.outcome = outcome{Ending: endsLost}, outcome{Ending: endsLost}
	j := judge(&plan{shapes: []*shape{one.shape}}, []*result{one, all}, bodies(0, 1))
	assert.Equal(t, 2, j.lost)
	assert.Equal(t, 1, j.bodiesLeft, "of the one that may have had another")
}

// Limits bind one process, one key and one session at a time.
func TestLimitsAreOfOneProcessKeyAndSession(t *testing.T) {
	t.Parallel()
	one := line{Event: evBegin, Call: "c1", N: 1, PID: 1, Shape: "Shape", Units: 1}
	for name, change := range map[string]func(l *line){
		"process": func(l *line) { l.PID = 2 },
		"key":     func(l *line) { l.Key = "b" },
		"session": func(l *line) { l.Scope = "s" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			other := one
			other.N = 2
			change(&other)
			j := &judgement{}
			j.limits(&plan{shapes: []*shape{{Name: "Shape", Limit: perKey, Capacity: 1}}}, []line{one, other})
			assert.Empty(t, j.violations)
		})
	}
}

func TestWhatWorkersKeepIsFound(t *testing.T) {
	t.Parallel()
	j := &judgement{}
	j.workers(map[int]report{
		0: {Before: state{Library: 2}, Now: state{Library: 2}},
		1: {Now: state{Held: []string{"a unit"}}},
		2: {Before: state{Library: 2}, Now: state{Library: 3}},
	})
	require.Len(t, j.violations, 2)
	assert.Equal(t, "nothing is held in the end", j.violations[0].Promise)
	assert.Equal(t, "no goroutines are left", j.violations[1].Promise)
}

func TestErrorsTellOutcomes(t *testing.T) {
	t.Parallel()
	app := func(message, kind string) error { return temporal.NewApplicationError(message, kind) }
	for _, c := range []struct {
		err  error
		want outcome
	}{
		{app("busy of body c1/3", "errorString"), outcome{Ending: endsBodys, Act: isBusy, Body: 3, Call: "c1"}},
		{app("panic: panic of body c1.s0.2/1", "PanicError"), outcome{Ending: endsBodys, Act: panics, Body: 1, Call: "c1.s0.2"}},
		{app("lost", "AttemptLost"), outcome{Ending: endsLost}},
		{app("refused", "RetryValidationError"), outcome{Ending: endsRefused}},
		{app("no room", "LimitWait"), outcome{Ending: endsWaiting}},
		{app("not good", "ResultRefused"), outcome{Ending: endsBetween}},
		{app("context deadline exceeded", ""), outcome{Ending: endsDeadline}},
		{app("the method ignored the end of its context and was abandoned", ""), outcome{Ending: endsAbandoned}},
		{app("the method ended its goroutine without returning", ""), outcome{Ending: endsGoexit}},
		{temporal.NewCanceledError(), outcome{Ending: endsCanceled}},
		{fmt.Errorf("session: %w", workflow.ErrSessionFailed), outcome{Ending: endsSession}},
		{app("who knows", ""), outcome{Ending: endsStrange}},
	} {
		got := outcomeOf(output{}, c.err)
		got.Text = ""
		assert.Equal(t, c.want, got, "%v", c.err)
		assert.True(t, isEnd(c.err), "%v", c.err)
	}
	assert.Equal(t, outcome{Ending: endsWell, Body: 2, Call: "c1"}, outcomeOf(output{Call: "c1", N: 2}, nil))
	assert.False(t, isEnd(errors.New("connection refused")))
}

func TestTheLedgerKeepsLines(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	none, err := readLedger(path)
	require.NoError(t, err)
	require.Empty(t, none)
	l, err := openLedger(path)
	require.NoError(t, err)
	l.write(line{Event: evBegin, Call: "c1", N: 1, Act: fails, Shape: "Shape", Units: 2})
	l.write(line{Event: evEnd, Call: "c1", N: 1})
	all, err := readLedger(path)
	require.NoError(t, err)
	require.Len(t, all, 2)
	assert.Equal(t, "c1", all[0].Call)
	assert.Equal(t, 2, all[0].Units)
	assert.NotZero(t, all[0].PID)
	_, err = l.file.WriteString("{")
	require.NoError(t, err)
	_, err = readLedger(path)
	require.ErrorContains(t, err, "line 3 of the ledger")
}
