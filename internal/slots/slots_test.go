package slots

import (
	"context"
	"log/slog"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
)

// supplier hands out slots while there are some.
type supplier struct {
	free chan struct{} // of as many as there are now
	most int           // what it says
}

func newSupplier(slots, most int) *supplier {
	s := &supplier{free: make(chan struct{}, 1000), most: most}
	s.grow(slots)
	return s
}

func (s *supplier) grow(slots int) {
	for range slots {
		s.free <- struct{}{}
	}
}

func (s *supplier) ReserveSlot(ctx context.Context, _ worker.SlotReservationInfo) (*worker.SlotPermit, error) {
	select {
	case <-s.free:
		return &worker.SlotPermit{UserData: s}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *supplier) TryReserveSlot(worker.SlotReservationInfo) *worker.SlotPermit {
	select {
	case <-s.free:
		return &worker.SlotPermit{UserData: s}
	default:
		return nil
	}
}

func (*supplier) MarkSlotUsed(worker.SlotMarkUsedInfo) {}
func (s *supplier) ReleaseSlot(worker.SlotReleaseInfo) { s.grow(1) }
func (s *supplier) MaxSlots() int                      { return s.most }
func (s *supplier) tuner(o Options) *Tuner             { return NewTuner(s.composite(nil), o) }
func (s *supplier) composite(t worker.SlotSupplier) worker.WorkerTuner {
	c, err := worker.NewCompositeTuner(worker.CompositeTunerOptions{
		ActivitySlotSupplier: s, WorkflowSlotSupplier: newSupplier(2, 2), SessionActivitySlotSupplier: t,
	})
	if err != nil {
		panic(err)
	}
	return c
}

// sized is a supplier that knows its number.
type sized struct {
	*supplier
	slots int
	known bool
}

func (s *sized) Slots() (int, bool) { return s.slots, s.known }

type (
	reservation struct{ worker.SlotReservationInfo }
	mark        struct {
		worker.SlotMarkUsedInfo
		permit *worker.SlotPermit
	}
	giveBack struct {
		worker.SlotReleaseInfo
		permit *worker.SlotPermit
	}
)

func (reservation) Logger() log.Logger        { return log.NewStructuredLogger(slog.New(slog.DiscardHandler)) }
func (m mark) Permit() *worker.SlotPermit     { return m.permit }
func (g giveBack) Permit() *worker.SlotPermit { return g.permit }
func use(w *Watch, p *worker.SlotPermit)      { w.MarkSlotUsed(mark{permit: p}) }
func release(w *Watch, p *worker.SlotPermit)  { w.ReleaseSlot(giveBack{permit: p}) }

func poll(t *testing.T, w *Watch) *worker.SlotPermit {
	t.Helper()
	p, err := w.ReserveSlot(t.Context(), reservation{})
	require.NoError(t, err)
	return p
}

// busy takes n slots, each with a task.
func busy(t *testing.T, w *Watch, n int) (permits []*worker.SlotPermit) {
	t.Helper()
	for range n {
		p := poll(t, w)
		use(w, p)
		permits = append(permits, p)
	}
	return permits
}

// wait begins n waits, and returns those for which there was room.
func wait(w *Watch, n int) (waits []*Wait) {
	for range n {
		if one := w.Wait(Leaves); one != nil {
			waits = append(waits, one)
		}
	}
	return waits
}

func left(waits []*Wait) (n int) {
	for _, w := range waits {
		select {
		case <-w.Leave():
			n++
		default:
		}
	}
	return n
}

func TestAQuarterOfTheSlotsWaits(t *testing.T) {
	t.Parallel()
	for slots, most := range map[int]int{1: 0, 2: 0, 3: 0, 4: 1, 7: 1, 8: 2, 100: 25} {
		w := newSupplier(slots, slots).tuner(Options{}).Activities(false)
		assert.Equal(t, most > 0, w.Room(), "%d slots", slots)
		waits := wait(w, 50)
		assert.Len(t, waits, most, "%d slots", slots)
		assert.False(t, w.Room(), "%d slots", slots)
		for _, one := range waits {
			one.End()
		}
		assert.Len(t, wait(w, 50), most, "%d slots, again", slots)
	}
}

func TestWaitsThatNobodyElseCanTakeCountAndStay(t *testing.T) {
	t.Parallel()
	s := &sized{supplier: newSupplier(8, 0), slots: 8, known: true}
	w := NewTuner(compose(t, s), Options{}).Activities(false)
	must := w.Wait(Must)
	stays := w.Wait(Stays)
	assert.Nil(t, w.Wait(Stays), "two of eight wait")
	another := w.Wait(Must)
	require.NotNil(t, another)
	s.slots = 0
	release(w, poll(t, w))
	assert.Nil(t, must.Leave())
	assert.Nil(t, stays.Leave())
	s.slots = 8
	must.End()
	another.End()
	assert.True(t, w.Room())
	stays.End()
	assert.Len(t, wait(w, 5), 2)
}

func compose(t *testing.T, activities worker.SlotSupplier) worker.WorkerTuner {
	t.Helper()
	c, err := worker.NewCompositeTuner(worker.CompositeTunerOptions{ActivitySlotSupplier: activities})
	require.NoError(t, err)
	return c
}

func TestSupplierThatKnowsItsNumberIsAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &sized{supplier: newSupplier(8, 0), slots: 8, known: true}
		w := NewTuner(compose(t, s), Options{}).Activities(false)
		first := wait(w, 50)
		require.Len(t, first, 2)
		s.slots = 20
		second := wait(w, 50)
		assert.Len(t, second, 3)
		s.slots = 4
		assert.False(t, w.Room())
		permits := busy(t, w, 8)
		release(w, permits[0])
		assert.Equal(t, 4, left(first)+left(second), "one of four may wait")
		s.slots = math.MaxInt
		assert.Len(t, wait(w, 50), 50, "nothing bounds them")

		// It says itself how many there are: that it waits shows nothing.
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		<-s.free
		go w.ReserveSlot(ctx, reservation{})
		time.Sleep(time.Hour)
		assert.True(t, w.Room())
	})
}

