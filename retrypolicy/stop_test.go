package retrypolicy_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/retrypolicy"
)

func TestStopErrorKeepsTheLastErrorAndSaysWhyItWasNotRetried(t *testing.T) {
	t.Parallel()
	err := &retrypolicy.StopError{Stop: retrypolicy.StopBudget, Detail: "the retry budget is spent", Err: fmt.Errorf("read: %w", io.EOF)}
	require.EqualError(t, err, "read: EOF; not retried: the retry budget is spent")
	require.ErrorIs(t, err, io.EOF)
	stop, ok := retrypolicy.StopOf(fmt.Errorf("step 2: %w", err))
	assert.True(t, ok)
	assert.Equal(t, retrypolicy.StopBudget, stop)
	require.EqualError(t, &retrypolicy.StopError{Detail: "no time"}, "not retried: no time")
}

func TestStopIsFoundBehindTheWire(t *testing.T) {
	t.Parallel()
	stopped := &retrypolicy.StopError{Stop: retrypolicy.StopMaxElapsed, Detail: "too late"}
	err := temporal.NewApplicationErrorWithOptions("EOF; not retried: too late", "T", temporal.ApplicationErrorOptions{
		Cause: stopped.ToTemporal(errors.New("EOF")),
	})
	c := temporal.GetDefaultFailureConverter()
	stop, ok := retrypolicy.StopOf(fmt.Errorf("activity: %w", c.FailureToError(c.ErrorToFailure(err))))
	assert.True(t, ok)
	assert.Equal(t, retrypolicy.StopMaxElapsed, stop)
}

func TestOtherErrorsHaveNoStop(t *testing.T) {
	t.Parallel()
	for _, err := range []error{nil, io.EOF, temporal.NewApplicationError("x", "T"), temporal.NewApplicationError("x", retrypolicy.StopType)} {
		_, ok := retrypolicy.StopOf(err)
		assert.False(t, ok, "%v", err)
	}
}
