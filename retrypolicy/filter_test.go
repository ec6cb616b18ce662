package retrypolicy_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/internal/retry"
	"github.com/concurry-go/concurry/retrypolicy"
)

type statusError struct{ code int }

func (e *statusError) Error() string   { return fmt.Sprintf("status %d", e.code) }
func (e *statusError) Temporary() bool { return e.code == 503 }

type codeError int

func (e codeError) Error() string { return fmt.Sprintf("code %d", int(e)) }

func TestFiltersSayYesToWhatTheyName(t *testing.T) {
	t.Parallel()
	nested := temporal.NewApplicationErrorWithCause("outer", "Outer", fmt.Errorf("between: %w",
		temporal.NewApplicationErrorWithCause("inner", "Inner", io.EOF)))
	for _, tc := range []struct {
		name   string
		filter retrypolicy.Filter
		err    error
		want   bool
	}{
		{"ErrorIs, itself", retrypolicy.ErrorIs(io.EOF), io.EOF, true},
		{"ErrorIs, wrapped", retrypolicy.ErrorIs(io.EOF), fmt.Errorf("read: %w", io.EOF), true},
		{"ErrorIs, one of several", retrypolicy.ErrorIs(fs.ErrExist, io.EOF), io.EOF, true},
		{"ErrorIs, joined", retrypolicy.ErrorIs(io.EOF), errors.Join(fs.ErrExist, io.EOF), true},
		{"ErrorIs, another", retrypolicy.ErrorIs(io.EOF), io.ErrUnexpectedEOF, false},
		{"ErrorIs, same text", retrypolicy.ErrorIs(io.EOF), errors.New("EOF"), false},
		{"ErrorIs, under a mark", retrypolicy.ErrorIs(io.EOF), retrypolicy.After(io.EOF, 1), true},

		{"ErrorAs, pointer type", retrypolicy.ErrorAs[*statusError](), &statusError{429}, true},
		{"ErrorAs, pointer type, wrapped", retrypolicy.ErrorAs[*statusError](), fmt.Errorf("x: %w", &statusError{429}), true},
		{"ErrorAs, pointer type, another", retrypolicy.ErrorAs[*net.OpError](), &statusError{429}, false},
		{"ErrorAs, value type", retrypolicy.ErrorAs[codeError](), fmt.Errorf("x: %w", codeError(7)), true},
		{"ErrorAs, value type, another", retrypolicy.ErrorAs[codeError](), io.EOF, false},
		{"ErrorAs, interface", retrypolicy.ErrorAs[interface{ Temporary() bool }](), &statusError{503}, true},
		{"ErrorAs, interface nobody has", retrypolicy.ErrorAs[interface{ Temporary() bool }](), io.EOF, false},
		{"ErrorAs, net.Error", retrypolicy.ErrorAs[net.Error](), &net.DNSError{IsTimeout: true}, true},

		{"ErrorType, itself", retrypolicy.ErrorType("Busy"), temporal.NewApplicationError("x", "Busy"), true},
		{"ErrorType, wrapped", retrypolicy.ErrorType("Busy"), fmt.Errorf("x: %w", temporal.NewApplicationError("x", "Busy")), true},
		{"ErrorType, outer of two", retrypolicy.ErrorType("Outer"), nested, true},
		{"ErrorType, inner of two", retrypolicy.ErrorType("Inner"), nested, true},
		{"ErrorType, one of several", retrypolicy.ErrorType("Other", "Inner"), nested, true},
		{"ErrorType, joined, second", retrypolicy.ErrorType("B"), errors.Join(temporal.NewApplicationError("x", "A"), temporal.NewApplicationError("y", "B")), true},
		{"ErrorType, joined, none", retrypolicy.ErrorType("C"), errors.Join(temporal.NewApplicationError("x", "A"), temporal.NewApplicationError("y", "B")), false},
		{"ErrorType, another", retrypolicy.ErrorType("Third"), nested, false},
		{"ErrorType, no application error", retrypolicy.ErrorType("EOF", ""), io.EOF, false},

		{"If", retrypolicy.If(func(err error, a retrypolicy.Attempt) bool { return a.Number == 2 && err == io.EOF }), io.EOF, true},
		{"Not, yes to no", retrypolicy.Not(retrypolicy.ErrorIs(io.EOF)), fs.ErrExist, true},
		{"Not, no to yes", retrypolicy.Not(retrypolicy.ErrorIs(io.EOF)), io.EOF, false},
		{"Not of Not", retrypolicy.Not(retrypolicy.Not(retrypolicy.ErrorIs(io.EOF))), io.EOF, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tc.want, tc.filter(tc.err, retrypolicy.Attempt{Number: 2}))
		})
	}
}

