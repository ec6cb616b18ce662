package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// violation is a promise that was broken.
type violation struct {
	Promise string
	Detail  string
	Call    string // empty if it is of no single call
	At      time.Time
}

// judgement is what a run came to.
type judgement struct {
	violations []violation
	bodies     int
	lost       int // calls that ended with AttemptLost
	bodiesLeft int // those of them that had bodies left
}

// judge compares what was promised with what the ledger has.
func judge(p *plan, results []*result, lines []line) *judgement {
	j := &judgement{}
	of := byCall(lines)
	for _, r := range results {
		j.call(r, of[r.call])
	}
	j.limits(p, lines)
	j.unknown(results, of)
	return j
}

func byCall(lines []line) map[string][]line {
	all := map[string][]line{}
	for _, l := range lines {
		all[l.Call] = append(all[l.Call], l)
	}
	return all
}

func (j *judgement) addf(promise, call string, at time.Time, format string, args ...any) {
	j.violations = append(j.violations, violation{Promise: promise, Call: call, At: at, Detail: fmt.Sprintf(format, args...)})
}

// call judges one call.
func (j *judgement) call(r *result, lines []line) {
	r.started = map[int]bool{}
	times, bodies := map[int]int{}, 0
	var last time.Time
	for _, l := range lines {
		switch l.Event {
		case evBegin:
			bodies++
			times[l.N]++
			r.started[l.N] = true
			last = l.Time
		case evMisread:
			j.addf("heartbeat details are those of the call's bodies", r.call, l.Time, "attempt %d found %s", l.N, l.Note)
		}
	}
	j.bodies += bodies
	most, budgets := r.shape.attempts(), 1+r.resets
	if r.spec.Kind != localToFlow { // those start over with their worker
		if bodies > most*budgets {
			j.addf("at most so many bodies", r.call, last, "%d bodies were started; allowed are %d, %d budget(s) of %d", bodies, most*budgets, budgets, most)
		}
		for _, n := range slices.Sorted(maps.Keys(times)) {
			if times[n] > budgets {
				j.addf("no attempt's number twice", r.call, last, "attempt %d was started %d times, with %d budget(s)", n, times[n], budgets)
			}
		}
	}
	for n := range times {
		if n < 1 || n > most {
			j.addf("attempts are numbered from 1", r.call, last, "attempt %d was started, of %d", n, most)
		}
	}
	switch {
	case r.hung:
		j.addf("every call ends", r.call, last, "it has not: %s", r.outcome.Text)
		return
	case r.orphan:
		return // it may not exist
	}
	if err := r.explain(); err != nil {
		j.addf("every outcome can be explained", r.call, r.ended, "%v", err)
	}
	if r.outcome.Ending == endsLost {
		j.lost++
		if bodies < most {
			j.bodiesLeft++
		}
	}
}

// unknown finds bodies of calls that nobody has made.
func (j *judgement) unknown(results []*result, of map[string][]line) {
	known := map[string]bool{}
	for _, r := range results {
		known[r.call] = true
	}
	for _, call := range slices.Sorted(maps.Keys(of)) {
		parent, _, inner := strings.Cut(call, ".")
		if !known[call] && (!inner || !known[parent]) { // a session that was canceled tells of no calls
			j.addf("only calls that were made run", call, of[call][0].Time, "nobody has made it")
		}
	}
}

// bound is one limit of one worker's, or of one session's.
type bound struct {
	pid        int
	shape, key string
	scope      string
}

// limits follows who held what. Between two lines of a process nothing can be
// held that they do not tell: a body begins when it has what it needs, and tells
// that it has ended before it gives that back.
func (j *judgement) limits(p *plan, lines []line) {
	shapes := map[string]*shape{}
	for _, s := range p.shapes {
		shapes[s.Name] = s
	}
	held := map[bound]int{}
	holding := map[string]int{} // bodies that have begun, and not ended
	for _, l := range lines {
		s := shapes[l.Shape]
		if s == nil || s.Limit == unlimited {
			continue
		}
		b := bound{pid: l.PID, shape: l.Shape, scope: l.Scope}
		if s.Limit == perKey {
			b.key = l.Key
		}
		body := fmt.Sprintf("%d %s/%d", l.PID, l.Call, l.N)
		switch l.Event {
		case evBegin:
			holding[body]++
			held[b] += l.Units
			if held[b] > s.Capacity {
				j.addf("a limit is never over capacity", l.Call, l.Time, "process %d held %d of %d units of %s, key %q, session %q", l.PID, held[b], s.Capacity, l.Shape, b.key, b.scope)
			}
		case evEnd:
			if holding[body] > 0 {
				holding[body]--
				held[b] -= l.Units
			}
		}
	}
}

// workers judges what the processes hold and run in the end.
func (j *judgement) workers(reports map[int]report) {
	for _, i := range slices.Sorted(maps.Keys(reports)) {
		r := reports[i]
		if len(r.Now.Held) > 0 {
			j.addf("nothing is held in the end", "", time.Time{}, "worker %d holds %s", i, strings.Join(r.Now.Held, "; "))
		}
		if r.Now.Library > r.Before.Library {
			j.addf("no goroutines are left", "", time.Time{}, "worker %d runs %d goroutines of the library, and %d when it began:\n%s", i, r.Now.Library, r.Before.Library, r.Now.Stacks)
		}
	}
}

// byPromise orders violations for a reader.
func byPromise(a, b violation) int {
	return cmp.Or(cmp.Compare(a.Promise, b.Promise), cmp.Compare(a.Call, b.Call), a.At.Compare(b.At))
}
