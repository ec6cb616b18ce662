package validation_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/internal/failure"
	"github.com/concurry-go/concurry/internal/marks"
	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

// travel sends err to a Temporal server and back.
func travel(t *testing.T, err error) error {
	t.Helper()
	c := temporal.GetDefaultFailureConverter()
	failure := c.ErrorToFailure(err)
	_, problem := failure.Marshal()
	require.NoError(t, problem, "the server would not take it")
	return c.FailureToError(failure)
}

func find(t *testing.T, err error) *validation.RetryValidationError {
	t.Helper()
	var rve *validation.RetryValidationError
	require.True(t, validation.As(err, &rve), "%v", err)
	return rve
}

func TestAsFindsTheErrorWhereverItComesFrom(t *testing.T) {
	t.Parallel()
	e := mixed()
	e.LeftOut = 2
	overTheWire := travel(t, failure.OfRefused(e, e.Error()))
	for name, err := range map[string]error{
		"a call in this process":           e,
		"wrapped":                          fmt.Errorf("generate: %w", e),
		"joined":                           errors.Join(io.EOF, e),
		"not travelled yet":                failure.OfRefused(e, e.Error()),
		"over the wire":                    overTheWire,
		"over the wire, wrapped":           fmt.Errorf("generate: %w", overTheWire),
		"over the wire, joined, second":    errors.Join(temporal.NewApplicationError("x", "T"), overTheWire),
		"a cause":                          temporal.NewApplicationErrorWithCause("outer", "Outer", overTheWire),
		"a cause, over the wire":           travel(t, temporal.NewApplicationErrorWithCause("outer", "Outer", failure.OfRefused(e, e.Error()))),
		"a cause of a cause":               travel(t, temporal.NewApplicationErrorWithCause("1", "T", temporal.NewApplicationErrorWithCause("2", "", overTheWire))),
		"over a second wire":               travel(t, overTheWire),
		"wrapped between two wire crosses": travel(t, fmt.Errorf("workflow: %w", overTheWire)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := find(t, err)
			assert.Equal(t, "LLM.Generate", got.MethodName)
			assert.Equal(t, 5, got.Attempts)
			assert.Equal(t, e.ValidationErrors, got.ValidationErrors)
			assert.Equal(t, 2, got.LeftOut)
			assert.Equal(t, e.Error(), got.Error())
			all, problem := validation.Results[reply](got)
			require.NoError(t, problem)
			assert.Equal(t, []reply{{"a", 0.1}, {"b", 0.7}}, all)
			require.Len(t, got.Outcomes, 5)
			for i, o := range got.Outcomes {
				want := e.Outcomes[i]
				want.Result, o.Result = nil, nil
				assert.Equal(t, want, o)
			}
		})
	}
}

func TestTravellingErrorIsOneTheServerDoesNotRetry(t *testing.T) {
	t.Parallel()
	var app *temporal.ApplicationError
	require.ErrorAs(t, travel(t, failure.OfRefused(mixed(), mixed().Error())), &app)
	assert.Equal(t, "RetryValidationError", app.Type())
	assert.True(t, app.NonRetryable())
	assert.Equal(t, mixed().Error(), app.Message())
	assert.Equal(t, temporal.ApplicationErrorCategoryUnspecified, app.Category())
}

func TestTravellingTextIsCutAndValid(t *testing.T) {
	t.Parallel()
	e := failure.Refused("A.B", 1, []retrypolicy.Outcome{refused(1, strings.Repeat("\xffx", 1<<20), "r")}, 0)
	err := travel(t, failure.OfRefused(e, e.Error()))
	assert.Less(t, len(err.Error()), 8<<10)
	got := find(t, err)
	assert.LessOrEqual(t, len(got.ValidationErrors[0]), wire.MaxReason)
	last, problem := validation.Last[string](got)
	require.NoError(t, problem)
	assert.Equal(t, "r", last)
}

