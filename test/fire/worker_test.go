package fire

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
	"github.com/concurry-go/concurry/worker"
)

// envWorker makes the test binary a worker process; its value is a setup.
const envWorker = "CONCURRY_FIRE_WORKER"

func TestMain(m *testing.M) {
	if setup := os.Getenv(envWorker); setup != "" {
		if err := work(setup); err != nil {
			fmt.Fprintln(os.Stderr, "fire worker:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// heartbeat is the heartbeat timeout; an outage is well past it.
const (
	heartbeat = 2500 * time.Millisecond // a fifth of it is what a busy machine may be late
	// patient is that of cells in which a body must not be lost before it hears of
	// what an operator or a caller does: it would have had its retries.
	patient = 4 * heartbeat
	outage  = 4 * time.Second
)

// setup is everything a worker process and its caller agree on.
type setup struct {
	Address        string
	Queue          string
	Ledger         string
	Retries        int
	Wait           time.Duration
	InPlace        time.Duration
	AttemptTimeout time.Duration
	CallTimeout    time.Duration
	Heartbeat      time.Duration // zero is heartbeat
	StopTimeout    time.Duration
	Body           body
	// Limit tells that every attempt requires the one unit of a limit.
	Limit bool
	// Taken tells that the process takes the unit itself, so that calls wait.
	Taken bool
	// HandedBack tells that the wait is to be seen on the server.
	HandedBack bool
	// Polls is a file that the process makes when it polls, Waits one that it
	// makes when a call waits, and Free one upon which it gives the unit back.
	Polls, Waits, Free string

	// After, if not zero, is the wait that the first body's error asks for.
	After time.Duration
	// Hangs is the number of a body that waits for its context; 0 is none.
	Hangs int
	// Codec is how the worker's codec fails while the file Broken exists; empty
	// is no codec.
	Codec  codecFault
	Broken string
	// Kind is what the worker process is.
	Kind kind
	// Foreign is the ledger of bodies that no engine governs, and Misread a file
	// that is made when a body finds heartbeat details of its own, which no body
	// leaves any.
	Foreign, Misread string
	// Freed is a file that the process makes when the first body has ended and
	// nothing is held of the limit; empty in processes that do not tell.
	Freed string
}

// kind is what a worker process is.
type kind string

const (
	// governed has concurry's plugin and the method.
	governed kind = ""
	// raw has a function under the method's name, and no plugin.
	raw kind = "raw"
	// ignorant has the plugin, and not the method.
	ignorant kind = "ignorant"
	// sessions is governed, and takes sessions.
	sessions kind = "sessions"
)

// definition is the same in the caller and in every worker process.
func (s *setup) definition() definition {
	o := activity.Options{
		Retry: retrypolicy.Policy{
			NumRetries: s.Retries, Wait: s.Wait, InPlace: s.InPlace,
			Backoff: retrypolicy.Constant, Jitter: retrypolicy.NoJitter,
		},
		AttemptTimeout: s.AttemptTimeout, CallTimeout: s.CallTimeout,
		HeartbeatTimeout: cmp.Or(s.Heartbeat, heartbeat), TaskQueue: s.Queue,
	}
	if s.Limit {
		o.Limits, o.Requires = limits.PerWorker(limits.Resource(unit, 1)), limits.Units{unit: 1}
	}
	d := activity.Define[*burner]("Fire", o)
	return definition{
		Definition: d,
		burn: activity.Method(d, "Burn", (*burner).Burn, activity.MethodOptions[string, string]{
			// Without retries it takes a validator to have the engine in the path.
			RetryUntil: []validation.Validator[string]{func(string, retrypolicy.Attempt) error { return nil }},
		}),
		next: activity.Method(d, "Next", (*burner).Next, activity.MethodOptions[string, int]{
			// Retries are for a worker that is gone, and was handed the call.
			Retry: &retrypolicy.Policy{NumRetries: 3}, CallTimeout: longest / 3,
		}),
	}
}

type definition struct {
	*activity.Definition[*burner]
	burn *activity.MethodHandle[*burner, string, string]
	next *activity.MethodHandle[*burner, string, int]
}

func quiet() log.Logger { return log.NewStructuredLogger(slog.New(slog.DiscardHandler)) }

// work is the worker process.
func work(encoded string) error {
	var s setup
	if err := json.Unmarshal([]byte(encoded), &s); err != nil {
		return err
	}
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	w, err := s.worker(c)
	if err != nil {
		return err
	}
	if err := w.Start(); err != nil {
		return err
	}
	touch(s.Polls)
	<-worker.InterruptCh()
	w.Stop()
	return nil
}

// dial connects the worker. A busy machine's server may keep it waiting for
// longer than Dial has patience.
func (s *setup) dial() (client.Client, error) {
	for deadline := time.Now().Add(longest / 2); ; {
		c, err := client.Dial(client.Options{
			HostPort: s.Address, Logger: quiet(), MetricsHandler: &metrics{setup: s}, DataConverter: s.converter(),
		})
		if err == nil || time.Now().After(deadline) {
			return c, err
		}
	}
}

// hosting is a worker that has not started.
type hosting interface {
	Start() error
	Stop()
}

func (s *setup) worker(c client.Client) (hosting, error) {
	if s.Kind == raw {
		return s.rawWorker(c), nil
	}
	w := worker.New(c, s.Queue, worker.Options{
		WorkerStopTimeout: s.StopTimeout, DisableWorkflowWorker: true, EnableSessionWorker: s.Kind == sessions,
	})
	d, b := s.definition(), &burner{setup: s}
	switch {
	case s.Kind == ignorant:
		worker.RegisterFunc(w, other())
		return w, nil
	case s.Taken:
		room, err := newRoom(w, d, s)
		if err != nil {
			return nil, err
		}
		b.room = room
	}
	if s.Limit && s.Freed != "" {
		sets, err := worker.Limits(w, d.Definition)
		if err != nil {
			return nil, err
		}
		go b.tellFreed(sets)
	}
	worker.Register(w, d.Definition, b)
	return w, nil
}
