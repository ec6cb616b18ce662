package limits

import (
	"fmt"
	"maps"
	"slices"
)

// Unlimited returns a set that has every key and no limit, for code that
// acquires where nothing is to be bounded, as in tests and tools:
//
//	ctx, release := limits.With(ctx, limits.Unlimited())
//	defer release()
//
// Every request is granted at once, also one without units, as a set with a call
// limit does; units below 1 are an error here too. Its leases are used as
// others are: Units are those that were acquired or last said to be used.
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
