package limits

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// reference is a set as the documentation has it: requests in the order in
// which they came, the first one served as soon as it can be.
type reference struct {
	limits  []Limit
	held    map[string]int
	rates   map[string]model
	waiting []*asked
	holding []*asked
}

// asked is a request, to the real set and to the reference.
type asked struct {
	id     int
	units  Units
	cancel context.CancelFunc
	lease  Lease
	err    error
	ended  bool // the real one

	marks    map[string]int
	used     map[string]int
	granted  bool
	rejected bool
}

func newReference(limits []Limit) *reference {
	r := &reference{limits: limits, held: map[string]int{}, rates: map[string]model{}}
	for _, l := range limits {
		if l.Kind != KindResource {
			r.rates[l.Name] = modelOf(&l)
		}
	}
	return r
}

func (r *reference) room(now int64, a *asked) bool {
	for _, l := range r.limits {
		n := a.units[l.Name]
		if n == 0 {
			continue
		}
		if l.Kind == KindResource && r.held[l.Name]+n > int(l.Capacity) || l.Kind != KindResource && !r.rates[l.Name].admits(now, int64(n)) {
			return false
		}
	}
	return true
}

func (r *reference) grant(now int64, a *asked) {
	a.granted = true
	a.marks, a.used = map[string]int{}, map[string]int{}
	for _, l := range r.limits {
		n := a.units[l.Name]
		if n == 0 {
			continue
		}
		if l.Kind == KindResource {
			r.held[l.Name] += n
		} else {
			a.marks[l.Name] = r.rates[l.Name].take(now, int64(n))
			a.used[l.Name] = n
		}
	}
	r.holding = append(r.holding, a)
}

// serve serves who can be served now.
func (r *reference) serve(now int64) {
	for len(r.waiting) > 0 && r.room(now, r.waiting[0]) {
		r.grant(now, r.waiting[0])
		r.waiting = r.waiting[1:]
	}
}

func (r *reference) release(now int64, a *asked) {
	for _, l := range r.limits {
		if l.Kind == KindResource {
			r.held[l.Name] -= a.units[l.Name]
		}
	}
	r.holding = slices.DeleteFunc(r.holding, func(b *asked) bool { return a == b })
	r.serve(now)
}

func (r *reference) use(now int64, a *asked, key string, n int) {
	r.rates[key].adjust(now, a.marks[key], int64(a.used[key]), int64(n))
	a.used[key] = n
	r.serve(now)
}

// world is a set under test in a bubble of synctest, beside its reference.
type world struct {
	t    *rapid.T
	set  *Set
	ref  *reference
	all  []*asked
	log  []string
	stop error
}

func (w *world) now() int64 { return int64(time.Since(w.set.current.Load().zero)) }

func (w *world) notef(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf("%v: ", time.Since(w.set.current.Load().zero))+fmt.Sprintf(format, args...))
}

// draw draws a request for some of the set's keys.
func (w *world) draw() Units {
	units := Units{}
	for _, l := range w.ref.limits {
		if rapid.IntRange(0, 2).Draw(w.t, "wanted") > 0 {
			units[l.Name] = rapid.IntRange(1, int(l.maxRequest())).Draw(w.t, l.Name)
		}
	}
	if len(units) == 0 {
		units[w.ref.limits[0].Name] = 1
	}
	return units
}

// ask makes a request, on a goroutine of its own.
func (w *world) ask() {
	ctx, cancel := context.WithCancel(context.Background())
	a := &asked{id: len(w.all), units: w.draw(), cancel: cancel}
	w.all = append(w.all, a)
	w.notef("%d asks for %v", a.id, a.units)
	go func() {
		a.lease, a.err = w.set.Acquire(ctx, a.units)
		a.ended = true
	}()
	w.ref.waiting = append(w.ref.waiting, a)
	w.ref.serve(w.now())
}

func (w *world) try() {
	a := &asked{id: len(w.all), units: w.draw(), cancel: func() {}}
	w.all = append(w.all, a)
	w.notef("%d tries %v", a.id, a.units)
	a.lease, a.err = w.set.TryAcquire(a.units)
	a.ended = true
	if len(w.ref.waiting) == 0 && w.ref.room(w.now(), a) {
		w.ref.grant(w.now(), a)
	}
}

func (w *world) cancel() {
	a := w.all[rapid.IntRange(0, len(w.all)-1).Draw(w.t, "request")]
	w.notef("%d is cancelled", a.id)
	a.cancel()
	w.ref.waiting = slices.DeleteFunc(w.ref.waiting, func(b *asked) bool { return a == b })
	w.ref.serve(w.now())
}

func (w *world) release() {
	a := w.ref.holding[rapid.IntRange(0, len(w.ref.holding)-1).Draw(w.t, "holder")]
	w.notef("%d releases", a.id)
	a.lease.Release()
	a.lease.Release() // does nothing
	w.ref.release(w.now(), a)
}

func (w *world) use() {
	a := w.ref.holding[rapid.IntRange(0, len(w.ref.holding)-1).Draw(w.t, "holder")]
	for _, l := range w.ref.limits {
		if l.Kind != KindResource && a.used[l.Name] > 0 {
			n := rapid.IntRange(0, 2*int(l.maxRequest())).Draw(w.t, "used")
			w.notef("%d uses %d %s", a.id, n, l.Name)
			if err := a.lease.Use(Units{l.Name: n}); err != nil {
				w.stop = fmt.Errorf("use: %w", err)
			}
			w.ref.use(w.now(), a, l.Name, n)
			if n == 0 {
				delete(a.used, l.Name) // from here on the two count differently what is used
			}
			return
		}
	}
}

