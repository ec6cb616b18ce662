package activityhost

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.temporal.io/sdk/interceptor"

	"github.com/concurry-go/concurry/internal/engine"
)

// The plugin of a client refines its workers, as far as their own says nothing.
func TestHostTakesOverWhatTheClientsWasRefinedWith(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	refined := func(n int64, before time.Time) *Host {
		h := &Host{Clock: engine.Clock{Random: func(int64) int64 { return n }}}
		h.AdoptBefore = before
		return h
	}
	for name, test := range map[string]struct {
		own    *Host
		random int64
		before time.Time
	}{
		"its own says nothing": {&Host{}, 1, day},
		"its own decides":      {refined(2, day.AddDate(0, 0, 1)), 2, day.AddDate(0, 0, 1)},
	} {
		clients := refined(1, day)
		rest := test.own.Replace([]interceptor.WorkerInterceptor{clients.Interceptor()})
		assert.Len(t, rest, 1, name)
		assert.Equal(t, test.random, test.own.Clock.Random(10), name)
		assert.Equal(t, test.before, test.own.AdoptBefore, name)
	}
}
