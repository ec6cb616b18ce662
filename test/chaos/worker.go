package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/worker"
)

// envWorker makes the program a worker process; its value is a setup.
const envWorker = "CONCURRY_CHAOS_WORKER"

// setup is everything that a worker process needs to know.
type setup struct {
	Address string `json:"address"`
	Queue   string `json:"queue"`
	Ledger  string `json:"ledger"`
	Seed    uint64 `json:"seed"`
}

const (
	// localFlow is the workflow that makes a local call.
	localFlow = "ChaosLocal"
	// stopTimeout is how long bodies have when their worker is shut down.
	stopTimeout = time.Second
	// dialTimeout is how long a server may be away while a worker comes up.
	dialTimeout = time.Minute
	library     = "github.com/concurry-go/concurry/"
)

// workerMain is the worker process. It obeys commands on its standard input, and
// ends with it. Its exit status is 0 only when it was asked to stop.
func workerMain(encoded string) int {
	var s setup
	w := &hosting{setup: &s}
	err := json.Unmarshal([]byte(encoded), &s)
	if err == nil {
		err = w.start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos: worker:", err)
		return exitBroken
	}
	go w.obey()
	<-worker.InterruptCh()
	w.worker.Stop()
	return exitFine
}

// hosting is a worker process that runs.
type hosting struct {
	setup   *setup
	worker  *worker.Worker
	methods []method
	started state
}

func (h *hosting) start() error {
	c, err := h.dial()
	if err != nil {
		return err
	}
	book, err := openLedger(h.setup.Ledger)
	if err != nil {
		return err
	}
	h.worker = worker.New(c, h.setup.Queue, worker.Options{
		WorkerStopTimeout: stopTimeout, EnableSessionWorker: true, MaxConcurrentActivityExecutionSize: 100,
		OnFatalError: func(err error) {
			fmt.Fprintln(os.Stderr, "chaos: worker: fatal:", err)
			os.Exit(exitBroken)
		},
	})
	p := newPlan(options{seed: h.setup.Seed})
	if h.methods, err = p.methods(h.setup.Queue); err != nil {
		return err
	}
	for i, m := range h.methods {
		worker.Register(h.worker, m.Definition, &subject{shape: p.shapes[i], ledger: book})
	}
	h.worker.RegisterWorkflowWithOptions(func(ctx workflow.Context, shape int, in input) (output, error) {
		return h.methods[shape].handle.ExecuteLocal(ctx, in).Get(ctx)
	}, workflow.RegisterOptions{Name: localFlow})
	if err := h.worker.Start(); err != nil {
		return err
	}
	h.started = h.state()
	return nil
}

// dial waits for a server that is away.
func (h *hosting) dial() (client.Client, error) {
	for deadline := time.Now().Add(dialTimeout); ; {
		c, err := client.Dial(client.Options{HostPort: h.setup.Address, Logger: quiet()})
		if err == nil || time.Now().After(deadline) {
			return c, err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func quiet() log.Logger { return log.NewStructuredLogger(slog.New(slog.DiscardHandler)) }

// state is what a worker process holds and runs.
type state struct {
	// Held are the keys of shapes that hold units, or have waiting requests.
	Held []string `json:"held"`
	// Library are the goroutines that run code of the library.
	Library int `json:"library"`
	// Goroutines are all.
	Goroutines int `json:"goroutines"`
	// Stacks are those of Library, grouped, where there are some.
	Stacks string `json:"stacks,omitempty"`
}

// report is a worker's answer to askReport.
type report struct {
	Before state `json:"before"`
	Now    state `json:"now"`
}

const askReport = "report"

// obey answers commands, one a line.
func (h *hosting) obey() {
	in := bufio.NewScanner(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		if in.Text() == askReport {
			if err := out.Encode(report{Before: h.started, Now: h.state()}); err != nil {
				break // nobody reads
			}
		}
	}
	os.Exit(exitBroken) // whoever started this is gone
}

func (h *hosting) state() state {
	s := state{Goroutines: runtime.NumGoroutine()}
	for _, m := range h.methods {
		sets, err := worker.Limits(h.worker, m.Definition)
		if err != nil {
			continue // it has none, or they are sessions'
		}
		for key, snapshot := range sets.Snapshots() {
			if isHolding(&snapshot) {
				s.Held = append(s.Held, fmt.Sprintf("%s of %q: %d leases, %d waiting, %+v", m.Name(), key, snapshot.Leases, snapshot.Waiting, snapshot.Limits))
			}
		}
	}
	s.Library, s.Stacks = libraryStacks()
	return s
}

func isHolding(s *limits.Snapshot) bool {
	for _, u := range s.Limits {
		if u.Kind == limits.KindResource && u.InUse > 0 {
			return true
		}
	}
	return s.Leases > 0 || s.Waiting > 0
}

// libraryStacks are the goroutines that run code of the library, this program's
// aside, and how many they are.
func libraryStacks() (int, string) {
	var text strings.Builder
	_ = pprof.Lookup("goroutine").WriteTo(&text, 1)
	_, groups, _ := strings.Cut(text.String(), "\n") // the first line is a headline
	n, stacks := 0, strings.Builder{}
	for group := range strings.SplitSeq(groups, "\n\n") {
		count := 0
		if _, err := fmt.Sscanf(group, "%d @", &count); err != nil || !runsLibrary(group) {
			continue
		}
		n += count
		stacks.WriteString(group + "\n\n")
	}
	return n, stacks.String()
}

func runsLibrary(stack string) bool {
	for call := range strings.Lines(stack) {
		if strings.Contains(call, library) && !strings.Contains(call, library+"test/") {
			return true
		}
	}
	return false
}