// Such a supplier is the resource-based one.
func TestSupplierWithoutANumberShowsItWhenItRefuses(t *testing.T) {
	t.Parallel()
	for name, of := range map[string]func() worker.SlotSupplier{
		"says nothing":     func() worker.SlotSupplier { return newSupplier(8, 0) },
		"says too many":    func() worker.SlotSupplier { return newSupplier(8, 1000) },
		"does not know it": func() worker.SlotSupplier { return &sized{supplier: newSupplier(8, 0)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := NewTuner(compose(t, of()), Options{}).Activities(false)
				permits := busy(t, w, 8)
				waits := wait(w, 8)
				require.Len(t, waits, 8, "nobody is in anybody's way yet")

				ninth := make(chan *worker.SlotPermit)
				go func() {
					p, _ := w.ReserveSlot(t.Context(), reservation{})
					ninth <- p
				}()
				time.Sleep(refusedAfter - 1)
				synctest.Wait()
				assert.Zero(t, left(waits))
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				assert.Equal(t, 6, left(waits), "a quarter of eight stays")
				assert.False(t, w.Room())

				for _, one := range waits {
					one.End()
				}
				release(w, permits[0])
				release(w, <-ninth)
				assert.Len(t, wait(w, 8), 2, "that there are eight is remembered")
				time.Sleep(rememberFor)
				assert.True(t, w.Room(), "there may be more by now")
			})
		})
	}
}

func TestSupplierThatHandsOutMoreHasMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSupplier(4, 0)
		w := NewTuner(compose(t, s), Options{}).Activities(false)
		busy(t, w, 4)
		go func() {
			time.Sleep(time.Second)
			s.grow(8)
		}()
		use(w, poll(t, w)) // after a second
		assert.Len(t, wait(w, 5), 1, "a quarter of five")
		busy(t, w, 7)
		assert.Len(t, wait(w, 5), 2, "a quarter of twelve: two more")
	})
}

func TestSlotsOfSessionsAreTheirOwnUnlessTheyAreShared(t *testing.T) {
	t.Parallel()
	s := newSupplier(8, 8)
	apart := NewTuner(s.composite(newSupplier(4, 4)), Options{})
	assert.Len(t, wait(apart.Activities(false), 9), 2)
	assert.Len(t, wait(apart.Activities(true), 9), 1)
	for name, session := range map[string]worker.SlotSupplier{"none": nil, "the same": s} {
		shared := NewTuner(s.composite(session), Options{})
		assert.Len(t, wait(shared.Activities(false), 9), 2, name)
		assert.Empty(t, wait(shared.Activities(true), 9), name)
	}
}

func TestNobodysSlotsBoundNothing(t *testing.T) {
	t.Parallel()
	var none *Tuner
	w := none.Activities(false)
	assert.True(t, w.Room())
	one := w.Wait(Leaves)
	assert.Nil(t, one.Leave())
	one.End()
	assert.True(t, none.SessionBegins())
	none.Close(time.Hour)
	none.Drain(time.Hour)
}

type machine struct{ *supplier }

func (machine) SysInfoProvider() worker.SysInfoProvider { return nil }

func TestSuppliersThatKnowTheMachineStillTellIt(t *testing.T) {
	t.Parallel()
	plain := newSupplier(1, 1)
	inner, err := worker.NewCompositeTuner(worker.CompositeTunerOptions{WorkflowSlotSupplier: machine{plain}, ActivitySlotSupplier: plain, LocalActivitySlotSupplier: plain})
	require.NoError(t, err)
	tuner := NewTuner(inner, Options{})
	_, knows := tuner.GetWorkflowTaskSlotSupplier().(worker.HasSysInfoProvider)
	assert.True(t, knows)
	_, knows = tuner.GetActivityTaskSlotSupplier().(worker.HasSysInfoProvider)
	assert.False(t, knows)
	assert.Same(t, plain, tuner.GetLocalActivitySlotSupplier())
	assert.Nil(t, tuner.GetNexusSlotSupplier())
	assert.Equal(t, 1, tuner.GetActivityTaskSlotSupplier().MaxSlots())
}

func TestBeginningOfPollingIsToldOnce(t *testing.T) {
	t.Parallel()
	told := 0
	w := newSupplier(9, 9).tuner(Options{Started: func(log.Logger) { told++ }}).Activities(false)
	assert.Zero(t, told)
	poll(t, w)
	poll(t, w)
	assert.Equal(t, 1, told)
}
