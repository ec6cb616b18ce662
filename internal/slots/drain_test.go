package slots

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"go.temporal.io/sdk/worker"
)

// took is how long f takes on the bubble's clock.
func took(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

func TestClosingWaitsForPollsThatMayBringATask(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		open []time.Duration // for how long polls have been open
		want time.Duration
	}{
		"no poll":                     {nil, 0},
		"a poll just begun":           {[]time.Duration{0}, idleAfter},
		"some of its time is over":    {[]time.Duration{300 * time.Millisecond}, idleAfter - 300*time.Millisecond},
		"the queue is empty":          {[]time.Duration{time.Hour, 10 * time.Second}, atLeast},
		"the youngest of some decide": {[]time.Duration{time.Hour, 400 * time.Millisecond}, idleAfter - 400*time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tuner := newSupplier(9, 9).tuner(Options{})
				before := time.Duration(0)
				for i, open := range tc.open {
					if i > 0 {
						time.Sleep(before - open)
					}
					poll(t, tuner.Activities(false))
					before = open
				}
				time.Sleep(before)
				assert.Equal(t, tc.want, took(func() { tuner.Close(time.Minute) }))
				assert.Zero(t, took(func() { tuner.Close(time.Minute); tuner.Drain(time.Minute) }), "it is closed")
			})
		})
	}
}

func TestClosingEndsWhenPollsHaveBroughtTasksOrNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tuner := newSupplier(9, 9).tuner(Options{})
		w := tuner.Activities(false)
		brings, empty := poll(t, w), poll(t, w)
		go func() {
			time.Sleep(10 * time.Millisecond)
			release(w, empty)
			time.Sleep(10 * time.Millisecond)
			use(w, brings)
		}()
		assert.Equal(t, 20*time.Millisecond+settling, took(func() { tuner.Close(time.Minute) }), "the SDK looks once more whether it stops")
	})
}

// Of two polls that have been open for long, the second one's task may come as
// soon after the first one's as that came.
func TestQueueThatBringsTasksIsNotEmpty(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		second, want time.Duration // after the first
	}{
		"soon":  {300 * time.Millisecond, 500*time.Millisecond + settling},
		"late":  {700 * time.Millisecond, 900*time.Millisecond + settling},
		"never": {time.Hour, 200*time.Millisecond + idleAfter},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tuner := newSupplier(9, 9).tuner(Options{})
				w := tuner.Activities(false)
				first, second := poll(t, w), poll(t, w)
				time.Sleep(time.Minute)
				go func() {
					time.Sleep(200 * time.Millisecond)
					use(w, first)
					time.Sleep(tc.second)
					use(w, second)
				}()
				assert.Equal(t, tc.want, took(func() { tuner.Close(time.Minute) }))
				time.Sleep(2 * time.Hour)
			})
		})
	}
}

// Three tasks have come; one begins each second.
func TestClosingWaitsForTasksThatTheWorkersRateHoldsBack(t *testing.T) {
	t.Parallel()
	for most, want := range map[time.Duration]time.Duration{
		time.Minute:             3*time.Second + settling,
		1500 * time.Millisecond: 1500 * time.Millisecond,
		0:                       idleAfter,
	} {
		synctest.Test(t, func(t *testing.T) {
			tuner := newSupplier(9, 9).tuner(Options{Rate: 1})
			w := tuner.Activities(false)
			use(w, poll(t, w))
			permits := []func(){}
			for range 3 {
				p := poll(t, w)
				permits = append(permits, func() { use(w, p) })
			}
			go func() {
				for _, begin := range permits {
					time.Sleep(time.Second)
					begin()
				}
			}()
			assert.Equal(t, want, took(func() { tuner.Close(most) }), "%v", most)
			time.Sleep(time.Minute)
		})
	}
}

func TestPollsOfIdleQueueAreNotWaitedForWhereARateHasRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tuner := newSupplier(9, 9).tuner(Options{Rate: 0.1})
		w := tuner.Activities(false)
		use(w, poll(t, w))
		poll(t, w)
		time.Sleep(11 * time.Second)
		assert.Equal(t, atLeast, took(func() { tuner.Close(time.Minute) }))
	})
}

func TestClosedWorkerTakesNoMoreSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSupplier(2, 2)
		tuner := s.tuner(Options{})
		w := tuner.Activities(false)
		permits := busy(t, w, 2)
		type answer struct {
			got bool
			err error
		}
		ctx, cancel := context.WithCancel(t.Context())
		answers := make(chan answer, 2)
		reserve := func() {
			p, err := w.ReserveSlot(ctx, reservation{})
			answers <- answer{p != nil, err}
		}
		go reserve() // waits for a slot when it is closed
		time.Sleep(time.Second)
		assert.Zero(t, took(func() { tuner.Close(time.Minute) }))
		go reserve()
		release(w, permits[0])
		synctest.Wait()
		assert.Empty(t, answers, "both wait for the end: an error would be logged, and tried again")
		assert.Nil(t, w.TryReserveSlot(reservation{}), "nor for eager activities")
		assert.Len(t, s.free, 1, "the slot is nobody's")
		cancel()
		assert.Equal(t, answer{false, context.Canceled}, <-answers)
		assert.Equal(t, answer{false, context.Canceled}, <-answers)
	})
}

// stubborn is a supplier that goes on reserving when it should not.
type stubborn struct{ *supplier }

func (s stubborn) ReserveSlot(context.Context, worker.SlotReservationInfo) (*worker.SlotPermit, error) {
	<-s.free
	return &worker.SlotPermit{}, nil
}

func TestSlotThatIsGrantedInTheLastMomentIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSupplier(0, 1)
		tuner := NewTuner(compose(t, stubborn{s}), Options{})
		w := tuner.Activities(false)
		go func() {
			p, _ := w.ReserveSlot(t.Context(), reservation{})
			time.Sleep(100 * time.Millisecond)
			use(w, p)
		}()
		go func() {
			time.Sleep(500 * time.Millisecond)
			s.grow(1)
		}()
		synctest.Wait()
		assert.Equal(t, 600*time.Millisecond+settling, took(func() { tuner.Close(time.Minute) }))
	})
}

func TestOtherTasksAreWaitedForToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tuner := newSupplier(9, 9).tuner(Options{})
		poll(t, tuner.workflows)
		assert.Equal(t, idleAfter, took(func() { tuner.Close(time.Minute) }))
	})
	synctest.Test(t, func(t *testing.T) {
		tuner := NewTuner(newSupplier(9, 9).composite(newSupplier(9, 9)), Options{})
		poll(t, tuner.Activities(true))
		assert.Equal(t, idleAfter, took(func() { tuner.Close(time.Minute) }), "those of sessions")
	})
}

func TestSessionsAreRefusedByAWorkerThatStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tuner := newSupplier(9, 9).tuner(Options{Sessions: true})
		time.Sleep(time.Minute)
		assert.True(t, tuner.SessionBegins())
		tuner.Close(time.Minute)
		assert.False(t, tuner.SessionBegins(), "another worker should begin it")
		go func() {
			time.Sleep(100 * time.Millisecond)
			assert.False(t, tuner.SessionBegins())
		}()
		assert.Equal(t, 100*time.Millisecond, took(func() { tuner.Drain(time.Minute) }), "the one poll there is has brought something")
	})
	synctest.Test(t, func(t *testing.T) {
		tuner := newSupplier(9, 9).tuner(Options{Sessions: true})
		time.Sleep(time.Minute)
		assert.Equal(t, atLeast, took(func() { tuner.Drain(time.Minute) }), "the queue is empty")
	})
}
