// Command bench compares the SDK with Temporal's bare one and with the retry
// libraries of Go, side by side in one run.
//
//	go run ./bench                 prints every row
//	go run ./bench -check          judges them; exits with 1 if one falls short
//	go run ./bench -run sync       rows whose name matches a regular expression
//	go run ./bench -list           what each row demands
//
// Contestants take turns, and ratios are medians over the rounds: see
// README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second interrupt ends the process at once
	code := run(ctx, os.Args[1:], rows(), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// rows are all comparisons, in the order they are printed.
func rows() []row { return slices.Concat(activityRows(), syncRows(), limitRows(), serverRows()) }

// Exit codes.
const (
	exitOK    = 0
	exitShort = 1 // a row falls short, or could not be measured
	exitUsage = 2
)

func run(ctx context.Context, args []string, all []row, out, errOut io.Writer) int {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(errOut)
	check := flags.Bool("check", false, "judge the rows; exit with 1 and name what falls short")
	list := flags.Bool("list", false, "print what each row demands, and measure nothing")
	pattern := flags.String("run", "", "measure only rows whose name matches this regular expression")
	e := &effort{}
	flags.IntVar(&e.rounds, "rounds", 41, "how many turns each contestant takes")
	flags.DurationVar(&e.slice, "slice", 5*time.Millisecond, "how long one turn takes")
	flags.IntVar(&e.calls, "calls", 20, "how many calls rows with a server make")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitOK
		}
		return exitUsage
	}
	chosen, err := choose(all, *pattern)
	if err != nil {
		fmt.Fprintln(errOut, err)
		return exitUsage
	}
	if *list {
		printDemands(out, chosen)
		return exitOK
	}
	return judge(ctx, chosen, e, *check, out)
}

// choose are the rows whose name matches pattern; no row is a mistake.
func choose(all []row, pattern string) ([]row, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("-run %q: must be a regular expression: %w", pattern, err)
	}
	chosen := slices.DeleteFunc(slices.Clone(all), func(w row) bool { return !re.MatchString(w.name) })
	if len(chosen) == 0 {
		names := make([]string, len(all))
		for i, w := range all {
			names[i] = w.name
		}
		return nil, fmt.Errorf("-run %q matches no row; there are %s", pattern, strings.Join(names, ", "))
	}
	return chosen, nil
}

func printDemands(out io.Writer, rows []row) {
	for _, w := range rows {
		fmt.Fprintf(out, "%s\n    %s\n", w.name, w.about)
		for _, d := range w.demands {
			fmt.Fprintf(out, "    %v\n", d)
		}
		if len(w.demands) == 0 {
			fmt.Fprintln(out, "    printed only")
		}
	}
}

// judge measures rows one after the other and prints them; with verdicts, it
// also tells which of them fall short, in its output and its exit code. A row
// that cannot be measured always does.
func judge(ctx context.Context, rows []row, e *effort, verdicts bool, out io.Writer) int {
	fmt.Fprintf(out, "%s %s/%s, %d CPUs, %d rounds\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), e.rounds)
	var short []string
	for _, w := range rows {
		if ctx.Err() != nil {
			fmt.Fprintf(out, "\n%s: not measured: %v\n", w.name, context.Cause(ctx))
			short = append(short, w.name)
			continue
		}
		fmt.Fprintf(out, "\n%s: %s\n", w.name, w.about)
		if !holds(ctx, &w, e, verdicts, out) {
			short = append(short, w.name)
		}
	}
	switch {
	case len(short) > 0:
		fmt.Fprintf(out, "\nfalls short: %s\n", strings.Join(short, ", "))
		return exitShort
	case verdicts:
		fmt.Fprintln(out, "\nevery row holds what it demands")
	}
	return exitOK
}

// tries is how often a row is measured before it falls short: what other
// programs do to a shared machine passes, what the code does stays.
const tries = 3

// holds measures and prints one row, and with verdicts judges it.
func holds(ctx context.Context, w *row, e *effort, verdicts bool, out io.Writer) bool {
	for try := 1; ; try++ {
		r, err := w.measure(ctx, e)
		if err != nil {
			fmt.Fprintf(out, "    not measured: %v\n", err)
			return false
		}
		for _, f := range r.figures {
			fmt.Fprintf(out, "    %-28s %s\n", f.name, quantity(f.value, f.unit))
		}
		if !verdicts || len(w.demands) == 0 {
			return true
		}
		problems := w.shortfalls(r)
		for _, p := range problems {
			fmt.Fprintf(out, "    FALLS SHORT: %s\n", p)
		}
		switch {
		case len(problems) == 0:
			fmt.Fprintln(out, "    ok")
			return true
		case try == tries || ctx.Err() != nil:
			return false
		}
		fmt.Fprintf(out, "    measured again, try %d of %d:\n", try+1, tries)
	}
}
