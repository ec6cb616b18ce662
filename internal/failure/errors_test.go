package failure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"pgregory.net/rapid"

	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

type busyError struct{ code int }

func (e *busyError) Error() string { return fmt.Sprint("busy ", e.code) }

type valueError string

func (e valueError) Error() string { return string(e) }

type info struct {
	Code int
	Hint string
}

// arrive sends err to a server as an activity's failure, and back to a caller.
func arrive(t require.TestingT, err error) error {
	c := temporal.GetDefaultFailureConverter()
	failure := c.ErrorToFailure(err)
	require.NotNil(t, failure.GetApplicationFailureInfo(), "the server drops other failures of activities")
	data, problem := failure.Marshal()
	require.NoError(t, problem, "the server would not take it")
	require.LessOrEqual(t, len(data), maxFailure)
	return c.FailureToError(failure)
}

func arriveApp(t require.TestingT, err error) *temporal.ApplicationError {
	var app *temporal.ApplicationError
	require.ErrorAs(t, arrive(t, err), &app)
	return app
}

func TestTypeOf(t *testing.T) {
	t.Parallel()
	app := temporal.NewApplicationError("x", "Busy")
	for name, tc := range map[string]struct {
		err  error
		want string
	}{
		"errors.New":                     {io.EOF, ""},
		"fmt.Errorf":                     {fmt.Errorf("x %d", 1), ""},
		"fmt.Errorf around errors.New":   {fmt.Errorf("x: %w", io.EOF), ""},
		"pointer type":                   {&busyError{1}, "busyError"},
		"value type":                     {valueError("x"), "valueError"},
		"wrapped":                        {fmt.Errorf("x: %w", &busyError{1}), "busyError"},
		"wrapped twice":                  {fmt.Errorf("y: %w", fmt.Errorf("x: %w", &busyError{1})), "busyError"},
		"Permanent":                      {retrypolicy.Permanent(&busyError{1}), "busyError"},
		"After":                          {retrypolicy.After(&busyError{1}, time.Second), "busyError"},
		"After of Permanent of fmt":      {retrypolicy.After(retrypolicy.Permanent(fmt.Errorf("x: %w", valueError("x"))), 1), "valueError"},
		"a type that wraps by itself":    {&net.OpError{Op: "dial", Err: io.EOF}, "OpError"},
		"several wrapped by fmt":         {fmt.Errorf("%w, %w", io.EOF, io.ErrUnexpectedEOF), "wrapErrors"},
		"joined":                         {errors.Join(io.EOF), "joinError"},
		"application error":              {app, "Busy"},
		"application error, wrapped":     {fmt.Errorf("x: %w", app), "Busy"},
		"application error without type": {temporal.NewApplicationError("x", ""), ""},
		"the outer application error":    {temporal.NewApplicationErrorWithCause("x", "Outer", app), "Outer"},
		"panic":                          {&PanicError{Value: "x"}, "PanicError"},
		"panic, wrapped":                 {fmt.Errorf("x: %w", &PanicError{Value: "x"}), "PanicError"},
		"refusal":                        {&RefusedError{Reason: &busyError{1}}, "ResultRefused"},
		"deadline":                       {context.DeadlineExceeded, "deadlineExceededError"},
	} {
		assert.Equal(t, tc.want, TypeOf(tc.err), name)
	}
}

func TestLastErrorArrivesWithItsTypeAndMessage(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err           error
		kind, message string
	}{
		"plain":                {errors.New("plain"), "", "plain"},
		"typed":                {&busyError{7}, "busyError", "busy 7"},
		"wrapped":              {fmt.Errorf("calling: %w", &busyError{7}), "busyError", "calling: busy 7"},
		"marked":               {retrypolicy.Permanent(retrypolicy.After(&busyError{7}, time.Hour)), "busyError", "busy 7"},
		"application error":    {temporal.NewApplicationError("too busy", "Busy"), "Busy", "too busy"},
		"non-retryable":        {temporal.NewNonRetryableApplicationError("too busy", "Busy", nil), "Busy", "too busy"},
		"marked, application":  {retrypolicy.Permanent(temporal.NewApplicationError("too busy", "Busy")), "Busy", "too busy"},
		"wrapped, application": {fmt.Errorf("calling: %w", temporal.NewApplicationError("too busy", "Busy")), "Busy", "calling: too busy (type: Busy, retryable: true)"},
		"invalid UTF-8":        {errors.New("a\xffb"), "", "a\uFFFDb"},
		"bare timeout":         {temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_HEARTBEAT, errors.New("inner")), "TimeoutError", "Test timeout (type: Heartbeat): inner"},
		"bare cancellation":    {temporal.NewCanceledError(), "CanceledError", "canceled"},
		"abandoned":            {ErrAbandoned, "", ErrAbandoned.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := arriveApp(t, Final(tc.err, nil))
			assert.Equal(t, tc.kind, app.Type())
			assert.Equal(t, tc.message, app.Message())
			assert.True(t, app.NonRetryable(), "the server must not retry what the engine ended")
			assert.Zero(t, app.NextRetryDelay())
			assert.Equal(t, temporal.ApplicationErrorCategoryUnspecified, app.Category())
		})
	}
}

