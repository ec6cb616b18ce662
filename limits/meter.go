package limits

import (
	"encoding/binary"
	"math"
)

// meter measures one rate. Times are nanoseconds since the set was made, and
// do not go back. It is used under the set's lock.
type meter interface { //nolint:interfacebloat // what five algorithms have in common
	// when is the earliest time, from now on, at which n more units are within
	// the rate, if nothing else is taken or given back until then.
	when(now, n int64) int64
	// take notes n units, taken now by a.
	take(now int64, a *amount, n int64)
	// more notes n more, taken now by one that has taken some.
	more(now int64, a *amount, n int64)
	// back notes that a gives n units back, as far as they still count: what
	// time has given back already is not given back again.
	back(now int64, a *amount, n int64)
	// resize gives the rate another capacity. What was taken stays taken.
	resize(now int64, l *Limit)
	// used is how many units count against the capacity.
	used(now int64) float64
	// fresh is from when on, at the earliest, the meter is as good as new.
	fresh(now int64) int64
	// keep appends to state what counts, while nobody has a mark; nil if that is
	// much. recall makes the meter, of the same limit, what it was then, and
	// returns the rest of state.
	keep(now int64, state []byte) []byte
	recall(state []byte) []byte
	// clone is another that has taken the same.
	clone() meter
	// renew makes it as good as new, from a time on.
	renew(now int64)
}

// newMeter is a meter from a time on; nil for a rate without bound.
func newMeter(l *Limit, now int64) meter {
	if math.IsInf(l.Capacity, 1) {
		return nil
	}
	return l.way().meter(l, now)
}

// numbers reads what binary.AppendVarint has written.
type numbers []byte

func (n *numbers) next() int64 {
	v, size := binary.Varint(*n)
	*n = (*n)[size:]
	return v
}

func (n *numbers) nextUnsigned() uint64 {
	v, size := binary.Uvarint(*n)
	*n = (*n)[size:]
	return v
}
