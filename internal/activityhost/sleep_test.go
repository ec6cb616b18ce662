package activityhost

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"

	"github.com/concurry-go/concurry/internal/engine"
	"github.com/concurry-go/concurry/internal/slots"
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
	for most, of := range map[int]int{0: 3, 1: 7, 2: 8, 25: 100} {
		synctest.Test(t, func(t *testing.T) {
			tuner, err := worker.NewFixedSizeTuner(worker.FixedSizeTunerOptions{NumActivitySlots: of})
			require.NoError(t, err)
			host := &Host{Clock: engine.Clock{}.WithDefaults(), Tuner: slots.NewTuner(tuner, slots.Options{})}
			var mu sync.Mutex
			var slept int
			var all sync.WaitGroup
			for range 100 {
				all.Go(func() {
					e := &execution{host: host}
					e.out.Next = &unstopped{}
					left, ok := e.sleep(t.Context(), time.Minute, errors.New("x"))
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
			assert.Equal(t, most, slept, "%d slots", of)
			assert.Equal(t, most > 0, host.slotsOf(&activity.Info{}).Room(), "all have got up")
		})
	}
}

// shrinking is a supplier of slots that get fewer.
type shrinking struct {
	worker.SlotSupplier
	slots atomic.Int64
}

func (s *shrinking) Slots() (int, bool)               { return int(s.slots.Load()), true }
func (*shrinking) ReleaseSlot(worker.SlotReleaseInfo) {}

type released struct{ worker.SlotReleaseInfo }

func (released) Permit() *worker.SlotPermit { return nil }

// A wait leaves for the server where there is no room any more, unless the
// caller's options leave the server nothing.
func TestWaitInPlaceLeavesWhereTheSlotsGetFewer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		supplier := &shrinking{}
		supplier.slots.Store(8)
		composite, err := worker.NewCompositeTuner(worker.CompositeTunerOptions{ActivitySlotSupplier: supplier})
		require.NoError(t, err)
		host := &Host{Clock: engine.Clock{}.WithDefaults(), Tuner: slots.NewTuner(composite, slots.Options{})}
		type woken struct {
			left time.Duration
			ok   bool
		}
		sleep := func(p *temporal.RetryPolicy) chan woken {
			e := &execution{host: host, info: activity.Info{RetryPolicy: p, Attempt: 1}}
			e.out.Next = &unstopped{}
			up := make(chan woken, 1)
			go func() {
				left, ok := e.sleep(t.Context(), time.Minute, errors.New("x"))
				up <- woken{left, ok}
			}()
			return up
		}
		leaves, stays := sleep(nil), sleep(&temporal.RetryPolicy{MaximumAttempts: 1})
		time.Sleep(20 * time.Second)
		supplier.slots.Store(0)
		host.slotsOf(&activity.Info{}).ReleaseSlot(released{})
		assert.Equal(t, woken{40 * time.Second, false}, <-leaves)
		assert.Equal(t, woken{0, true}, <-stays)
	})
}
