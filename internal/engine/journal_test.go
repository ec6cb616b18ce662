package engine

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"pgregory.net/rapid"

	"github.com/concurry-go/concurry/internal/failure"
	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

func TestResultsOfTheLargestJournalArrive(t *testing.T) {
	t.Parallel()
	var j Journal
	for range 8 {
		j.Begin()
		j.end(retrypolicy.Outcome{Verdict: retrypolicy.VerdictRefused, Reason: "no", Result: wire.Encode(strings.Repeat("x", 64<<10-10))}, MaxJournalBytes)
	}
	var rve *validation.RetryValidationError
	err := (&Spec{Method: "A.B"}).Refusals(&j, nil)
	c := temporal.GetDefaultFailureConverter()
	require.True(t, validation.As(c.FailureToError(c.ErrorToFailure(failure.Final(err, nil))), &rve))
	all, err := validation.Results[string](rve)
	require.NoError(t, err)
	assert.Len(t, all, 8)
}

func failed(attempt int) retrypolicy.Outcome {
	return retrypolicy.Outcome{Number: attempt, Verdict: retrypolicy.VerdictFailed, Reason: fmt.Sprint("failure ", attempt)}
}

func verdicts(j *Journal) (v []string) {
	for _, o := range j.Outcomes {
		text := fmt.Sprint(o.Number, " ", o.Verdict)
		if o.BeforeReset {
			text += " before reset"
		}
		v = append(v, text)
	}
	return v
}

func TestOpenedCountsWhatLeftNoRecord(t *testing.T) {
	t.Parallel()
	declined := Unrecorded{Ended: &retrypolicy.Outcome{Verdict: retrypolicy.VerdictFailed, Reason: "declined"}}
	for _, tc := range []struct {
		name    string
		journal *Journal
		k       int32
		known   Unrecorded
		started int
		want    []string
	}{
		{"first server attempt, no journal", nil, 1, Unrecorded{}, 0, nil},
		{"no journal: the first server attempt may have started a body, later ones would have recorded theirs", nil, 4, Unrecorded{}, 1, []string{"1 lost"}},
		{"no journal, and it is known that there was no body", nil, 4, Unrecorded{None: true}, 0, nil},
		{"no journal, and it is known how the body ended", nil, 2, declined, 1, []string{"1 failed"}},
		{
			"recorded by the one before, nothing running",
			&Journal{Started: 2, ServerAttempt: 1, Outcomes: []retrypolicy.Outcome{failed(1), failed(2)}},
			2,
			Unrecorded{},
			2,
			[]string{"1 failed", "2 failed"},
		},
		{
			"a body was running at the record's time",
			&Journal{Started: 2, Running: 2, ServerAttempt: 1, Outcomes: []retrypolicy.Outcome{failed(1)}},
			2,
			Unrecorded{},
			2,
			[]string{"1 failed", "2 lost"},
		},
		{
			"a body was running, and it is known how it ended",
			&Journal{Started: 2, Running: 2, ServerAttempt: 1, Outcomes: []retrypolicy.Outcome{failed(1)}},
			2, declined, 2,
			[]string{"1 failed", "2 failed"},
		},
		{
			"server attempts without record in between: they started none",
			&Journal{Started: 1, ServerAttempt: 2, Outcomes: []retrypolicy.Outcome{failed(1)}},
			5,
			Unrecorded{},
			1,
			[]string{"1 failed"},
		},
		{
			"both",
			&Journal{Started: 2, Running: 2, ServerAttempt: 1, Outcomes: []retrypolicy.Outcome{failed(1)}},
			3,
			Unrecorded{},
			2,
			[]string{"1 failed", "2 lost"},
		},
		{
			"a lower number: reset",
			&Journal{Started: 2, ServerAttempt: 3, Outcomes: []retrypolicy.Outcome{failed(1), failed(2)}},
			1,
			Unrecorded{},
			0,
			[]string{"1 failed before reset", "2 failed before reset"},
		},
		{
			"the same number: reset too",
			&Journal{Started: 1, ServerAttempt: 1, Outcomes: []retrypolicy.Outcome{failed(1)}},
			1,
			Unrecorded{},
			0,
			[]string{"1 failed before reset"},
		},
		{
			"reset while a body ran",
			&Journal{Started: 2, Running: 2, ServerAttempt: 3, Outcomes: []retrypolicy.Outcome{failed(1)}},
			1,
			Unrecorded{},
			0,
			[]string{"1 failed before reset", "2 lost before reset"},
		},
		{
			"reset, and a server attempt without record since",
			&Journal{Started: 2, ServerAttempt: 3, Outcomes: []retrypolicy.Outcome{failed(1), failed(2)}},
			2,
			Unrecorded{},
			0,
			[]string{"1 failed before reset", "2 failed before reset"},
		},
		// A server attempt that runs when the activity is reset becomes
		// number 1, whatever it was told when it started; the next is 2.
		{
			"a record of the reset",
			&Journal{Started: 2, ServerAttempt: 1, ResetTo: 2, Outcomes: []retrypolicy.Outcome{failed(1), failed(2)}},
			2,
			Unrecorded{},
			0,
			[]string{"1 failed before reset", "2 failed before reset"},
		},
		{
			"a record of the reset by a later server attempt, and one without record since",
			&Journal{Started: 1, ServerAttempt: 5, ResetTo: 2, Outcomes: []retrypolicy.Outcome{failed(1)}},
			3,
			Unrecorded{},
			0,
			[]string{"1 failed before reset"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			j := Opened(tc.journal, tc.k, tc.known)
			assert.Equal(t, tc.started, j.Started)
			assert.Equal(t, tc.want, verdicts(j))
			assert.Zero(t, j.Running)
			assert.Equal(t, tc.k, j.ServerAttempt)
		})
	}
}

