package main

import (
	"bytes"
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fixed is a row that measures nothing and has these figures.
func fixed(name string, demands []demand, figures ...figure) row {
	return row{name: name, about: "a row of a test", demands: demands, measure: func(context.Context, *effort) (*result, error) {
		return &result{figures: figures}, nil
	}}
}

func broken(name string) row {
	return row{name: name, measure: func(context.Context, *effort) (*result, error) { return nil, errors.New("no server") }}
}

var (
	atMostOne   = []demand{{figure: "ratio", limit: 1, unit: "x"}}
	atLeastFive = []demand{{figure: "gain", atLeast: true, limit: 5, unit: "x"}}
)

func TestCheckNamesWhatFallsShortAndExitsNonZero(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		args []string
		rows []row
		code int
		says []string
	}{
		{
			name: "all hold, the bounds included", args: []string{"-check"}, code: exitOK,
			rows: []row{
				fixed("a", atMostOne, figure{"ratio", 1, "x"}),
				fixed("b", atLeastFive, figure{"gain", 5, "x"}),
				fixed("only-printed", nil, figure{"time", 3, "ns"}),
			},
			says: []string{"every row holds what it demands"},
		},
		{
			name: "one is slower than allowed", args: []string{"-check"}, code: exitShort,
			rows: []row{fixed("a", atMostOne, figure{"ratio", 0.9, "x"}), fixed("b", atMostOne, figure{"ratio", 1.01, "x"})},
			says: []string{"FALLS SHORT: ratio is 1.01 x, must be at most 1 x", "falls short: b"},
		},
		{
			name: "one gains less than demanded", args: []string{"-check"}, code: exitShort,
			rows: []row{fixed("a", atLeastFive, figure{"gain", 4.99, "x"})},
			says: []string{"gain is 4.99 x, must be at least 5 x", "falls short: a"},
		},
		{
			name: "a figure is missing", args: []string{"-check"}, code: exitShort,
			rows: []row{fixed("a", atMostOne)},
			says: []string{"ratio: not measured, must be at most 1 x", "falls short: a"},
		},
		{
			name: "a figure is no number", args: []string{"-check"}, code: exitShort,
			rows: []row{fixed("a", atMostOne, figure{"ratio", math.NaN(), "x"})},
			says: []string{"falls short: a"},
		},
		{
			name: "all of several are named", args: []string{"-check"}, code: exitShort,
			rows: []row{fixed("a", atMostOne), fixed("ok", nil), broken("b")},
			says: []string{"not measured: no server", "falls short: a, b"},
		},
		{
			name: "without -check nothing is judged", code: exitOK,
			rows: []row{fixed("a", atMostOne, figure{"ratio", 2, "x"})},
			says: []string{"ratio", "2 x"},
		},
		{
			name: "a row that cannot be measured is an error without -check too", code: exitShort,
			rows: []row{broken("b")},
			says: []string{"falls short: b"},
		},
		{
			name: "-run judges only what matches", args: []string{"-check", "-run", "^go"}, code: exitOK,
			rows: []row{fixed("bad", atMostOne), fixed("good", nil)},
			says: []string{"every row holds"},
		},
		{
			name: "-run that matches nothing", args: []string{"-run", "x"}, code: exitUsage,
			rows: []row{fixed("a", nil), fixed("b", nil)},
			says: []string{`-run "x" matches no row; there are a, b`},
		},
		{
			name: "-list measures nothing", args: []string{"-check", "-list"}, code: exitOK,
			rows: []row{{name: "a", about: "about a", demands: atLeastFive}},
			says: []string{"about a", "gain at least 5 x"},
		},
		{name: "an unknown flag", args: []string{"-chek"}, code: exitUsage, rows: []row{fixed("a", nil)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			assert.Equal(t, tc.code, run(t.Context(), tc.args, tc.rows, &out, &out), "%s", &out)
			for _, s := range tc.says {
				assert.Contains(t, out.String(), s)
			}
		})
	}
}

func TestARowIsMeasuredAgainBeforeItFallsShort(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ code, goodFrom, measured int }{
		{exitOK, 1, 1}, {exitOK, 2, 2}, {exitOK, tries, tries}, {exitShort, tries + 1, tries},
	} {
		measured := 0
		w := row{name: "a", demands: atMostOne, measure: func(context.Context, *effort) (*result, error) {
			measured++
			ratio := 2.0
			if measured >= tc.goodFrom {
				ratio = 1
			}
			return &result{figures: []figure{{"ratio", ratio, "x"}}}, nil
		}}
		var out bytes.Buffer
		assert.Equal(t, tc.code, run(t.Context(), []string{"-check"}, []row{w}, &out, &out), "%s", &out)
		assert.Equal(t, tc.measured, measured)
	}
}

func TestAnInterruptedRunFallsShort(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	assert.Equal(t, exitShort, run(ctx, []string{"-check"}, []row{fixed("a", nil)}, &out, &out))
	assert.Contains(t, out.String(), "falls short: a")
}

func TestContestantsTakeTurnsAndAnotherOneStartsEachRound(t *testing.T) {
	t.Parallel()
	var order strings.Builder
	racing := false
	turn := func(name string) contestant {
		return contestant{name, func(int) {
			if racing {
				order.WriteString(name)
			}
			time.Sleep(time.Microsecond)
		}}
	}
	// The first run of each is how long a turn is; only then the race is on.
	a, b, c := turn("A"), turn("B"), turn("C")
	e := &effort{rounds: 3, slice: time.Nanosecond}
	last := c.run
	c.run = func(n int) { last(n); racing = true }
	times := race(e, a, b, c)
	assert.Equal(t, "ABCBCACAB", order.String())
	assert.Len(t, times.times("B"), 3)
}

func TestRatiosAreMediansOverTheRounds(t *testing.T) {
	t.Parallel()
	times := &interleaved{names: []string{"a", "b"}, ns: [][]float64{{10, 20, 900, 40}, {20, 40, 60, 80}}}
	assert.InDelta(t, 0.5, times.ratio("a", "b"), 1e-9, "one bad round does not matter")
	assert.InDelta(t, -25, times.added("a", "b"), 1e-9, "the first quartile of -10, -20, 840, -40")
	assert.InDelta(t, 30, times.of("a"), 1e-9)
}

func TestEveryRowSaysWhatItComparesAndHasANameOfItsOwn(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, w := range rows() {
		assert.NotEmpty(t, w.about)
		assert.NotEmpty(t, w.demands, w.name)
		assert.False(t, seen[w.name], w.name)
		seen[w.name] = true
	}
}

// Every limiter does what its row says, and the row has the figures that it is
// judged by.
func TestLimitRowsHaveTheFiguresTheyDemand(t *testing.T) { //nolint:paralleltest // allocations are those of the whole process
	for _, w := range limitRows() {
		r, err := w.measure(t.Context(), &effort{rounds: 1, slice: time.Microsecond})
		require.NoError(t, err, w.name)
		for _, d := range w.demands {
			_, ok := r.get(d.figure)
			assert.True(t, ok, "%s: %s", w.name, d.figure)
		}
	}
}

// The libraries do the same work: each calls a body that succeeds once, and
// one that fails as often as the policy says, and returns its last error.
func TestPeersDoTheSameWork(t *testing.T) {
	t.Parallel()
	for _, fails := range []error{nil, errNotYet} {
		s := &service{fails: fails}
		for _, p := range peers(s, 2) {
			s.calls = 0
			require.ErrorIs(t, p.run(1), fails, p.name)
			want := 1
			if fails != nil {
				want = 3
			}
			assert.Equal(t, want, s.calls, p.name)
		}
	}
}