func (w *world) pass() {
	d := time.Duration(rapid.IntRange(1, 2000).Draw(w.t, "pause")) * time.Millisecond
	// The reference looks every millisecond, at which all its times are.
	for range d / time.Millisecond {
		time.Sleep(time.Millisecond)
		w.ref.serve(w.now())
	}
}

func (w *world) resize() {
	var resources []int
	for i, l := range w.ref.limits {
		if l.Kind == KindResource {
			resources = append(resources, i)
		}
	}
	if len(resources) == 0 {
		return
	}
	l := &w.ref.limits[rapid.SampledFrom(resources).Draw(w.t, "limit")]
	l.Capacity = float64(rapid.IntRange(1, 6).Draw(w.t, "capacity"))
	w.notef("%s has %v", l.Name, l.Capacity)
	if err := w.set.Resize(l.Name, l.Capacity); err != nil {
		w.stop = fmt.Errorf("resize: %w", err)
	}
	w.ref.waiting = slices.DeleteFunc(w.ref.waiting, func(a *asked) bool {
		a.rejected = a.units[l.Name] > int(l.Capacity)
		return a.rejected
	})
	w.ref.serve(w.now())
}

// compare holds the set against its reference, once everything is at rest.
func (w *world) compare() {
	synctest.Wait()
	granted := 0
	for _, a := range w.all {
		got := a.ended && a.err == nil
		if got != a.granted {
			w.stop = fmt.Errorf("request %d for %v: granted %v, want %v (error %v)", a.id, a.units, got, a.granted, a.err)
			return
		}
		var wrong *UnitsError
		if a.rejected && !errors.As(a.err, &wrong) {
			w.stop = fmt.Errorf("request %d for more than there is: %w", a.id, a.err)
		}
		if a.granted && slices.Contains(w.ref.holding, a) {
			granted++
		}
	}
	s := w.set.Snapshot()
	if s.Leases != granted || s.Waiting != len(w.ref.waiting) {
		w.stop = fmt.Errorf("%d leases and %d waiting, want %d and %d", s.Leases, s.Waiting, granted, len(w.ref.waiting))
	}
	for _, u := range s.Limits {
		if u.Kind == KindResource && int(u.InUse) != w.ref.held[u.Name] {
			w.stop = fmt.Errorf("%v of %s are in use, want %d", u.InUse, u.Name, w.ref.held[u.Name])
		}
	}
}

// end releases and cancels everything; nothing may be left.
func (w *world) end() {
	for _, a := range w.all {
		a.cancel()
	}
	synctest.Wait()
	for _, a := range w.all {
		a.lease.Release()
	}
	if s := w.set.Snapshot(); s.Leases != 0 || s.Waiting != 0 || w.set.head != nil || w.set.tail != nil {
		w.stop = fmt.Errorf("left over: %+v", s)
	}
	for _, u := range w.set.Snapshot().Limits {
		if u.Kind == KindResource && u.InUse != 0 {
			w.stop = fmt.Errorf("%v of %s are held by nobody", u.InUse, u.Name)
		}
	}
}

// limitSets draws sets whose times are whole milliseconds.
func limitSets() *rapid.Generator[[]Limit] {
	return rapid.Custom(func(t *rapid.T) []Limit {
		var limits []Limit
		for i := range rapid.IntRange(0, 2).Draw(t, "resources") {
			limits = append(limits, Resource(fmt.Sprint("resource", i), rapid.IntRange(1, 6).Draw(t, "capacity")))
		}
		for i := range rapid.IntRange(0, 2).Draw(t, "rates") {
			capacity := rapid.IntRange(1, 6).Draw(t, "capacity")
			l := Rate(fmt.Sprint("rate", i), float64(capacity), time.Duration(capacity*rapid.IntRange(1, 300).Draw(t, "milliseconds per unit"))*time.Millisecond)
			limits = append(limits, l.By(rapid.SampledFrom(algorithms()).Draw(t, "algorithm")))
		}
		if len(limits) == 0 {
			limits = append(limits, Resource("resource", 2))
		}
		return limits
	})
}

// Whatever is asked for, cancelled, released, used, resized, at any moment: the
// set grants what its reference does, when it does.
func TestSetsGrantWhatTheirReferenceGrants(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		limits := limitSets().Draw(rt, "limits")
		var failed error
		var log []string
		synctest.Test(t, func(*testing.T) {
			w := &world{t: rt, set: MustNew(limits...), ref: newReference(slices.Clone(limits))}
			defer func() {
				w.end()
				failed, log = w.stop, w.log
			}()
			for range rapid.IntRange(1, 30).Draw(rt, "steps") {
				switch step := rapid.IntRange(0, 9).Draw(rt, "step"); {
				case step < 4:
					w.ask()
				case step == 4:
					w.try()
				case step == 5 && len(w.all) > 0:
					w.cancel()
				case step == 6 && len(w.ref.holding) > 0:
					w.use()
				case step == 7:
					w.pass()
				case step == 8:
					w.resize()
				case len(w.ref.holding) > 0:
					w.release()
				}
				if w.compare(); w.stop != nil {
					return
				}
			}
		})
		if failed != nil {
			rt.Fatalf("%v\n%v\n%s", limits, failed, strings.Join(log, "\n"))
		}
	})
}