func TestAdoptedServerAttemptsAreTold(t *testing.T) {
	t.Parallel()
	j := Opened(nil, 8, Unrecorded{None: true})
	assert.EqualValues(t, 7, j.Adopted)
	s := &Spec{Method: "A.B", Foreign: true}
	j.Begin()
	d := s.Judge(j, nil, io.EOF, retrypolicy.Attempt{Number: 1}, fixed(), everywhere(), encoded)
	require.EqualError(t, d.Err, "EOF; gave up after 1 attempt: retries spent: beside 7 server attempt(s) that its policy did not govern")
	assert.EqualValues(t, 7, JournalOf(j.Document(), nil).Adopted, "on the next worker too")
}

func TestResetForgetsWhenTheFirstAttemptStarted(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	assert.True(t, Opened(&Journal{Started: 1, FirstStart: start, ServerAttempt: 2}, 1, Unrecorded{}).FirstStart.IsZero())
	assert.Equal(t, start, Opened(&Journal{Started: 1, FirstStart: start, ServerAttempt: 2}, 3, Unrecorded{}).FirstStart)
}

func TestOpenedNeverForgetsAStart(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		j := drawJournal(t)
		j.ResetTo = 0
		k := rapid.Int32Range(1, 60).Draw(t, "k")
		before, recordedBy := j.Started, j.ServerAttempt
		opened := Opened(j, k, Unrecorded{})
		if k <= recordedBy {
			require.Zero(t, opened.Started, "a reset is a new budget")
			return
		}
		require.Equal(t, before, opened.Started)
	})
}

func TestOldestOutcomesAreDroppedAndCounted(t *testing.T) {
	t.Parallel()
	var j Journal
	for n := 1; n <= MaxOutcomes+7; n++ {
		require.Equal(t, n, j.Begin())
		j.end(failed(0), DefaultJournalBytes)
	}
	assert.Equal(t, MaxOutcomes+7, j.Started)
	assert.Len(t, j.Outcomes, MaxOutcomes)
	assert.Equal(t, 7, j.LeftOut)
	assert.Equal(t, 8, j.Outcomes[0].Number)
}

