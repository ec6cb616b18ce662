package limits

import (
	"encoding/binary"
	"math"
)

// fixedWindow counts in windows that follow one another. What was used beyond
// the capacity counts in the next ones.
type fixedWindow struct {
	window, capacity int64
	origin           int64 // when the first one began
	index            int64 // of the current window
	count            int64
}

func (w *fixedWindow) roll(now int64) {
	index := (now - w.origin) / w.window
	passed := index - w.index
	if passed <= 0 {
		return
	}
	w.index = index
	if w.count <= w.capacity || passed > w.count/w.capacity {
		w.count = 0
	} else {
		w.count -= passed * w.capacity
	}
}

func (w *fixedWindow) when(now, n int64) int64 {
	w.roll(now)
	over := w.count + n - w.capacity
	if over <= 0 {
		return now
	}
	if n > w.capacity {
		return math.MaxInt64
	}
	return w.begin(over)
}

// begin is when the window begins in which so many units have gone by.
func (w *fixedWindow) begin(units int64) int64 {
	windows := (units + w.capacity - 1) / w.capacity
	if windows > (math.MaxInt64-w.origin)/w.window-w.index {
		return math.MaxInt64
	}
	return w.origin + (w.index+windows)*w.window
}

func (w *fixedWindow) take(now int64, a *amount, n int64) {
	w.roll(now)
	w.count += n
	a.mark, a.charged = uint64(w.index), n
}

func (w *fixedWindow) more(now int64, a *amount, n int64) {
	w.roll(now)
	charged := a.charged
	if a.mark != uint64(w.index) {
		charged = 0
	}
	w.take(now, a, n)
	a.charged += charged
}

func (w *fixedWindow) back(now int64, a *amount, n int64) {
	w.roll(now)
	if a.mark == uint64(w.index) {
		n = min(n, a.charged)
		w.count = max(w.count-n, 0)
		a.charged -= n
	}
}

func (w *fixedWindow) resize(now int64, l *Limit) {
	w.roll(now)
	w.capacity = int64(l.Capacity)
}

func (w *fixedWindow) used(now int64) float64 {
	w.roll(now)
	return float64(w.count)
}

func (w *fixedWindow) fresh(now int64) int64 {
	w.roll(now)
	if w.count == 0 {
		return now
	}
	return w.begin(w.count)
}

func (w *fixedWindow) keep(now int64, state []byte) []byte {
	w.roll(now)
	for _, n := range []int64{w.origin, w.index, w.count} {
		state = binary.AppendVarint(state, n)
	}
	return state
}

func (w *fixedWindow) recall(state []byte) []byte {
	from := numbers(state)
	w.origin, w.index, w.count = from.next(), from.next(), from.next()
	return from
}

func (w *fixedWindow) clone() meter {
	c := *w
	return &c
}

func (w *fixedWindow) renew(now int64) { w.origin, w.index, w.count = now, 0, 0 }

func newFixedWindow(l *Limit, now int64) meter {
	return &fixedWindow{window: int64(l.Window), origin: now, capacity: int64(l.Capacity)}
}
