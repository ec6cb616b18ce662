package retrypolicy_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/internal/retry"
	"github.com/concurry-go/concurry/retrypolicy"
)

var (
	errOverloaded = errors.New("overloaded")
	errNoCredit   = errors.New("no credit")
)

func withCases() retrypolicy.Policy {
	return retrypolicy.Policy{
		NumRetries: 2,
		Jitter:     retrypolicy.NoJitter,
		Cases: []retrypolicy.Case{
			{On: retrypolicy.ErrorIs(errNoCredit)},
			{On: retrypolicy.ErrorIs(errOverloaded), NumRetries: 10, Backoff: retrypolicy.Linear, Wait: 5 * time.Second, Jitter: retrypolicy.NoJitter},
			{On: retrypolicy.ErrorIs(errOverloaded, io.EOF), NumRetries: 1, MaxWait: time.Millisecond},
		},
	}
}

func TestFirstCaseThatMatchesIsTheErrors(t *testing.T) {
	t.Parallel()
	p := withCases()
	require.NoError(t, p.Check())
	for err, want := range map[error]int{
		errNoCredit:                               0,
		fmt.Errorf("call 7: %w", errOverloaded):   1,
		errors.Join(io.EOF, errOverloaded):        1,
		io.EOF:                                    2,
		io.ErrUnexpectedEOF:                       -1,
		retrypolicy.After(errNoCredit, time.Hour): 0,
	} {
		got, problem := retry.CaseOf(&p, err, retrypolicy.Attempt{})
		require.NoError(t, problem)
		assert.Equal(t, want, got, "%v", err)
	}
}

func TestCaseWaitsByItsOwnCurve(t *testing.T) {
	t.Parallel()
	p := withCases()
	for n, want := range []time.Duration{5 * time.Second, 10 * time.Second, 15 * time.Second} {
		assert.Equal(t, want, retry.CaseDelay(&p, 1, n+1, highest))
	}
	assert.Equal(t, time.Millisecond, retry.CaseDelay(&p, 2, 1, highest), "exponential from one second, cut")
	assert.Equal(t, 55*time.Second, retry.LongestCeiling(&p), "the slowest case, and one retry more")
	assert.Equal(t, 1+2+10+1, p.Attempts())
	assert.EqualValues(t, 14, retry.Temporal(&p).MaximumAttempts)
	assert.Equal(t, 55*time.Second, retry.Temporal(&p).MaximumInterval)
}

func TestCaseWhoseFilterPanicsIsNotTheErrors(t *testing.T) {
	t.Parallel()
	p := retrypolicy.Policy{Cases: []retrypolicy.Case{
		{On: func(error, retrypolicy.Attempt) bool { panic("out of cheese") }},
		{On: retrypolicy.ErrorIs(io.EOF)},
	}}
	got, problem := retry.CaseOf(&p, io.EOF, retrypolicy.Attempt{})
	assert.Equal(t, 1, got)
	require.ErrorContains(t, problem, "Cases[0].On panicked: out of cheese")
}

func TestCheckNamesTheFieldOfTheCase(t *testing.T) {
	t.Parallel()
	on := retrypolicy.ErrorIs(io.EOF)
	for want, c := range map[string]retrypolicy.Case{
		`Cases[1].On "nil": must be a filter`:                         {},
		`Cases[1].NumRetries -1: must be from 0`:                      {On: on, NumRetries: -1},
		`Cases[1].Backoff "cubic": must be "exponential"`:             {On: on, Backoff: retrypolicy.Algorithm("cubic")},
		`Cases[1].Wait -2ns: must be positive`:                        {On: on, Wait: -2},
		`Cases[1].MaxWait -1ns: must be positive`:                     {On: on, MaxWait: -1},
		`Cases[1].Jitter 77: must be FullJitter`:                      {On: on, Jitter: 77},
		`Cases "1000000 retries": must allow at most 1000000 retries`: {On: on, NumRetries: retrypolicy.MaxRetries},
	} {
		p := retrypolicy.Policy{NumRetries: 1, Cases: []retrypolicy.Case{{On: on}, c}}
		require.ErrorContains(t, p.Check(), want)
		assert.Len(t, fieldErrors(p.Check()), 1)
	}
	p := retrypolicy.Policy{MaxElapsed: -1}
	require.ErrorContains(t, p.Check(), "MaxElapsed -1ns: must be positive")
}

func TestCasesAreBounded(t *testing.T) {
	t.Parallel()
	p := retrypolicy.Policy{}
	for range retrypolicy.MaxCases + 1 {
		p.Cases = append(p.Cases, retrypolicy.Case{On: retrypolicy.ErrorIs(io.EOF)})
	}
	require.EqualError(t, p.Check(), `Cases "1001 of them": must be at most 1000`)
}
