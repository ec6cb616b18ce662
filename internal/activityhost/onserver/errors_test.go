package onserver_test

import (
	"context"
	"errors"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

// diskError is an error of a type of its own.
type diskError struct{ disk string }

func (e *diskError) Error() string { return "no room on " + e.disk }

// failureRow is a row of docs/errors.md: what callers get where.
type failureRow struct {
	name       string
	body       func(context.Context, int, string) (string, error)
	options    activity.Options
	validators []validation.Validator[string]
	// local checks the error in process, besides its text.
	local func(t *testing.T, err error)
	// types are those of the application errors in the chain behind the wire, from
	// the call's own on.
	text  string
	types []string
	stop  retrypolicy.Stop
}

func failureRows(t *testing.T) []failureRow {
	t.Helper()
	none := limits.MustNew(limits.Resource("connections", 1))
	_, err := none.TryAcquire(limits.Units{"connections": 1})
	require.NoError(t, err)
	once := retrypolicy.Policy{NumRetries: 1, Wait: time.Millisecond}
	filtered := once
	filtered.RetryOn = []retrypolicy.Filter{retrypolicy.ErrorIs(context.Canceled)}
	fails := func(context.Context, int, string) (string, error) { return "", &diskError{"sda"} }
	isDisk := func(t *testing.T, err error) {
		t.Helper()
		_, ok := errors.AsType[*diskError](err)
		assert.True(t, ok)
	}
	return []failureRow{
		{
			name: "failed", body: fails, options: activity.Options{Retry: once}, local: isDisk, stop: retrypolicy.StopSpent,
			text: "no room on sda; gave up after 2 attempts: retries spent", types: []string{"diskError", "RetryStopped"},
		},
		{
			name: "not to be retried", body: fails, options: activity.Options{Retry: filtered}, local: isDisk, stop: retrypolicy.StopFiltered,
			text: "no room on sda; gave up after 1 attempt: not retried by any filter", types: []string{"diskError", "RetryStopped"},
		},
		{
			name:    "panicked",
			body:    func(context.Context, int, string) (string, error) { panic("out of cheese") },
			options: activity.Options{Retry: once}, local: func(*testing.T, error) {}, stop: retrypolicy.StopSpent,
			text: "panic: out of cheese; gave up after 2 attempts: retries spent",
		},
		{
			name:       "refused",
			body:       func(context.Context, int, string) (string, error) { return "hm", nil },
			options:    activity.Options{Retry: once},
			validators: []validation.Validator[string]{func(string, retrypolicy.Attempt) error { return errors.New("too short") }},
			local:      func(*testing.T, error) {}, stop: retrypolicy.StopSpent,
			text: "Scripted.Do: no valid result in 2 attempt(s): too short", types: []string{"RetryValidationError", "RetryStopped"},
		},
		{
			name:    "out of time",
			body:    func(ctx context.Context, _ int, _ string) (string, error) { <-ctx.Done(); return "", ctx.Err() },
			options: activity.Options{Retry: once, CallTimeout: 3 * time.Second},
			local: func(t *testing.T, err error) {
				t.Helper()
				assert.ErrorIs(t, err, context.DeadlineExceeded)
				assert.ErrorContains(t, err, "CallTimeout 3s")
			},
			stop: retrypolicy.StopCallTimeout, text: "context deadline exceeded (CallTimeout 3s); gave up after 1 attempt: call timeout",
			types: []string{"deadlineExceededError", "RetryStopped", "deadlineExceededError"},
		},
		{
			name: "no room in limits", body: fails,
			options: activity.Options{Limits: none, Requires: limits.Units{"connections": 1}, Retry: retrypolicy.Policy{InPlace: time.Millisecond}, CallTimeout: 3 * time.Second},
			local: func(t *testing.T, err error) {
				t.Helper()
				wait, ok := errors.AsType[*limits.WaitError](err)
				assert.True(t, ok && wait.Names[0] == "connections")
			},
			stop: retrypolicy.StopLimits, text: "no room for connections", types: []string{"LimitWait", "RetryStopped"},
		},
	}
}

func TestErrorsThatCallersGet(t *testing.T) {
	t.Parallel()
	for _, row := range failureRows(t) {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, e := range []Engine{Sync, InPlace} {
				t.Run(string(e), func(t *testing.T) {
					t.Parallel()
					impl := &Scripted{Body: row.body}
					d, do := ScriptedWith(row.options, row.validators...)
					_, err := Run(t, e, d, do, impl, "x")
					require.Error(t, err)
					stop, ok := retrypolicy.StopOf(err)
					assert.True(t, ok)
					assert.Equal(t, row.stop, stop.Stop)
					var rve *validation.RetryValidationError
					assert.Equal(t, len(row.validators) > 0, validation.As(err, &rve))
					if e == Sync {
						assert.ErrorIs(t, err, row.stop)
						row.local(t, err)
						return
					}
					require.ErrorContains(t, err, row.text)
					if row.types == nil {
						_, ok := errors.AsType[*temporal.PanicError](err)
						assert.True(t, ok)
						return
					}
					var types []string
					for app := (*temporal.ApplicationError)(nil); errors.As(err, &app); err = app.Unwrap() {
						types = append(types, app.Type())
					}
					assert.Equal(t, row.types, types)
				})
			}
		})
	}
}

// The table for users and the one for maintainers name the same types.
func TestTablesOfErrorsAgree(t *testing.T) {
	t.Parallel()
	read := func(path string) string {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		return string(text)
	}
	users, maintainers := read("../../../docs/errors.md"), read("../../failure/doc.go")
	named := map[string]bool{"AttemptLost": true} // by the crash table
	for _, row := range failureRows(t) {
		for _, name := range row.types {
			if regexp.MustCompile(`^[A-Z]`).MatchString(name) {
				named[name] = true
			}
		}
	}
	for name := range named {
		assert.Contains(t, users, "`"+name+"`")
		assert.Contains(t, maintainers, name)
	}
}
