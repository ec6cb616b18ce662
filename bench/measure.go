package main

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"
)

// effort is how long a row is measured.
type effort struct {
	// rounds is how many times all contestants take their turn.
	rounds int
	// slice is how long one turn takes, about.
	slice time.Duration
	// calls is how many calls rows with a server make.
	calls int
}

// contestant is one way to do the same work; run does it n times.
type contestant struct {
	name string
	run  func(n int)
}

// interleaved are the times of contestants that took turns, A B C A B C …, so
// that whatever else the machine does hits all of them alike.
type interleaved struct {
	names []string
	// ns[c][r] is the time per operation of contestant c in round r.
	ns [][]float64
}

// race lets the contestants take turns. Every round starts with another one,
// since who comes first after a pause is at a disadvantage.
func race(e *effort, contestants ...contestant) *interleaved {
	t := &interleaved{ns: make([][]float64, len(contestants))}
	counts := make([]int, len(contestants))
	for i, c := range contestants {
		t.names = append(t.names, c.name)
		counts[i] = operationsWithin(e.slice, c.run)
	}
	runtime.GC()
	for round := range e.rounds {
		for turn := range contestants {
			i := (round + turn) % len(contestants)
			t.ns[i] = append(t.ns[i], perOperation(contestants[i].run, counts[i]))
		}
	}
	return t
}

func perOperation(run func(int), n int) float64 {
	start := time.Now()
	run(n)
	return float64(time.Since(start).Nanoseconds()) / float64(n)
}

// operationsWithin is how many operations fit into d.
func operationsWithin(d time.Duration, run func(int)) int {
	for n := 1; ; n *= 2 {
		start := time.Now()
		run(n)
		if took := time.Since(start); took >= d/4 {
			return max(int(float64(n)*float64(d)/float64(took)), 1)
		}
	}
}

// of is the median time of a contestant in nanoseconds per operation.
func (t *interleaved) of(name string) float64 { return median(t.times(name)) }

// ratio is the median, over the rounds, of a's time divided by b's.
func (t *interleaved) ratio(a, b string) float64 {
	return median(pairwise(t.times(a), t.times(b), func(x, y float64) float64 { return x / y }))
}

// added is the first quartile, over the rounds, of a's time less b's: an
// absolute time, to which what else the machine does can only add.
func (t *interleaved) added(a, b string) float64 {
	return quantile(pairwise(t.times(a), t.times(b), func(x, y float64) float64 { return x - y }), 0.25)
}

func (t *interleaved) times(name string) []float64 {
	return t.ns[slices.Index(t.names, name)]
}

func pairwise(a, b []float64, f func(x, y float64) float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = f(a[i], b[i])
	}
	return out
}

func median(values []float64) float64 { return quantile(values, 0.5) }

// quantile interpolates between the two nearest values.
func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// allocations per operation; a whole number, as testing.AllocsPerRun has it.
func allocations(run func(n int)) float64 {
	return testing.AllocsPerRun(1000, func() { run(1) })
}

// checked runs work once and says what is wrong with it: a contestant that
// does something else would be compared with apples.
func checked(name string, gotErr, wantErr error, calls, wantCalls int) error {
	switch {
	case !errors.Is(gotErr, wantErr):
		return fmt.Errorf("%s ends with error %w, not %w", name, gotErr, wantErr)
	case calls != wantCalls:
		return fmt.Errorf("%s calls the body %d times, not %d", name, calls, wantCalls)
	}
	return nil
}