func TestWithoutFiltersEveryErrorIsRetried(t *testing.T) {
	t.Parallel()
	for _, on := range [][]retrypolicy.Filter{nil, {}} {
		p := retrypolicy.Policy{RetryOn: on}
		yes, problem := retry.Wanted(&p, errors.New("anything"), retrypolicy.Attempt{})
		assert.True(t, yes)
		assert.NoError(t, problem)
	}
}

func TestFiltersAreAskedInOrderUntilOneSaysYes(t *testing.T) {
	t.Parallel()
	var asked []string
	say := func(name string, answer bool) retrypolicy.Filter {
		return func(error, retrypolicy.Attempt) bool { asked = append(asked, name); return answer }
	}
	p := retrypolicy.Policy{RetryOn: []retrypolicy.Filter{say("a", false), say("b", true), say("c", true)}}
	yes, problem := retry.Wanted(&p, io.EOF, retrypolicy.Attempt{})
	assert.True(t, yes)
	require.NoError(t, problem)
	assert.Equal(t, []string{"a", "b"}, asked)

	asked = nil
	p.RetryOn = []retrypolicy.Filter{say("a", false), say("b", false)}
	yes, problem = retry.Wanted(&p, io.EOF, retrypolicy.Attempt{})
	assert.False(t, yes)
	require.NoError(t, problem)
	assert.Equal(t, []string{"a", "b"}, asked)
}

func TestFilterThatPanicsCountsAsNoAndIsReportedWhileLaterOnesAreAsked(t *testing.T) {
	t.Parallel()
	boom := func(error, retrypolicy.Attempt) bool { panic("out of cheese") }
	p := retrypolicy.Policy{RetryOn: []retrypolicy.Filter{retrypolicy.ErrorIs(fs.ErrExist), boom, retrypolicy.ErrorIs(io.EOF)}}
	yes, problem := retry.Wanted(&p, io.EOF, retrypolicy.Attempt{})
	assert.True(t, yes)
	require.ErrorContains(t, problem, "RetryOn[1] panicked: out of cheese")
	require.ErrorContains(t, problem, "filter_test.go", "the stack says where")

	p.RetryOn = []retrypolicy.Filter{boom, boom}
	yes, problem = retry.Wanted(&p, io.EOF, retrypolicy.Attempt{})
	assert.False(t, yes)
	require.ErrorContains(t, problem, "RetryOn[0] panicked")
	require.ErrorContains(t, problem, "RetryOn[1] panicked")

	p.RetryOn = []retrypolicy.Filter{retrypolicy.Not(boom)}
	yes, _ = retry.Wanted(&p, io.EOF, retrypolicy.Attempt{})
	assert.False(t, yes, "Not of a filter that panics is no yes")
}

func TestFiltersAreNotAskedAboutPermanentErrors(t *testing.T) {
	t.Parallel()
	p := retrypolicy.Policy{RetryOn: []retrypolicy.Filter{func(error, retrypolicy.Attempt) bool { t.Error("asked"); return true }}}
	for _, err := range []error{
		retrypolicy.Permanent(io.EOF),
		fmt.Errorf("x: %w", retrypolicy.Permanent(io.EOF)),
		temporal.NewNonRetryableApplicationError("x", "T", nil),
	} {
		yes, problem := retry.Wanted(&p, err, retrypolicy.Attempt{})
		assert.False(t, yes, "%v", err)
		assert.NoError(t, problem)
	}
}

func TestFiltersSeeTheErrorAndTheAttempt(t *testing.T) {
	t.Parallel()
	want := retrypolicy.Attempt{Number: 3, Method: "LLM.Generate", Past: fakeCall{elapsed: 7}}
	p := retrypolicy.Policy{RetryOn: []retrypolicy.Filter{retrypolicy.If(func(err error, a retrypolicy.Attempt) bool {
		assert.Equal(t, io.EOF, err)
		assert.Equal(t, want, a)
		return true
	})}}
	yes, _ := retry.Wanted(&p, io.EOF, want)
	assert.True(t, yes)
}

func TestFiltersWithNothingToLookForAreRefused(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]retrypolicy.Filter{
		"ErrorIs without targets":     retrypolicy.ErrorIs(),
		"ErrorIs of nil":              retrypolicy.ErrorIs(nil),
		"ErrorAs of what is no error": retrypolicy.ErrorAs[string](),
		"ErrorType without types":     retrypolicy.ErrorType(),
		"If without a predicate":      retrypolicy.If(nil),
		"Not of nothing":              retrypolicy.Not(nil),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := retrypolicy.Policy{RetryOn: []retrypolicy.Filter{f}}
			require.ErrorContains(t, p.Check(), "RetryOn[0]")
		})
	}
}
