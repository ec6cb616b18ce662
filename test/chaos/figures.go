package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// run is what is told of a run.
type run struct {
	plan      *plan
	results   []*result
	lines     []line
	judgement *judgement
	storm     *storm
	log       *diary
	reports   map[int]report // of workers, in the end
	spawned   int
	died      int
	took      time.Duration
	settled   time.Duration
	dir       string
}

// print prints the figures, and violations with what explains them.
func (r *run) print(out io.Writer) {
	kinds, outcomes := map[string]int{}, map[string]int{}
	canceled, orphans := 0, 0
	for _, one := range r.results {
		kinds[string(one.spec.Kind)]++
		if one.orphan {
			orphans++
		}
		if one.canceled {
			canceled++
		}
		if !one.hung && !one.orphan && !one.holdsCalls() {
			outcomes[one.outcome.String()]++
		}
	}
	done, hits := map[string]int{}, map[string]int{}
	for k, n := range r.storm.done {
		done[string(k)] = n
	}
	for k, n := range r.storm.hits {
		hits[string(k)] = n
	}
	done[string(cancels)] = canceled
	j := r.judgement
	fmt.Fprintf(out, "calls       %d: %s\n", len(r.results), counts(kinds))
	fmt.Fprintf(out, "bodies      %d\n", j.bodies)
	fmt.Fprintf(out, "faults      %d: %s\n", total(done), counts(done))
	fmt.Fprintf(out, "requests    %d hit: %s\n", total(hits), counts(hits))
	fmt.Fprintf(out, "processes   %d, of which bodies have ended %d\n", r.spawned, r.died)
	fmt.Fprintf(out, "outcomes    %s\n", counts(outcomes))
	fmt.Fprintf(out, "lost        %d calls ended with AttemptLost, %d of them with bodies left\n", j.lost, j.bodiesLeft)
	if orphans > 0 {
		fmt.Fprintf(out, "unknown     %d calls that may not have reached the server\n", orphans)
	}
	fmt.Fprintf(out, "goroutines  %s\n", r.goroutines())
	fmt.Fprintf(out, "time        %v of faults, %v until all calls had ended\n", r.took.Round(time.Second), r.settled.Round(time.Second))
	slices.SortFunc(j.violations, byPromise)
	fmt.Fprintf(out, "violations  %d\n", len(j.violations))
	for i, v := range j.violations {
		if i == mostExplained {
			fmt.Fprintf(out, "\nand %d more, of which %s has what happened\n", len(j.violations)-i, r.dir)
			break
		}
		r.explain(out, v)
	}
}

// goroutines are those of the last processes, when they began and in the end.
func (r *run) goroutines() string {
	words := make([]string, 0, len(r.reports))
	for _, i := range slices.Sorted(maps.Keys(r.reports)) {
		one := r.reports[i]
		words = append(words, fmt.Sprintf("worker %d %d, then %d (%d and %d of the library)", i, one.Before.Goroutines, one.Now.Goroutines, one.Before.Library, one.Now.Library))
	}
	return strings.Join(words, ", ")
}

// mostExplained is how many violations are printed in full.
const mostExplained = 12

// around is how much of what happened is printed with a violation.
const around = 6 * time.Second

// explain prints a violation with everything about its call.
func (r *run) explain(out io.Writer, v violation) {
	fmt.Fprintf(out, "\nVIOLATION: %s", v.Promise)
	if v.Call != "" {
		fmt.Fprintf(out, ": call %s", v.Call)
	}
	fmt.Fprintf(out, "\n  %s\n", strings.ReplaceAll(strings.TrimSpace(v.Detail), "\n", "\n  "))
	from, to := v.At.Add(-around), v.At
	for _, one := range r.results {
		if one.call != v.Call {
			continue
		}
		fmt.Fprintf(out, "  made %s as %s, ended %s with %s, canceled %v, resets %d\n", clock(one.begun), one.spec.Kind, clock(one.ended), one.outcome, one.canceled, one.resets)
		fmt.Fprintf(out, "  its error: %s\n", one.outcome.Text)
		fmt.Fprintf(out, "  policy %s\n  steps  %s\n", asJSON(one.shape), asJSON(one.spec.Input.Steps))
		from = later(from, one.begun)
	}
	for _, l := range r.lines {
		if l.Call == v.Call && v.Call != "" {
			fmt.Fprintf(out, "  %s process %d: %s of attempt %d, server attempt %d, which %s\n", clock(l.Time), l.PID, l.Event, l.N, l.ServerAttempt, l.Act)
			from = earlier(from, l.Time)
		}
	}
	if v.At.IsZero() {
		return
	}
	fmt.Fprintln(out, "  what happened:")
	for _, e := range r.log.between(from.Add(-time.Second), to) {
		fmt.Fprintf(out, "    %s\n", e)
	}
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// counts are counts in words, the largest first.
func counts(of map[string]int) string {
	keys := slices.SortedFunc(maps.Keys(of), func(a, b string) int { return cmp.Or(of[b]-of[a], strings.Compare(a, b)) })
	words := make([]string, 0, len(keys))
	for _, k := range keys {
		if of[k] > 0 {
			words = append(words, fmt.Sprintf("%s %d", k, of[k]))
		}
	}
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}

func total(of map[string]int) int {
	sum := 0
	for _, n := range of {
		sum += n
	}
	return sum
}
