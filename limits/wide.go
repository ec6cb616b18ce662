package limits

import (
	"math"
	"math/bits"
)

// wide is a whole number of 128 bits. Sums and products that do not fit are the
// largest there is, and differences below zero are zero.
type wide struct{ hi, lo uint64 }

// product is a·b.
func product(a, b uint64) wide {
	hi, lo := bits.Mul64(a, b)
	return wide{hi, lo}
}

func (a wide) add(b wide) wide {
	lo, carry := bits.Add64(a.lo, b.lo, 0)
	hi, carry := bits.Add64(a.hi, b.hi, carry)
	if carry > 0 {
		return wide{math.MaxUint64, math.MaxUint64}
	}
	return wide{hi, lo}
}

func (a wide) sub(b wide) wide {
	lo, borrow := bits.Sub64(a.lo, b.lo, 0)
	hi, borrow := bits.Sub64(a.hi, b.hi, borrow)
	if borrow > 0 {
		return wide{}
	}
	return wide{hi, lo}
}

func (a wide) times(n uint64) wide {
	hi, lo := bits.Mul64(a.lo, n)
	over, high := bits.Mul64(a.hi, n)
	high, carry := bits.Add64(high, hi, 0)
	if over > 0 || carry > 0 {
		return wide{math.MaxUint64, math.MaxUint64}
	}
	return wide{high, lo}
}

// quo is a divided by d, and what remains.
func (a wide) quo(d uint64) (wide, uint64) {
	hi, rest := a.hi/d, a.hi%d
	lo, rest := bits.Div64(rest, a.lo, d)
	return wide{hi, lo}, rest
}

func (a wide) less(b wide) bool { return a.hi < b.hi || a.hi == b.hi && a.lo < b.lo }

func (a wide) zero() bool { return a.hi|a.lo == 0 }

// low is a, or the largest number of 63 bits.
func (a wide) low() int64 {
	if a.hi > 0 || a.lo > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(a.lo)
}

func (a wide) float() float64 { return float64(a.hi)*(1<<64) + float64(a.lo) }

func smaller(a, b wide) wide {
	if b.less(a) {
		return b
	}
	return a
}
