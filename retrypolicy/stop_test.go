package retrypolicy_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/internal/failure"
	"github.com/concurry-go/concurry/internal/marks"
	"github.com/concurry-go/concurry/retrypolicy"
)

// found is the StopError that StopOf finds, nil if there is none.
func found(err error) *retrypolicy.StopError {
	if stop, ok := retrypolicy.StopOf(err); ok {
		return &stop
	}
	return nil
}

func TestStopErrorKeepsTheLastErrorAndSaysWhyItWasNotRetried(t *testing.T) {
	t.Parallel()
	err := &retrypolicy.StopError{Stop: retrypolicy.StopBudget, Attempts: 3, Detail: "the retry budget is spent", Err: fmt.Errorf("read: %w", io.EOF)}
	require.EqualError(t, err, "read: EOF; gave up after 3 attempts: retry budget: the retry budget is spent")
	require.ErrorIs(t, err, io.EOF)
	stop, ok := retrypolicy.StopOf(fmt.Errorf("step 2: %w", err))
	assert.True(t, ok)
	assert.Equal(t, retrypolicy.StopBudget, stop.Stop)
	require.ErrorIs(t, fmt.Errorf("step 2: %w", err), retrypolicy.StopBudget)
	require.NotErrorIs(t, err, retrypolicy.StopSpent)
	require.EqualError(t, &retrypolicy.StopError{Stop: retrypolicy.StopCallTimeout, Attempts: 1, Detail: "no time"}, "gave up after 1 attempt: call timeout: no time")

	err = &retrypolicy.StopError{Stop: retrypolicy.StopSpent, Attempts: 4, Err: io.EOF}
	require.EqualError(t, err, "EOF", "in this process StopOf tells the rest")
}

func TestMessageOnTheWireSaysHowManyAttemptsThereWereAndWhyNoMore(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err  retrypolicy.StopError
		want string
	}{
		{retrypolicy.StopError{Stop: retrypolicy.StopSpent, Attempts: 4}, "503; gave up after 4 attempts: retries spent"},
		{retrypolicy.StopError{Stop: retrypolicy.StopPermanent, Attempts: 1}, "503; gave up after 1 attempt: permanent"},
		{retrypolicy.StopError{Stop: retrypolicy.StopBudget, Attempts: 2, Detail: "none left"}, "503; gave up after 2 attempts: retry budget: none left"},
		{retrypolicy.StopError{Stop: retrypolicy.StopSpent, Attempts: 1}, "503"}, // it was never to have more
	} {
		assert.Equal(t, tc.want, failure.Explain(&tc.err, "503"))
	}
}

func TestStopIsFoundBehindTheWire(t *testing.T) {
	t.Parallel()
	c := temporal.GetDefaultFailureConverter()
	for _, stopped := range []*retrypolicy.StopError{
		{Stop: retrypolicy.StopMaxElapsed, Attempts: 2, Detail: "too late: by far"},
		{Stop: retrypolicy.StopSpent, Attempts: 4},
	} {
		err := temporal.NewApplicationErrorWithOptions(failure.Explain(stopped, "EOF"), "T", temporal.ApplicationErrorOptions{
			Cause: failure.OfStop(stopped, errors.New("EOF")),
		})
		got := found(fmt.Errorf("activity: %w", c.FailureToError(c.ErrorToFailure(err))))
		assert.Equal(t, stopped, got)
	}
}

func TestStopOfAPanicIsFoundInItsText(t *testing.T) {
	t.Parallel()
	c := temporal.GetDefaultFailureConverter()
	arrived := func(text string) error {
		f := c.ErrorToFailure(temporal.NewApplicationError(text, "PanicError"))
		return c.FailureToError(f)
	}
	for _, stopped := range []*retrypolicy.StopError{
		{Stop: retrypolicy.StopSpent, Attempts: 4},
		{Stop: retrypolicy.StopPermanent, Attempts: 1},
		{Stop: retrypolicy.StopBudget, Attempts: 2, Detail: "of the last 3 attempts: 3 were retries"},
	} {
		assert.Equal(t, stopped, found(arrived(failure.Explain(stopped, "panic: boom"))))
	}
	for _, text := range []string{"panic: boom", "panic: x; gave up after many attempts: retries spent", "panic: x; gave up after 2 attempts: tired", "; gave up after "} {
		assert.Nil(t, found(arrived(text)), text)
	}
}

