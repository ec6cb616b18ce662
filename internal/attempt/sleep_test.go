package attempt

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"go.temporal.io/sdk/interceptor"
)

// unstopped is an activity whose worker goes on.
type unstopped struct {
	interceptor.ActivityOutboundInterceptorBase
}

func (*unstopped) GetWorkerStopChannel(context.Context) <-chan struct{} { return nil }

// All of them found room a moment ago: who takes it is decided when they lie
// down.
func TestNoMoreThanAQuarterOfTheSlotsFallAsleepAtTheSameMoment(t *testing.T) {
	t.Parallel()
	for slots, most := range map[int]int{1: 1, 4: 1, 7: 1, 8: 2, 100: 25, 0: 100} {
		synctest.Test(t, func(t *testing.T) {
			host := &Host{Clock: Clock{}.WithDefaults(), Slots: slots}
			var mu sync.Mutex
			var slept int
			var all sync.WaitGroup
			for range 100 {
				all.Go(func() {
					e := &execution{host: host}
					e.out.Next = &unstopped{}
					left, ok := e.sleep(t.Context(), time.Minute)
					mu.Lock()
					defer mu.Unlock()
					if ok {
						slept++
					} else {
						assert.Equal(t, time.Minute, left, "handed over as a whole")
					}
				})
			}
			all.Wait()
			assert.Equal(t, most, slept, "%d slots", slots)
			assert.Zero(t, host.sleeping.Load())
		})
	}
}