func TestEarlierOutcomesLeaveOutTheOneThatIsJudged(t *testing.T) {
	t.Parallel()
	var j Journal
	assert.Empty(t, j.Earlier())
	j.Begin()
	assert.Empty(t, j.Earlier())
	j.end(failed(0), 0)
	assert.Empty(t, j.Earlier(), "filters of attempt 1")
	j.Begin()
	require.Len(t, j.Earlier(), 1, "the body of attempt 2")
	j.end(failed(0), 0)
	require.Len(t, j.Earlier(), 1, "filters of attempt 2")
	assert.Equal(t, 1, j.Earlier()[0].Number)
}

func TestResultsBeyondTheBudgetAreDroppedOldestFirst(t *testing.T) {
	t.Parallel()
	size := wire.Encode(strings.Repeat("x", 100)).Size()
	var j Journal
	for range 5 {
		j.Begin()
		j.end(retrypolicy.Outcome{Verdict: retrypolicy.VerdictRefused, Result: wire.Encode(strings.Repeat("x", 100))}, 2*size)
	}
	for i, o := range j.Outcomes {
		assert.Equal(t, i >= 3, o.Result != nil, "attempt %d", o.Number)
		assert.Equal(t, retrypolicy.VerdictRefused, o.Verdict, "the outcome itself stays")
	}
}

func TestNewestResultIsAlwaysKeptIfOnlyAsADigest(t *testing.T) {
	t.Parallel()
	var j Journal
	j.Begin()
	j.end(retrypolicy.Outcome{Verdict: retrypolicy.VerdictRefused, Result: wire.Encode(strings.Repeat("x", 1000))}, 100)
	require.Len(t, j.Outcomes, 1)
	_, err := retrypolicy.ResultOf[string](j.Outcomes[0])
	require.ErrorIs(t, err, wire.ErrNotKept)
	require.ErrorContains(t, err, "1002 bytes")
}

func TestJournalKeepsItsBounds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		budget := rapid.IntRange(60, 2000).Draw(t, "budget")
		var j Journal
		for range rapid.IntRange(1, 150).Draw(t, "attempts") {
			n := j.Begin()
			o := failed(0)
			if rapid.Bool().Draw(t, "refused") {
				o = retrypolicy.Outcome{Verdict: retrypolicy.VerdictRefused, Result: wire.Encode(strings.Repeat("x", rapid.IntRange(0, budget*3/2).Draw(t, "size")))}
			}
			j.end(o, budget)
			last := j.Outcomes[len(j.Outcomes)-1]
			require.Equal(t, n, last.Number)
			require.Equal(t, last.Verdict == retrypolicy.VerdictRefused, last.Result != nil, "the newest result is there")
			require.LessOrEqual(t, len(j.Outcomes), MaxOutcomes)
			require.Equal(t, n, len(j.Outcomes)+j.LeftOut, "every attempt is there, or counted as left out")
			used := 0
			for _, o := range j.Outcomes {
				if r, ok := o.Result.(*wire.Result); ok && r.Kept() {
					used += r.Size()
				}
			}
			require.LessOrEqual(t, used, budget)
		}
	})
}

// travel sends a journal to the server and back.
func (j *Journal) travel(t require.TestingT) *Journal {
	p, err := wire.Seal(wire.Journal, j.Document())
	require.NoError(t, err)
	var d wire.JournalDocument
	require.NoError(t, wire.Open(wire.Journal, p, &d))
	return JournalOf(d, nil)
}

func TestJournalSurvivesTheWire(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		j := drawJournal(t)
		j.FirstStart = time.Unix(0, rapid.Int64Range(0, math.MaxInt64).Draw(t, "first start")).UTC()
		require.Equal(t, j, j.travel(t))
	})
	assert.Equal(t, &Journal{}, (&Journal{}).travel(t), "an empty one too")
}

func TestJournalOnTheWireIsSmall(t *testing.T) {
	t.Parallel()
	data, err := json.Marshal((&Journal{Started: 1, Running: 1, ServerAttempt: 1}).Document())
	require.NoError(t, err)
	assert.JSONEq(t, `{"started":1,"running":1,"server_attempt":1}`, string(data))
}

