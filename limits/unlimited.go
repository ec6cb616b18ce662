package limits

import (
	"fmt"
	"maps"
	"slices"
)

// Unlimited returns a set that accepts every limit's name and bounds nothing, for code
// that acquires units where nothing is to be limited, as in tests and tools:
//
//	ctx, release := limits.With(ctx, limits.Unlimited())
//	defer release()
//
// Every request is granted at once, including one without units. Amounts below 1 are
// an error, as in other sets. [Lease.Units] returns what was acquired, or what
// [Lease.Use] reported last.
func Unlimited() *Set {
	s := newSet(Clock{}, nil)
	s.unlimited = true
	return s
}

// askAny is ask for an unlimited set.
func (g *grant) askAny(units Units) error {
	if err := checkAny(units, 1); err != nil {
		return err
	}
	if g.named == nil {
		g.named = make(Units, len(units))
	}
	clear(g.named)
	maps.Copy(g.named, units)
	return nil
}

// useAny is Use for one.
func (g *grant) useAny(used Units) error {
	if err := checkAny(used, 0); err != nil {
		return err
	}
	if g.named == nil {
		g.named = make(Units, len(used))
	}
	maps.Copy(g.named, used)
	return nil
}

func (g *grant) anyUnits() Units {
	units := make(Units, len(g.named))
	for name, n := range g.named {
		if n > 0 {
			units[name] = n
		}
	}
	return units
}

func checkAny(units Units, least int) error {
	for _, name := range slices.Sorted(maps.Keys(units)) {
		if n := units[name]; n < least || int64(n) > MaxCapacity {
			return &UnitsError{Name: name, Units: n, Allowed: fmt.Sprintf("must be from %d to %.0f", least, float64(MaxCapacity))}
		}
	}
	return nil
}
