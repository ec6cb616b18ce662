package limits

import (
	"container/heap"
	"encoding/binary"
	"math"
	"time"
)

// keyedSet is one key: its set, or what that remembered. An idle key costs little:
// there may be very many, and some windows are long.
type keyedSet struct {
	key   string
	set   *Set   // nil while the key is frozen
	state string // then; see Set.keep
	until int64  // while it is idle: when there is nothing more to remember
	users int32  // acquisitions under way
	at    int32  // in the heap of idle ones; -1 if it is not there
	warm  bool   // see keepWarm
}

// thaw gives a key a set.
func (k *Keyed) thaw(s *keyedSet) {
	s.set = k.blank()
	k.recall(s.set, s)
	s.set.belong(k, s)
	s.state = ""
}

// recall makes a set that belongs to no key what that of s was.
func (k *Keyed) recall(set *Set, s *keyedSet) {
	k.buffer = append(k.buffer[:0], s.state...)
	set.recall(k.buffer)
}

// freeze takes an idle key's set away, unless it remembers much.
func (k *Keyed) freeze(s *keyedSet) {
	if state := s.set.keep(k.buffer[:0]); state != nil {
		k.buffer, s.state = state, string(state)
		k.release(s)
	}
}

// release takes the set of a key away, for others. One that has channels and
// timers is left to the collector: they may be those of a bubble of synctest.
func (k *Keyed) release(s *keyedSet) {
	if !s.set.waited.Load() {
		k.spare.Put(s.set)
	}
	s.set = nil
}

// blank is a set that belongs to no key, though it may have done.
func (k *Keyed) blank() *Set {
	if s, _ := k.spare.Get().(*Set); s != nil {
		return s
	}
	s := newSetBy(k.timing, k.limits)
	s.closeWays()
	return s
}

// busy takes s out of those that are to be forgotten.
func (k *Keyed) busy(s *keyedSet) {
	if s.at >= 0 {
		heap.Remove(&k.idle, int(s.at))
	}
}

// settle notes when s can be forgotten, if it is idle, or forgets it at once.
func (k *Keyed) settle(s *keyedSet) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s.users > 0 || s.set == nil || k.sets[s.key] != s {
		return
	}
	k.busy(s)
	until, idle := s.set.freshAt()
	now := k.since()
	switch {
	case !idle:
	case until <= now:
		delete(k.sets, s.key)
		k.release(s)
	default:
		s.until = until
		heap.Push(&k.idle, s)
		k.schedule(now)
		k.keepWarm(s)
	}
}

// maxWarm is how many keys keep their sets while they are idle: those that are
// used all the time pay nothing for being idle in between.
const maxWarm = 64

// keepWarm lets s keep its set, in the place of another.
func (k *Keyed) keepWarm(s *keyedSet) {
	if s.warm {
		return
	}
	if k.warm == nil {
		k.warm = make([]*keyedSet, maxWarm)
	}
	old := k.warm[k.hand]
	k.warm[k.hand], s.warm = s, true
	k.hand = (k.hand + 1) % maxWarm
	if old == nil {
		return
	}
	old.warm = false
	if old.at >= 0 && old.set != nil {
		k.freeze(old)
	}
}

// schedule sees to it that there is a timer for the first key to be forgotten.
func (k *Keyed) schedule(now int64) {
	if len(k.idle) == 0 || k.timer != nil && k.timerAt <= k.idle[0].until {
		return
	}
	k.timerAt = k.idle[0].until
	in := time.Duration(k.timerAt - now)
	if k.timer == nil {
		k.timer = time.AfterFunc(in, k.sweep)
		return
	}
	k.timer.Reset(in)
}

// sweep forgets the keys whose time has come.
func (k *Keyed) sweep() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.timerAt = math.MaxInt64 // it has fired
	now := k.since()
	if len(k.idle) > 0 && k.idle[0].until > now { // too early, by a clock that is not the timer's
		now = min(now, k.idle[0].until-int64(soonest))
	}
	for len(k.idle) > 0 && k.idle[0].until <= now {
		s := k.idle[0]
		k.busy(s)
		delete(k.sets, s.key)
		if s.set != nil {
			k.release(s)
		}
	}
	k.schedule(now)
}

// soonest is how long a sweep that came too early waits at least.
const soonest = 10 * time.Millisecond

// freshAt is when, if nothing happens, the set is as good as new, on its clock.
// idle reports whether nobody holds or waits for anything.
func (s *Set) freshAt() (at int64, idle bool) {
	s.lock()
	defer s.unlock()
	if s.opened > 0 || s.head != nil {
		return 0, false
	}
	at = math.MinInt64
	now := s.now()
	for i := range s.limits {
		if m := s.limits[i].charged(); m != nil {
			at = max(at, m.fresh(now))
		}
	}
	return at, true
}

// How a rate is kept.
const (
	keptNothing   = iota // it never had a bound
	keptMeter            // what its meter says
	keptUnbounded        // the capacity that it had before it lost its bound, and what its meter says
)

// keep appends to state what the set has to remember while nobody holds
// anything of it, which is how much counts, and since when; nil if that is much.
func (s *Set) keep(state []byte) []byte {
	s.lock()
	defer s.unlock()
	now := s.now()
	for i := range s.limits {
		l := &s.limits[i]
		m := l.charged()
		switch {
		case l.resource:
			continue
		case m == nil:
			state = append(state, keptNothing)
			continue
		case m == l.meter:
			state = append(state, keptMeter)
		default:
			state = append(state, keptUnbounded)
			state = binary.LittleEndian.AppendUint64(state, math.Float64bits(l.bounded))
		}
		if state = m.keep(now, state); state == nil {
			return nil
		}
	}
	return state
}

// recall makes the set, which is idle, what it was when state was kept, or new
// without any.
func (s *Set) recall(state []byte) {
	s.lock()
	defer s.unlock()
	s.made = s.since()
	for i := range s.limits {
		l := &s.limits[i]
		if l.resource {
			continue
		}
		kept := byte(keptNothing)
		if len(state) > 0 {
			kept, state = state[0], state[1:]
		}
		l.idle = nil
		switch {
		case kept == keptUnbounded:
			before := l.Limit
			before.Capacity = math.Float64frombits(binary.LittleEndian.Uint64(state))
			l.bounded = before.Capacity
			l.idle = newMeter(&before, s.made)
			state = l.idle.recall(state[8:])
			s.clocked = true
		case kept == keptMeter:
			state = l.meter.recall(state)
		case l.meter != nil:
			l.meter.renew(s.made)
		}
	}
}

// idleSets is a heap, the first to be forgotten on top.
type idleSets []*keyedSet

func (h idleSets) Len() int           { return len(h) }
func (h idleSets) Less(i, j int) bool { return h[i].until < h[j].until }
func (h idleSets) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = int32(i), int32(j)
}

// Push implements heap.Interface.
func (h *idleSets) Push(x any) {
	s, _ := x.(*keyedSet)
	s.at = int32(len(*h))
	*h = append(*h, s)
}

// Pop implements heap.Interface.
func (h *idleSets) Pop() any {
	last := len(*h) - 1
	s := (*h)[last]
	s.at = -1
	(*h)[last] = nil
	*h = (*h)[:last]
	return s
}
