package activityhost

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/concurry-go/concurry/internal/engine"
)

// FinishSessions of a worker with a StopTimeout of ten seconds, which is a second
// for answers.
func TestFinishSessionsReturnsWhenBodiesAreDone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		bodies func(b *sessionBodies)
		want   time.Duration
	}{
		"none":     {func(*sessionBodies) {}, 0},
		"long ago": {func(b *sessionBodies) { b.add(1, time.Time{}); b.add(-1, time.Now().Add(-time.Minute)) }, 0},
		"one that has just ended": {func(b *sessionBodies) {
			b.add(1, time.Time{})
			b.add(-1, time.Now())
		}, time.Second},
		"one that ends": {func(b *sessionBodies) {
			b.add(1, time.Time{})
			go func() { time.Sleep(3 * time.Second); b.add(-1, time.Now()) }()
		}, 4 * time.Second},
		"two, one after the other": {func(b *sessionBodies) {
			b.add(1, time.Time{})
			go func() {
				time.Sleep(3 * time.Second)
				b.add(-1, time.Now())
				time.Sleep(time.Second / 2)
				b.add(1, time.Time{})
				time.Sleep(time.Second)
				b.add(-1, time.Now())
			}()
		}, 5*time.Second + time.Second/2},
		"one that goes on": {func(b *sessionBodies) { b.add(1, time.Time{}) }, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := &Host{Clock: engine.Clock{}.WithDefaults(), StopTimeout: 10 * time.Second}
				before := h.bodies.stops()
				c.bodies(&h.bodies)
				assert.False(t, closed(before))
				start := time.Now()
				h.FinishSessions()
				assert.Equal(t, c.want, time.Since(start))
				assert.True(t, closed(before), "bodies are told")
				assert.True(t, closed(h.bodies.stops()), "later ones too")
			})
		})
	}
}
