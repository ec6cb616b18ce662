package limits

import (
	"encoding/binary"
	"math"
	"slices"
)

// slidingWindow is a log of what was taken within the last window: (now-window,
// now].
type slidingWindow struct {
	window, capacity int64
	sum              int64

	log   []taken // a ring
	first int     // where the oldest is
	n     int     // how many there are
	seq   uint64  // mark of the oldest
}

type taken struct{ at, units int64 }

// at is the i-th oldest; the ring's length is a power of two.
func (w *slidingWindow) at(i int) *taken { return &w.log[(w.first+i)&(len(w.log)-1)] }

func (w *slidingWindow) expire(now int64) {
	for w.n > 0 && w.at(0).at <= now-w.window {
		w.sum -= w.at(0).units
		w.first = (w.first + 1) & (len(w.log) - 1)
		w.n--
		w.seq++
	}
}

func (w *slidingWindow) when(now, n int64) int64 {
	w.expire(now)
	over := w.sum + n - w.capacity
	for i := 0; over > 0 && i < w.n; i++ {
		t := w.at(i)
		if over -= t.units; over <= 0 {
			return t.at + w.window
		}
	}
	if over > 0 {
		return math.MaxInt64 // more than the capacity
	}
	return now
}

func (w *slidingWindow) take(now int64, a *amount, n int64) {
	w.expire(now)
	if w.n == len(w.log) {
		grown := make([]taken, max(2*len(w.log), 8))
		for i := range w.n {
			grown[i] = *w.at(i)
		}
		w.log, w.first = grown, 0
	}
	w.n++
	*w.at(w.n - 1) = taken{now, n}
	w.sum += n
	a.mark, a.charged = w.seq+uint64(w.n)-1, n
}

// of returns what was taken under a's mark; nil if it has left the window.
func (w *slidingWindow) of(a *amount) *taken {
	if i := a.mark - w.seq; a.mark >= w.seq && i < uint64(w.n) {
		return w.at(int(i))
	}
	return nil
}

func (w *slidingWindow) more(now int64, a *amount, n int64) {
	w.expire(now)
	if t := w.of(a); t != nil && t.at == now {
		t.units += n
		w.sum += n
		a.charged += n
		return
	}
	w.take(now, a, n)
}

func (w *slidingWindow) back(now int64, a *amount, n int64) {
	w.expire(now)
	if t := w.of(a); t != nil {
		n = min(n, a.charged)
		t.units -= n
		w.sum -= n
		a.charged -= n
	}
}

func (w *slidingWindow) resize(_ int64, l *Limit) { w.capacity = int64(l.Capacity) }

func (w *slidingWindow) used(now int64) float64 {
	w.expire(now)
	return float64(w.sum)
}

func (w *slidingWindow) fresh(now int64) int64 {
	w.expire(now)
	if w.sum == 0 {
		return now
	}
	return w.at(w.n-1).at + w.window
}

// maxKept bounds the log that is kept of a sliding window: reading a long one
// again takes longer than its memory is worth.
const maxKept = 64

func (w *slidingWindow) keep(now int64, state []byte) []byte {
	w.expire(now)
	if w.n > maxKept {
		return nil
	}
	before, at, sum := int64(0), int64(0), int64(0) // what was taken at one time is kept as one
	add := func() {
		if sum > 0 {
			state = binary.AppendVarint(state, sum)
			state = binary.AppendVarint(state, at-before)
			before, sum = at, 0
		}
	}
	for i := range w.n {
		t := w.at(i)
		if t.at != at {
			add()
		}
		at, sum = t.at, sum+t.units
	}
	add()
	return binary.AppendVarint(state, 0)
}

func (w *slidingWindow) recall(state []byte) []byte {
	w.renew(0)
	from := numbers(state)
	at := int64(0)
	for n := from.next(); n > 0; n = from.next() {
		at += from.next()
		w.take(at, &amount{}, n)
	}
	return from
}

func (w *slidingWindow) clone() meter {
	c := *w
	c.log = slices.Clone(w.log)
	return &c
}

func (w *slidingWindow) renew(int64) { w.first, w.n, w.sum = 0, 0, 0 }

func newSlidingWindow(l *Limit, _ int64) meter {
	return &slidingWindow{window: int64(l.Window), capacity: int64(l.Capacity)}
}