func TestAsIsFalseForOtherErrors(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"nil":                        nil,
		"plain":                      io.EOF,
		"application error":          temporal.NewApplicationError("x", "Other"),
		"nested application errors":  temporal.NewApplicationErrorWithCause("x", "A", temporal.NewApplicationErrorWithCause("y", "B", io.EOF)),
		"joined":                     errors.Join(io.EOF, io.ErrUnexpectedEOF),
		"a message that names it":    errors.New("RetryValidationError"),
		"timeout, over the wire":     travel(t, temporal.NewHeartbeatTimeoutError()),
		"cancelled, over the wire":   travel(t, temporal.NewCanceledError()),
		"plain error, over the wire": travel(t, io.EOF),
	} {
		before := mixed()
		target := before
		assert.False(t, validation.As(err, &target), name)
		assert.Same(t, before, target, "%s: the target is left alone", name)
	}
}

func TestAsPanicsWithoutATarget(t *testing.T) {
	t.Parallel()
	assert.PanicsWithValue(t, "validation: As: target must be a non-nil pointer", func() { validation.As(mixed(), nil) })
}

func TestForeignErrorOfTheSameTypeIsFoundWithWhatItsMessageTells(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"without details":     temporal.NewApplicationError("no answer was good", marks.RefusedType),
		"with its own":        temporal.NewApplicationError("no answer was good", marks.RefusedType, map[string]any{"attempts": 3}, "x"),
		"details of no value": temporal.NewApplicationError("no answer was good", marks.RefusedType, nil),
	} {
		for _, e := range []error{err, travel(t, err)} {
			got := find(t, e)
			assert.Equal(t, []string{"no answer was good"}, got.ValidationErrors, name)
			assert.Zero(t, got.Attempts, name)
			assert.Empty(t, got.Outcomes, name)
			_, problem := validation.Last[reply](got)
			require.ErrorIs(t, problem, got, name)
		}
	}
}

func TestUnknownFormatVersionIsNeverMisread(t *testing.T) {
	t.Parallel()
	p := &commonpb.Payload{
		Metadata: map[string][]byte{wire.MarkKey: []byte("refusals/2"), converter.MetadataEncoding: []byte("json/plain")},
		Data:     []byte(`{"method":"A.B","attempts":7,"outcomes":[{"n":1,"verdict":"refused"}]}`),
	}
	err := travel(t, temporal.NewApplicationError("A.B: no valid result", marks.RefusedType, converter.NewRawValue(p)))
	got := find(t, err)
	assert.Zero(t, got.Attempts)
	assert.Empty(t, got.Outcomes)
	require.Len(t, got.ValidationErrors, 2)
	assert.Equal(t, "A.B: no valid result", got.ValidationErrors[0])
	assert.Contains(t, got.ValidationErrors[1], `"refusals/2"`)
	assert.Contains(t, got.ValidationErrors[1], "upgrade")
}

func TestBrokenDetailsAreFoundWithWhatTheMessageTells(t *testing.T) {
	t.Parallel()
	p := &commonpb.Payload{Metadata: map[string][]byte{wire.MarkKey: []byte("refusals/1")}, Data: []byte(`{"attempts":"many"`)}
	got := find(t, travel(t, temporal.NewApplicationError("message", marks.RefusedType, converter.NewRawValue(p))))
	assert.Equal(t, "message", got.ValidationErrors[0])
	assert.Zero(t, got.Attempts)
}

// kept is a result of a call in this process, as it is.
type kept struct{ v any }

func (k kept) Get(ptr any) error {
	switch p := ptr.(type) {
	case *any:
		*p = k.v
	case *reply:
		*p, _ = k.v.(reply)
	}
	return nil
}

func TestResultsOfACallInThisProcessTravelToo(t *testing.T) {
	t.Parallel()
	e := failure.Refused("A.B", 1, []retrypolicy.Outcome{{Number: 1, Verdict: retrypolicy.VerdictRefused, Reason: "no", Result: kept{reply{"a", 1}}}}, 0)
	got, err := validation.Last[reply](find(t, travel(t, failure.OfRefused(e, e.Error()))))
	require.NoError(t, err)
	assert.Equal(t, reply{"a", 1}, got)
}