func drawJournal(t *rapid.T) *Journal {
	j := &Journal{ResetTo: rapid.Int32Range(0, 2).Draw(t, "reset to"), ServerAttempt: rapid.Int32Range(1, 50).Draw(t, "server attempt"), LeftOut: rapid.IntRange(0, 5).Draw(t, "left out")}
	for range rapid.IntRange(0, 20).Draw(t, "attempts") {
		j.Begin()
		j.end(retrypolicy.Outcome{
			Verdict: rapid.SampledFrom([]retrypolicy.Verdict{retrypolicy.VerdictFailed, retrypolicy.VerdictRefused, retrypolicy.VerdictLost}).Draw(t, "verdict"),
			Reason:  rapid.SampledFrom([]string{"", "no", "日本"}).Draw(t, "reason"),
			Wait:    time.Duration(rapid.Int64Min(0).Draw(t, "wait")),
		}, DefaultJournalBytes)
	}
	if rapid.Bool().Draw(t, "running") {
		j.Begin()
	}
	return j
}

func TestHostileNumbersInAJournalAreTakenAsNone(t *testing.T) {
	t.Parallel()
	j := JournalOf(wire.JournalDocument{Started: -1, Running: -1, LeftOut: -1, ServerAttempt: -5}, nil)
	assert.Equal(t, &Journal{}, j)
	assert.Zero(t, Opened(j, 1, Unrecorded{}).Started, "no server attempt came before the first")
}

func TestOutcomesBeyondTheBoundInAJournalAreCountedAsLeftOut(t *testing.T) {
	t.Parallel()
	d := wire.JournalDocument{Started: 150, LeftOut: 3}
	for n := 1; n <= 150; n++ {
		d.Outcomes = append(d.Outcomes, wire.Outcome{Attempt: n})
	}
	j := JournalOf(d, nil)
	assert.Len(t, j.Outcomes, MaxOutcomes)
	assert.Equal(t, 51, j.Outcomes[0].Number)
	assert.Equal(t, 53, j.LeftOut)
}

func TestAbsurdCountInAJournalEndsTheCallAndDoesNotBeginAnew(t *testing.T) {
	t.Parallel()
	j := Opened(JournalOf(wire.JournalDocument{Started: math.MaxInt, ServerAttempt: 1}, nil), 3, Unrecorded{})
	assert.Positive(t, j.Started)
}

func FuzzJournal(f *testing.F) {
	f.Add([]byte(`{"started":2,"running":2,"first_start":"2026-01-02T03:04:05Z","server_attempt":1,"outcomes":[{"n":1,"verdict":"failed","reason":"x"}]}`), int32(2))
	f.Add([]byte(`{"started":-2,"running":-2,"server_attempt":0,"left_out":0}`), int32(1))
	f.Add([]byte(`{"started":1000000,"outcomes":[`+strings.Repeat(`{},`, 300)+`{}]}`), int32(7))
	f.Add([]byte(`{"outcomes":[{"n":-1,"wait_ns":-9223372036854775808,"result":{"text":"x","data":"AA=="}},null]}`), int32(1))
	f.Fuzz(func(t *testing.T, data []byte, k int32) {
		var d wire.JournalDocument
		if json.Unmarshal(data, &d) != nil {
			return
		}
		j := JournalOf(d, nil)
		if j.Started < 0 || j.Running < 0 || j.LeftOut < 0 || j.ServerAttempt < 0 || len(j.Outcomes) > MaxOutcomes {
			t.Fatalf("%+v", j)
		}
		k = min(max(k, 1), 10_000)
		before, reset := j.Started, j.ResetTo > 0 || k <= j.ServerAttempt
		j = Opened(j, k, Unrecorded{})
		if j.Running != 0 || len(j.Outcomes) > MaxOutcomes || !reset && j.Started < before {
			t.Fatalf("%+v", j)
		}
		if _, err := wire.Seal(wire.Journal, j.Document()); err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		spec := &Spec{Method: "A.B"}
		if _, end := spec.Resume(j, Resumption{Lost: true}, fixed()); (end == nil) != (j.Started == 0) || end != nil && failure.Final(end, nil) == nil {
			t.Fatalf("a spent call ends with an error, and no other: %v", end)
		}
	})
}
