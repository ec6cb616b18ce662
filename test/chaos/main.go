package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/concurry-go/concurry/testsuite/devserver"
	"github.com/concurry-go/concurry/worker"
)

// Exit statuses.
const (
	exitFine     = 0
	exitViolated = 1
	exitBroken   = 2
)

func main() { os.Exit(mainStatus()) }

func mainStatus() int {
	if setup := os.Getenv(envWorker); setup != "" {
		return workerMain(setup)
	}
	o, err := parse(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitFine
	case err != nil:
		fmt.Fprintln(os.Stderr, "chaos:", err)
		return exitBroken
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	violations, err := chaos(ctx, o, os.Stdout)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "chaos:", err)
		return exitBroken
	case len(violations) > 0:
		return exitViolated
	}
	return exitFine
}

// chaos runs a seed's schedule, prints what it came to, and returns the promises
// that were broken. Where ctx ends, faults end, and what has been is judged.
func chaos(ctx context.Context, o options, out io.Writer) ([]violation, error) {
	p := newPlan(o)
	fmt.Fprintf(out, "chaos       seed %d, schedule %s: %d faults in %v, %d workers, %d calls at a time\n", o.seed, p.hash(), len(p.strikes), o.length, o.workers, o.calls)
	dir, err := os.MkdirTemp("", "chaos-")
	if err != nil {
		return nil, err
	}
	r, err := perform(ctx, p, dir)
	if err != nil {
		return nil, fmt.Errorf("%w (files are in %s)", err, dir)
	}
	r.print(out)
	if len(r.judgement.violations) > 0 {
		fmt.Fprintf(out, "\nledger and faults are in %s\n", dir)
		return r.judgement.violations, nil
	}
	return nil, os.RemoveAll(dir)
}

// perform brings everything up, lets it happen, and judges it.
func perform(ctx context.Context, p *plan, dir string) (*run, error) {
	log, err := openDiary(filepath.Join(dir, "faults"))
	if err != nil {
		return nil, err
	}
	server, err := devserver.Start(ctx, devserver.Options{DBFilename: filepath.Join(dir, "temporal.db")})
	if err != nil {
		return nil, err
	}
	defer func() { _ = server.Stop() }()
	c, err := server.Dial(client.Options{Logger: quiet(), Plugins: []client.Plugin{worker.Plugin()}})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	s := setup{Queue: "chaos", Ledger: filepath.Join(dir, "ledger"), Seed: p.options.seed}
	calls := &caller{plan: p, client: c, queue: s.Queue, flows: "chaos-flows", log: log}
	if calls.methods, err = p.methods(s.Queue); err != nil {
		return nil, err
	}
	host, err := calls.host()
	if err != nil {
		return nil, err
	}
	defer host.Stop()
	f, err := launch(s, server.HostPort(), p.options.workers, log)
	defer f.stop()
	if err != nil {
		return nil, err
	}
	r := &run{plan: p, log: log, dir: dir, storm: &storm{
		fleet: f, server: server, caller: calls, log: log, done: map[fault]int{}, hits: map[fault]int{},
	}}
	if err := r.happen(ctx, calls); err != nil {
		return nil, err
	}
	return r, r.verdict(f, calls, s.Ledger)
}

// happen makes calls and faults until their time is over, and waits for calls to
// end.
func (r *run) happen(ctx context.Context, calls *caller) error {
	o := r.plan.options
	begun := time.Now()
	until, end := context.WithTimeout(ctx, o.length)
	defer end()
	patience, lose := context.WithCancel(context.WithoutCancel(ctx))
	defer lose()
	raged := make(chan error, 1)
	go func() {
		err := r.storm.rage(until, r.plan.strikes)
		<-until.Done()
		r.took = time.Since(begun)
		time.AfterFunc(o.settle, lose)
		raged <- err
	}()
	err := calls.keep(until, patience)
	if err != nil {
		end() // there is no point in more faults
	}
	err = errors.Join(err, <-raged)
	r.settled = time.Since(begun) - r.took
	calls.pausing.Wait()
	return err
}

// verdict asks the workers, reads the ledger, and judges.
func (r *run) verdict(f *fleet, calls *caller, ledger string) error {
	reports := f.quiet(reportPatience)
	f.stop()
	lines, err := readLedger(ledger)
	if err != nil {
		return err
	}
	r.lines, r.results, r.reports = lines, calls.results, reports
	r.judgement = judge(r.plan, r.results, lines)
	r.judgement.workers(reports)
	f.mu.Lock()
	defer f.mu.Unlock()
	r.spawned, r.died = f.spawned, f.died
	for _, death := range f.deaths {
		r.judgement.addf("no process ends on its own account", "", time.Time{}, "%s", death)
	}
	for _, s := range f.slots {
		if _, ok := reports[s.index]; !ok {
			r.judgement.addf("every worker answers in the end", "", time.Time{}, "worker %d does not", s.index)
		}
	}
	return nil
}

// reportPatience is how long bodies that nobody waits for any more, such as
// abandoned ones, have to end.
const reportPatience = 40 * time.Second

// quiet asks all workers again and again until they hold and run nothing, or
// patience is over, and returns their last reports.
func (f *fleet) quiet(patience time.Duration) map[int]report {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	reports := map[int]report{}
	for {
		busy := false
		for _, s := range f.slots {
			p := s.running()
			if p == nil {
				busy = true
				continue
			}
			r, err := p.report(ctx)
			if err != nil {
				busy = true
				continue
			}
			reports[s.index] = r
			busy = busy || len(r.Now.Held) > 0 || r.Now.Library > r.Before.Library
		}
		if !busy || !pause(ctx, 200*time.Millisecond) {
			return reports
		}
	}
}
