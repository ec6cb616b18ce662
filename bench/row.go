package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// row is one comparison: what it measures, and what a release must hold.
type row struct {
	name string
	// about says what is compared, in one sentence.
	about string
	// demands are what -check judges; a row without any is only printed.
	demands []demand
	measure func(ctx context.Context, e *effort) (*result, error)
}

// demand is a bound on one figure of a row.
type demand struct {
	figure string
	// atLeast makes limit a lower bound; the default is an upper one.
	atLeast bool
	limit   float64
	unit    string
}

func (d demand) String() string {
	word := "at most"
	if d.atLeast {
		word = "at least"
	}
	return fmt.Sprintf("%s %s %s", d.figure, word, quantity(d.limit, d.unit))
}

// met reports whether got holds the demand.
func (d demand) met(got float64) bool {
	if d.atLeast {
		return got >= d.limit
	}
	return got <= d.limit
}

// result is what a row measured: figures by name, in the order they were set.
type result struct {
	figures []figure
}

type figure struct {
	name  string
	value float64
	unit  string
}

func (r *result) set(name string, value float64, unit string) {
	r.figures = append(r.figures, figure{name, value, unit})
}

func (r *result) get(name string) (float64, bool) {
	i := slices.IndexFunc(r.figures, func(f figure) bool { return f.name == name })
	if i < 0 {
		return 0, false
	}
	return r.figures[i].value, true
}

// shortfalls are the demands that r does not meet, in words. A figure that was
// not measured, or is no number, meets nothing.
func (w *row) shortfalls(r *result) []string {
	var short []string
	for _, d := range w.demands {
		got, ok := r.get(d.figure)
		switch {
		case !ok:
			short = append(short, fmt.Sprintf("%s: not measured, must be %s", d.figure, strings.TrimPrefix(d.String(), d.figure+" ")))
		case !d.met(got):
			short = append(short, fmt.Sprintf("%s is %s, must be %s", d.figure, quantity(got, d.unit), strings.TrimPrefix(d.String(), d.figure+" ")))
		}
	}
	return short
}

// quantity is a value with its unit, in as many digits as mean something.
func quantity(v float64, unit string) string {
	if v == 0 { // also -0
		v = 0
	}
	number := fmt.Sprintf("%.2f", v)
	switch {
	case v == float64(int64(v)):
		number = fmt.Sprintf("%.0f", v)
	case v >= 100 || v <= -100:
		number = fmt.Sprintf("%.0f", v)
	case v >= 10 || v <= -10:
		number = fmt.Sprintf("%.1f", v)
	}
	if unit == "" {
		return number
	}
	return number + " " + unit
}
