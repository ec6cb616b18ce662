package limits

import (
	"math/big"
	"math/bits"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func (a wide) big() *big.Int {
	n := new(big.Int).SetUint64(a.hi)
	return n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(a.lo))
}

func wides() *rapid.Generator[wide] {
	return rapid.Custom(func(t *rapid.T) wide {
		word := func(name string) uint64 {
			return rapid.Uint64().Draw(t, name) >> rapid.IntRange(0, 64).Draw(t, "shift")
		}
		return wide{word("high"), word("low")}
	})
}

func TestWideNumbersAreCountedWithExactly(t *testing.T) {
	t.Parallel()
	largest := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 128), big.NewInt(1))
	bounded := func(n *big.Int) *big.Int {
		if n.Sign() < 0 {
			return new(big.Int)
		}
		if n.Cmp(largest) > 0 {
			return largest
		}
		return n
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b, n := wides().Draw(t, "a"), wides().Draw(t, "b"), wides().Draw(t, "n").lo
		same := func(want *big.Int, got wide) {
			t.Helper()
			require.Zero(t, bounded(want).Cmp(got.big()), "%v, want %v", got.big(), bounded(want))
		}
		same(new(big.Int).Add(a.big(), b.big()), a.add(b))
		same(new(big.Int).Sub(a.big(), b.big()), a.sub(b))
		same(new(big.Int).Mul(a.big(), new(big.Int).SetUint64(n)), a.times(n))
		same(new(big.Int).Mul(new(big.Int).SetUint64(a.lo), new(big.Int).SetUint64(n)), product(a.lo, n))
		require.Equal(t, a.big().Cmp(b.big()) < 0, a.less(b))
		require.Zero(t, smaller(a, b).big().Cmp(smaller(b, a).big()))
		require.Equal(t, a.big().Sign() == 0, a.zero())
		if n > 0 {
			q, rest := a.quo(n)
			want, left := new(big.Int).QuoRem(a.big(), new(big.Int).SetUint64(n), new(big.Int))
			same(want, q)
			require.Equal(t, left.Uint64(), rest)
		}
		exact, _ := new(big.Float).SetInt(a.big()).Float64()
		require.InEpsilon(t, exact+1, a.float()+1, 1e-15)
		require.Equal(t, a.hi == 0 && bits.LeadingZeros64(a.lo) > 0, uint64(a.low()) == a.lo && a.hi == 0)
	})
}

// However many leases a bucket has, and in whichever order they give back: while
// no time passes it is all there again.
func TestBucketTakesEverythingBackAtOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := Rate("r", 1000, 1000).By(AlgorithmTokenBucket)
		b := newBucket(&l)
		b.take(0, &amount{}, int64(rapid.IntRange(1, 500).Draw(t, "before")))
		before := b.level
		var leases []amount
		for range rapid.IntRange(1, 400).Draw(t, "leases") {
			n := int64(rapid.IntRange(1, 40).Draw(t, "units"))
			a := amount{units: n}
			b.take(0, &a, n)
			leases = append(leases, a)
		}
		for _, i := range rapid.Permutation(indices(len(leases))).Draw(t, "order") {
			if rapid.Bool().Draw(t, "more") {
				b.more(0, &leases[i], 7)
				leases[i].units += 7
			}
			b.back(0, &leases[i], leases[i].units)
		}
		require.Equal(t, before, b.level)
	})
}

func indices(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// Of more leases than a bucket tells apart, each gives back what it has in line
// but for a small part of the level, and never more.
func TestBucketTakesBackNearlyAllOfManyLeases(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := Rate("r", float64(rapid.IntRange(100, 2000).Draw(t, "capacity")), 1000).By(AlgorithmTokenBucket)
		b, exact := newBucket(&l), newLine(&l)
		type lease struct {
			amount
			place *place
		}
		var leases []lease
		now := int64(0)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now += int64(rapid.IntRange(0, 3).Draw(t, "pause"))
			if n := int64(rapid.IntRange(1, 30).Draw(t, "units")); rapid.IntRange(0, 2).Draw(t, "step") > 0 {
				if b.when(now, n) > now {
					continue
				}
				one := lease{amount: amount{units: n}}
				b.take(now, &one.amount, n)
				one.place = exact.leases[exact.take(now, n)]
				leases = append(leases, one)
				continue
			}
			if len(leases) == 0 {
				continue
			}
			i := rapid.IntRange(0, len(leases)-1).Draw(t, "lease")
			one := &leases[i]
			exact.pass(now)
			b.leak(now)
			level := b.level
			n := min(int64(rapid.IntRange(1, 30).Draw(t, "back")), one.charged)
			b.back(now, &one.amount, n)
			given := new(big.Rat).SetFrac(level.sub(b.level).big(), b.unit.big())
			most := lesser(one.place.rest, units(n))
			require.LessOrEqual(t, given.Cmp(most), 0, "%v given back, %v in line", given, most)
			short := new(big.Rat).Sub(most, given)
			allowed := new(big.Rat).SetFrac(level.big(), b.unit.big())
			allowed.Quo(allowed, units(15)).Add(allowed, units(int64(b.grain)))
			require.LessOrEqual(t, short.Cmp(allowed), 0, "%v given back, %v in line, of %v", given, most, level)
			one.place.rest.Sub(one.place.rest, given)
			leases = append(leases[:i], leases[i+1:]...)
		}
	})
}