func TestLastErrorArrivesWithItsCause(t *testing.T) {
	t.Parallel()
	cause := temporal.NewApplicationError("inner", "Inner", info{Code: 1})
	app := arriveApp(t, Final(temporal.NewApplicationErrorWithCause("outer", "Outer", cause), nil))
	var inner *temporal.ApplicationError
	require.ErrorAs(t, app.Unwrap(), &inner)
	assert.Equal(t, "Inner", inner.Type())
	var got info
	require.NoError(t, inner.Details(&got))
	assert.Equal(t, info{Code: 1}, got)

	app = arriveApp(t, Final(fmt.Errorf("reading: %w", &busyError{3}), nil))
	require.ErrorContains(t, app.Unwrap(), "busy 3")
}

func TestLastErrorArrivesWithItsDetails(t *testing.T) {
	t.Parallel()
	original := temporal.NewApplicationError("x", "Busy", info{429, "slow down"}, "second", 3)
	travelled := arrive(t, original)
	for name, err := range map[string]error{
		"made here":                  original,
		"made here, wrapped":         fmt.Errorf("x: %w", original),
		"made here, marked":          retrypolicy.Permanent(original),
		"from another call":          travelled,
		"from another call, wrapped": fmt.Errorf("x: %w", travelled),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var (
				first  info
				second string
				third  int
			)
			require.NoError(t, arriveApp(t, Final(err, nil)).Details(&first, &second, &third))
			assert.Equal(t, info{429, "slow down"}, first)
			assert.Equal(t, "second", second)
			assert.Equal(t, 3, third)
		})
	}
}

func TestDetailThatIsNilKeepsItsPlace(t *testing.T) {
	t.Parallel()
	var first, second *info
	require.NoError(t, arriveApp(t, Final(temporal.NewApplicationError("x", "T", nil, info{Code: 1}), nil)).Details(&first, &second))
	assert.Nil(t, first)
	assert.Equal(t, &info{Code: 1}, second)
}

func TestUsersBenignErrorStaysBenign(t *testing.T) {
	t.Parallel()
	err := temporal.NewApplicationErrorWithOptions("x", "T", temporal.ApplicationErrorOptions{Category: temporal.ApplicationErrorCategoryBenign})
	assert.Equal(t, temporal.ApplicationErrorCategoryBenign, arriveApp(t, Final(err, nil)).Category())
}

func TestDetailsThatCannotBeEncodedArriveAsText(t *testing.T) {
	t.Parallel()
	var first, second string
	var third info
	err := temporal.NewApplicationError("broken", "Broken", make(chan int), math.NaN(), info{Code: 4})
	app := arriveApp(t, Final(err, nil))
	assert.Equal(t, "Broken", app.Type())
	require.NoError(t, app.Details(&first, &second, &third))
	assert.Contains(t, first, "chan int that cannot be encoded")
	assert.Contains(t, second, "float64 that cannot be encoded")
	assert.Equal(t, info{Code: 4}, third, "the others arrive as they are")
}

func TestInvalidTextDoesNotCostTheDetails(t *testing.T) {
	t.Parallel()
	app := arriveApp(t, Final(temporal.NewApplicationError("a\xffb", "T", info{Code: 4}), nil))
	assert.Equal(t, "a\uFFFDb", app.Message())
	var got info
	require.NoError(t, app.Details(&got))
	assert.Equal(t, info{Code: 4}, got)
}

func TestFailureTooLargeForTheServerIsCut(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("e", 8<<20)
	for name, err := range map[string]error{
		"message": errors.New(large),
		"cause":   fmt.Errorf("x: %w", errors.New(large)),
		"details": temporal.NewApplicationError("x", "T", large),
		"refused": Refused("A.B", 1, []retrypolicy.Outcome{{Number: 1, Verdict: retrypolicy.VerdictRefused, Reason: large, Result: wire.Encode(large)}}, 0),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.NotEmpty(t, arriveApp(t, Final(err, nil)).Message())
			assert.Less(t, len(arriveApp(t, HandBack(err, 1)).Error()), 4*wire.MaxReason, "what is retried stays small")
		})
	}
	assert.Contains(t, arriveApp(t, Final(errors.New(large), nil)).Message(), "(8388608 bytes)")
}