func TestEndOfAnotherCallDecidesNothing(t *testing.T) {
	t.Parallel()
	c := temporal.GetDefaultFailureConverter()
	spent := &retrypolicy.StopError{Stop: retrypolicy.StopSpent, Attempts: 2}
	submitted := c.FailureToError(c.ErrorToFailure(temporal.NewApplicationErrorWithOptions("503", "T", temporal.ApplicationErrorOptions{
		NonRetryable: true, Cause: failure.OfStop(spent, nil),
	})))
	marked := retrypolicy.Permanent(retrypolicy.After(io.EOF, time.Hour))
	for name, end := range map[string]error{
		"in process, governed":     &retrypolicy.StopError{Stop: retrypolicy.StopPermanent, Attempts: 1, Err: fmt.Errorf("x: %w", marked)},
		"in process, not governed": failure.EndOfCall(fmt.Errorf("x: %w", marked)),
		"submitted":                submitted,
	} {
		for _, err := range []error{end, fmt.Errorf("inner: %w", end), errors.Join(io.ErrNoProgress, end)} {
			assert.False(t, retrypolicy.IsPermanent(err), name)
			_, told := retrypolicy.DelayOf(err)
			assert.False(t, told, name)
			assert.True(t, retrypolicy.IsPermanent(retrypolicy.Permanent(err)), "%s: the method's own wish counts", name)
		}
	}
	assert.True(t, retrypolicy.IsPermanent(fmt.Errorf("x: %w", temporal.NewNonRetryableApplicationError("x", "T", nil))))
	assert.Equal(t, io.EOF, failure.EndOfCall(io.EOF), "there is nothing to hide")
}

// selfish is its own cause.
type selfish struct{}

func (selfish) Error() string   { return "selfish" }
func (s selfish) Unwrap() error { return s }

func TestChainsWithoutEndAreNotWalkedForEver(t *testing.T) {
	t.Parallel()
	deep := retrypolicy.Permanent(io.EOF)
	for range 20_000 {
		deep = fmt.Errorf("x: %w", deep)
	}
	for _, err := range []error{selfish{}, deep} {
		assert.False(t, retrypolicy.IsPermanent(err))
		_, told := retrypolicy.DelayOf(err)
		assert.False(t, told)
		assert.Nil(t, found(err))
		assert.False(t, retrypolicy.IsLost(err))
	}
}

func TestOtherErrorsHaveNoStop(t *testing.T) {
	t.Parallel()
	for _, err := range []error{nil, io.EOF, temporal.NewApplicationError("x", "T"), temporal.NewApplicationError("x", marks.StopType)} {
		_, ok := retrypolicy.StopOf(err)
		assert.False(t, ok, "%v", err)
	}
}

// A worker whose FailureConverter encodes details, and a program without that.
func TestStopIsFoundThoughItsDetailsAreEncoded(t *testing.T) {
	t.Parallel()
	zipped := converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), converter.NewZlibCodec(converter.ZlibCodecOptions{AlwaysEncode: true}))
	workers := temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{DataConverter: zipped})
	stopped := &retrypolicy.StopError{Stop: retrypolicy.StopBudget, Attempts: 3, Detail: "of the last 3 attempts: 3 were retries"}
	f := workers.ErrorToFailure(temporal.NewApplicationErrorWithOptions(failure.Explain(stopped, "503"), "T", temporal.ApplicationErrorOptions{
		NonRetryable: true, Cause: failure.OfStop(stopped, nil),
	}))
	assert.Equal(t, stopped, found(temporal.GetDefaultFailureConverter().FailureToError(f)))
	assert.Equal(t, stopped, found(workers.FailureToError(f)))
}
