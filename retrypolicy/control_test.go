package retrypolicy_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/internal/marks"
	"github.com/concurry-go/concurry/retrypolicy"
)

func TestMarksOfNoErrorAreNoError(t *testing.T) {
	t.Parallel()
	require.NoError(t, retrypolicy.Permanent(nil))
	require.NoError(t, retrypolicy.After(nil, time.Second))
	require.NoError(t, marks.Unmark(nil))
	assert.False(t, retrypolicy.IsPermanent(nil))
	_, ok := retrypolicy.DelayOf(nil)
	assert.False(t, ok)
}

func TestMarksAreTransparent(t *testing.T) {
	t.Parallel()
	original := fmt.Errorf("read: %w", &statusError{429})
	for name, marked := range map[string]error{
		"Permanent": retrypolicy.Permanent(original),
		"After":     retrypolicy.After(original, time.Second),
		"both":      retrypolicy.After(retrypolicy.Permanent(original), time.Second),
	} {
		assert.Equal(t, original.Error(), marked.Error(), name)
		require.ErrorIs(t, marked, original, name)
		var status *statusError
		require.ErrorAs(t, marked, &status, name)
		assert.Equal(t, original, errors.Unwrap(retrypolicy.Permanent(original)), name)
	}
}

func TestUnmarkTakesOffTheOutermostMarksOnly(t *testing.T) {
	t.Parallel()
	original := errors.New("original")
	marked := retrypolicy.After(retrypolicy.Permanent(retrypolicy.After(original, 1)), 2)
	assert.Same(t, original, marks.Unmark(marked))
	assert.Same(t, original, marks.Unmark(original))
	wrapped := fmt.Errorf("x: %w", marked)
	assert.Same(t, wrapped, marks.Unmark(wrapped), "what stands around a mark stays")
}

func TestIsPermanent(t *testing.T) {
	t.Parallel()
	retryable := temporal.NewApplicationError("x", "T")
	final := temporal.NewNonRetryableApplicationError("x", "T", nil)
	for _, tc := range []struct {
		name string
		err  error
		want bool
	}{
		{"plain", io.EOF, false},
		{"marked", retrypolicy.Permanent(io.EOF), true},
		{"marked and wrapped", fmt.Errorf("x: %w", retrypolicy.Permanent(io.EOF)), true},
		{"marked within After", retrypolicy.After(retrypolicy.Permanent(io.EOF), 1), true},
		{"marked and joined", errors.Join(io.EOF, retrypolicy.Permanent(io.EOF)), true},
		{"After alone", retrypolicy.After(io.EOF, 1), false},
		{"retryable application error", retryable, false},
		{"retryable application error, marked", retrypolicy.Permanent(retryable), true},
		{"non-retryable application error", final, true},
		{"non-retryable application error, wrapped", fmt.Errorf("x: %w", final), true},
		{"the outermost application error decides", temporal.NewApplicationErrorWithCause("x", "T", final), false},
		{"a mark inside an application error", temporal.NewApplicationErrorWithCause("x", "T", retrypolicy.Permanent(io.EOF)), true},
	} {
		assert.Equal(t, tc.want, retrypolicy.IsPermanent(tc.err), tc.name)
	}
}

func TestDelayOf(t *testing.T) {
	t.Parallel()
	app := func(d time.Duration) error {
		return temporal.NewApplicationErrorWithOptions("x", "T", temporal.ApplicationErrorOptions{NextRetryDelay: d})
	}
	for _, tc := range []struct {
		name  string
		err   error
		delay time.Duration
		ok    bool
	}{
		{"plain", io.EOF, 0, false},
		{"After", retrypolicy.After(io.EOF, 3*time.Second), 3 * time.Second, true},
		{"After, wrapped", fmt.Errorf("x: %w", retrypolicy.After(io.EOF, 3*time.Second)), 3 * time.Second, true},
		{"After of nothing is at once", retrypolicy.After(io.EOF, 0), 0, true},
		{"After of a negative delay is at once", retrypolicy.After(io.EOF, math.MinInt64), 0, true},
		{"no wait is longer than the longest", retrypolicy.After(io.EOF, math.MaxInt64), retrypolicy.MaxDuration, true},
		{"the outermost After wins", retrypolicy.After(retrypolicy.After(io.EOF, 1), 2), 2, true},
		{"application error", app(4 * time.Second), 4 * time.Second, true},
		{"application error, wrapped", fmt.Errorf("x: %w", app(4*time.Second)), 4 * time.Second, true},
		{"application error without delay", app(0), 0, false},
		{"application error, negative", app(-1), 0, false},
		{"After wins over the application error in it", retrypolicy.After(app(4*time.Second), time.Second), time.Second, true},
		{"Permanent asks for none", retrypolicy.Permanent(io.EOF), 0, false},
	} {
		delay, ok := retrypolicy.DelayOf(tc.err)
		assert.Equal(t, tc.ok, ok, tc.name)
		assert.Equal(t, tc.delay, delay, tc.name)
	}
}