func TestPanicArrivesAsAPanicWithItsStack(t *testing.T) {
	t.Parallel()
	var err error
	func() {
		defer Recovered(&err)
		panic("out of cheese")
	}()
	sent := Final(err, nil)
	var app *temporal.ApplicationError
	require.ErrorAs(t, sent, &app)
	var stack string
	require.NoError(t, app.Details(&stack))
	assert.Contains(t, stack, "errors_test.go")
	var p *temporal.PanicError
	require.ErrorAs(t, arrive(t, sent), &p)
	require.ErrorContains(t, p, "panic: out of cheese")
}

func TestPanicWithAnErrorIsThatErrorForFilters(t *testing.T) {
	t.Parallel()
	var err error
	func() {
		defer Recovered(&err)
		panic(fmt.Errorf("x: %w", io.EOF))
	}()
	require.ErrorIs(t, err, io.EOF)
}

func TestRefusalsAndLostAttemptsArrive(t *testing.T) {
	t.Parallel()
	e := Refused("A.B", 2, []retrypolicy.Outcome{{Number: 1, Verdict: retrypolicy.VerdictRefused, Reason: "no", Result: wire.Encode("r")}}, 0)
	for _, err := range []error{e, fmt.Errorf("x: %w", e)} {
		var got *validation.RetryValidationError
		require.True(t, validation.As(arrive(t, Final(err, nil)), &got))
		last, problem := validation.Last[string](got)
		require.NoError(t, problem)
		assert.Equal(t, "r", last)
	}
	app := arriveApp(t, Final(&retrypolicy.StopError{Stop: retrypolicy.StopSpent, Attempts: 2, Err: &LostError{Method: "A.B", Lost: []int{1, 2}}}, nil))
	assert.Equal(t, "AttemptLost", app.Type())
	assert.True(t, app.NonRetryable())
	assert.Equal(t, "A.B: attempts 1, 2 left no outcome: its worker was shut down, killed or cut off; gave up after 2 attempts: retries spent", app.Message())
}

func TestHandedBackFailureIsRetriedAfterTheDelayAndNoiseToNobody(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ delay, want time.Duration }{{3 * time.Second, 3 * time.Second}, {0, 1}, {-1, 1}} {
		app := arriveApp(t, HandBack(retrypolicy.After(&busyError{1}, time.Hour), tc.delay))
		assert.Equal(t, tc.want, app.NextRetryDelay(), "0 would mean unset")
		assert.False(t, app.NonRetryable())
		assert.Equal(t, temporal.ApplicationErrorCategoryBenign, app.Category())
		assert.Equal(t, "busyError", app.Type())
		assert.Equal(t, "busy 1", app.Message())
	}
}

// Whatever a method returns, the server takes the answer: a failure that it
// drops would leave the call hanging until a timeout.
func TestEveryErrorIsDeliverable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		err := drawError(t, 2)
		arrive(t, Final(err, nil))
		arrive(t, HandBack(err, 0))
	})
}

func TestErrorTypeThatTheServerWouldNotTakeIsMadeFit(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"invalid UTF-8": temporal.NewApplicationError("x", "a\xffb"),
		"of a cause":    temporal.NewApplicationErrorWithCause("x", "T", temporal.NewApplicationError("y", "a\xffb")),
		"large":         temporal.NewApplicationError("x", strings.Repeat("T", 2<<20)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			arrive(t, Final(err, nil))
			arrive(t, HandBack(err, 0))
		})
	}
}

func drawError(t *rapid.T, depth int) error {
	text := func() string {
		return rapid.SampledFrom([]string{"", "plain", "日本", "a\xffb", strings.Repeat("x", 1<<20)}).Draw(t, "text")
	}
	if depth == 0 {
		return errors.New(text())
	}
	switch rapid.IntRange(0, 8).Draw(t, "kind") {
	case 0:
		return fmt.Errorf("%s: %w", text(), drawError(t, depth-1))
	case 1:
		return errors.Join(drawError(t, depth-1), drawError(t, depth-1))
	case 2:
		return retrypolicy.Permanent(drawError(t, depth-1))
	case 3:
		return temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_START_TO_CLOSE, drawError(t, depth-1), text())
	case 4:
		return temporal.NewCanceledError(text())
	case 5:
		return &PanicError{Value: drawError(t, depth-1), Stack: []byte(text())}
	case 6:
		return valueError(text())
	default:
		return temporal.NewApplicationErrorWithOptions(text(), rapid.SampledFrom([]string{"", "Busy"}).Draw(t, "type"), temporal.ApplicationErrorOptions{
			NonRetryable: rapid.Bool().Draw(t, "non-retryable"),
			Cause:        drawError(t, depth-1),
			Details:      rapid.SampledFrom([][]any{nil, {"x"}, {make(chan int)}, {math.NaN(), nil, info{}}, {strings.Repeat("d", 1<<20)}}).Draw(t, "details"),
		})
	}
}
