package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// options are what the command line says.
type options struct {
	seed    uint64
	length  time.Duration // of the faults
	settle  time.Duration // for what is under way then
	calls   int           // under way at one time
	workers int
	without []string // names of faults and kinds
}

const (
	shortest, longest = time.Second, 24 * time.Hour
	mostCalls         = 5000
	mostWorkers       = 32
)

// parse reads the command line. Usage and mistakes are printed to out.
func parse(args []string, out io.Writer) (options, error) {
	var o options
	var without string
	f := flag.NewFlagSet("chaos", flag.ContinueOnError)
	f.SetOutput(out)
	f.Uint64Var(&o.seed, "seed", 0, "`seed` of policies, calls and faults; 0 draws one")
	f.DurationVar(&o.length, "for", 2*time.Minute, "how long faults happen")
	f.DurationVar(&o.settle, "settle", 3*time.Minute, "how long calls have to end afterwards")
	f.IntVar(&o.calls, "calls", 200, "how many calls are under way at one time")
	f.IntVar(&o.workers, "workers", 4, "how many worker processes there are")
	f.StringVar(&without, "without", "", "faults and kinds of calls to leave out, with commas between: "+strings.Join(names(), ", "))
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("argument %q: there are only flags", f.Arg(0))
	}
	if without != "" {
		o.without = strings.Split(without, ",")
	}
	if o.seed == 0 {
		o.seed = rand.Uint64() //nolint:gosec // not a secret
	}
	return o, o.check()
}

func (o *options) check() error {
	var errs []error
	bad := func(name string, value any, allowed string) {
		errs = append(errs, fmt.Errorf("-%s %v: %s", name, value, allowed))
	}
	for name, d := range map[string]time.Duration{"for": o.length, "settle": o.settle} {
		if d < shortest || d > longest {
			bad(name, d, fmt.Sprintf("must be from %v to %v", shortest, longest))
		}
	}
	if o.calls < 1 || o.calls > mostCalls {
		bad("calls", o.calls, fmt.Sprintf("must be from 1 to %d", mostCalls))
	}
	if o.workers < 1 || o.workers > mostWorkers {
		bad("workers", o.workers, fmt.Sprintf("must be from 1 to %d", mostWorkers))
	}
	for _, name := range o.without {
		if !slices.Contains(names(), name) {
			bad("without", name, "must be among "+strings.Join(names(), ", "))
		}
	}
	if len(o.kinds()) == 0 {
		bad("without", strings.Join(o.without, ","), "must leave a kind of calls")
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// allFaults is the name of all faults together.
const allFaults = "faults"

// names are those that -without knows.
func names() []string {
	all := []string{allFaults}
	for _, f := range faults() {
		all = append(all, string(f.kind))
	}
	for _, k := range kinds() {
		all = append(all, string(k.kind))
	}
	return all
}

func (o *options) leavesOut(name string) bool { return slices.Contains(o.without, name) }

// lacks reports whether there is no fault of a kind.
func (o *options) lacks(f fault) bool { return o.leavesOut(string(f)) || o.leavesOut(allFaults) }