type backpressure struct{ delay time.Duration }

func (e *backpressure) Error() string             { return "busy" }
func (e *backpressure) RetryAfter() time.Duration { return e.delay } // panics for a nil pointer

func TestDelayOfIsWhatACarrierInTheChainAsksFor(t *testing.T) {
	t.Parallel()
	var none *backpressure
	for _, tc := range []struct {
		name string
		err  error
		want time.Duration
		told bool
	}{
		{"carrier", fmt.Errorf("x: %w", &backpressure{3 * time.Second}), 3 * time.Second, true},
		{"one that leaves it open", &backpressure{0}, 0, false},
		{"a negative delay", &backpressure{-1}, 0, false},
		{"a nil pointer", none, 0, false},
		{"After wins, whatever is inside", retrypolicy.After(&backpressure{time.Hour}, time.Second), time.Second, true},
		{"joined", errors.Join(io.EOF, &backpressure{time.Minute}), time.Minute, true},
	} {
		got, told := retrypolicy.DelayOf(tc.err)
		assert.Equal(t, tc.want, got, tc.name)
		assert.Equal(t, tc.told, told, tc.name)
	}
}

func TestAfterHeaderReadsSecondsAndDates(t *testing.T) {
	t.Parallel()
	const date, later = "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:51:07 GMT"
	for _, tc := range []struct {
		retryAfter, date string
		want             time.Duration
		told             bool
	}{
		{"120", "", 2 * time.Minute, true},
		{" 0 ", "", 0, true},
		{"99999999999999999999999", "", retrypolicy.MaxDuration, true},
		{later, date, 90 * time.Second, true},
		{date, later, 0, true},
		{"Sunday, 06-Nov-94 08:51:07 GMT", date, 90 * time.Second, true},
		{"Sun Nov  6 08:51:07 1994", date, 90 * time.Second, true},
		{"Fri, 31 Dec 9999 23:59:59 GMT", date, retrypolicy.MaxDuration, true},
		{date, "", 0, true}, // long past, by this machine's clock
		{"", date, 0, false},
		{"-1", date, 0, false},
		{"1.5", date, 0, false},
		{"soon", date, 0, false},
	} {
		h := http.Header{}
		if tc.retryAfter != "" {
			h.Set("Retry-After", tc.retryAfter)
		}
		if tc.date != "" {
			h.Set("Date", tc.date)
		}
		err := retrypolicy.AfterHeader(io.EOF, h)
		require.ErrorIs(t, err, io.EOF)
		got, told := retrypolicy.DelayOf(err)
		assert.Equal(t, tc.told, told, "%q", tc.retryAfter)
		assert.Equal(t, tc.want, got, "%q", tc.retryAfter)
	}
	require.NoError(t, retrypolicy.AfterHeader(nil, http.Header{"Retry-After": {"1"}}))
	assert.Equal(t, io.EOF, retrypolicy.AfterHeader(io.EOF, nil))
}

func TestAfterHeaderCountsFromThisMachinesClockWithoutADate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := http.Header{"Retry-After": {time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat)}}
		got, told := retrypolicy.DelayOf(retrypolicy.AfterHeader(io.EOF, h))
		assert.True(t, told)
		assert.Equal(t, 90*time.Second, got)
	})
}

func FuzzAfterHeader(f *testing.F) {
	f.Add("120", "")
	f.Add("Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT")
	f.Fuzz(func(t *testing.T, retryAfter, date string) {
		err := retrypolicy.AfterHeader(io.EOF, http.Header{"Retry-After": {retryAfter}, "Date": {date}})
		if d, _ := retrypolicy.DelayOf(err); d < 0 || d > retrypolicy.MaxDuration {
			t.Fatalf("%q is %v", retryAfter, d)
		}
	})
}
