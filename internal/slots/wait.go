package slots

import "sync"

// quarter is the part of a worker's slots that may wait in place: they stand in
// the way of calls that could run, and the server can wait as well. Of fewer
// than four slots none may.
func quarter(slots int) int { return slots / 4 }

// Manner is how an activity would wait in place.
type Manner int

const (
	// Leaves: where there is room, and until there is none.
	Leaves Manner = iota
	// Stays: where there is room, and to its end: the server cannot take over
	// the rest of it.
	Stays
	// Must: whether there is room or not.
	Must
)

// waits are the activities that wait in place.
type waits struct {
	mu   sync.Mutex
	all  []*Wait // those that can leave
	stay int     // how many others there are
}

// Wait is the right of one activity to wait in place.
type Wait struct {
	watch *Watch
	leave chan struct{} // nil where it cannot leave
	at    int           // in waits.all; negative once it has left
}

// Room reports whether an activity may begin to wait in place. It may on a nil
// Watch, of which no slots are known.
func (w *Watch) Room() bool {
	if w == nil {
		return true
	}
	most := quarter(w.slots())
	w.waits.mu.Lock()
	defer w.waits.mu.Unlock()
	return w.waits.count() < most
}

// Wait begins a wait in place, and returns nil if there is no room.
func (w *Watch) Wait(how Manner) *Wait {
	if w == nil {
		return &Wait{}
	}
	most := quarter(w.slots())
	w.waits.mu.Lock()
	defer w.waits.mu.Unlock()
	if how != Must && w.waits.count() >= most {
		return nil
	}
	wait := &Wait{watch: w}
	if how == Leaves {
		wait.leave, wait.at = make(chan struct{}), len(w.waits.all)
		w.waits.all = append(w.waits.all, wait)
	} else {
		w.waits.stay++
	}
	return wait
}

// Leave is closed when the activity should leave the rest of its wait to the
// server: there are fewer slots than it had seemed.
func (w *Wait) Leave() <-chan struct{} { return w.leave }

// End ends the wait.
func (w *Wait) End() {
	if w.watch == nil {
		return
	}
	all := &w.watch.waits
	all.mu.Lock()
	defer all.mu.Unlock()
	if w.leave == nil {
		all.stay--
	} else {
		all.remove(w)
	}
}

// thin makes those leave that are more than may wait.
func (w *Watch) thin() {
	if !w.waits.any() {
		return
	}
	most := quarter(w.slots())
	w.waits.mu.Lock()
	defer w.waits.mu.Unlock()
	for w.waits.count() > most && len(w.waits.all) > 0 {
		last := w.waits.all[len(w.waits.all)-1]
		close(last.leave)
		w.waits.remove(last)
	}
}

func (a *waits) any() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.all) > 0
}

// count is how many wait; under mu.
func (a *waits) count() int { return len(a.all) + a.stay }

// remove takes a wait out, if it is still in; under mu.
func (a *waits) remove(w *Wait) {
	if w.at < 0 {
		return
	}
	last := a.all[len(a.all)-1]
	a.all[w.at], last.at = last, w.at
	a.all[len(a.all)-1] = nil
	a.all = a.all[:len(a.all)-1]
	w.at = -1
}
