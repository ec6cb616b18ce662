package fire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
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
	heartbeat = 1500 * time.Millisecond
	outage    = 3 * time.Second
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

// body is what the first body of a call does; later ones fail at once.
type body string

const (
	// bodyFails returns an error at once.
	bodyFails body = "fails"
	// bodyBlocks waits for its context.
	bodyBlocks body = "blocks"
	// bodyIgnores goes on for 8 seconds, whatever its context says.
	bodyIgnores body = "ignores"
	// bodyKills kills its own process in the third body, or the last if that
	// is earlier; the ones before fail at once.
	bodyKills body = "kills"
	// bodyLasts takes 3 seconds unless its context ends.
	bodyLasts body = "lasts"
	// bodyGated waits for the file Free unless its context ends.
	bodyGated body = "gated"
)

// burner is the worker under fire.
type burner struct {
	setup *setup
	room  *room       // nil unless the process takes it
	ended atomic.Bool // the first body here has
}

// Next is the call after the one under fire; it tells where it ran.
func (*burner) Next(context.Context, string) (int, error) { return os.Getpid(), nil }

// Burn is the method under fire.
func (b *burner) Burn(ctx context.Context, _ string) (string, error) {
	n, err := b.enter()
	if err != nil {
		return "", retrypolicy.Permanent(err)
	}
	if b.setup.Body == bodyKills && n == min(3, b.setup.Retries+1) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	defer b.ended.Store(true)
	b.setup.look(ctx)
	if n == b.setup.Hangs {
		<-ctx.Done()
		return "", ctx.Err()
	}
	if n > 1 {
		return "", errBurnt
	}
	if b.room != nil && b.setup.Retries > 0 {
		b.room.takeNext()
	}
	switch b.setup.Body {
	case bodyBlocks:
		<-ctx.Done()
		return "", ctx.Err()
	case bodyGated:
		if err := b.setup.gate(ctx); err != nil {
			return "", err
		}
	case bodyIgnores:
		time.Sleep(8 * time.Second)
	case bodyLasts:
		select {
		case <-time.After(3 * time.Second):
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	if b.setup.After > 0 {
		return "", retrypolicy.After(errBurnt, b.setup.After)
	}
	return "", errBurnt
}

// gate waits for the file Free.
func (s *setup) gate(ctx context.Context) error {
	for !exists(s.Free) {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

var errBurnt = errors.New("burnt")

// enter counts a started body, in the file that outlives every process, and
// returns the count.
func (b *burner) enter() (int, error) { return enter(b.setup.Ledger) }

func enter(ledger string) (int, error) {
	f, err := os.OpenFile(ledger, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	if _, err := fmt.Fprintf(f, "%d %s\n", os.Getpid(), time.Now().Format(time.RFC3339Nano)); err != nil {
		return 0, err
	}
	return started(ledger)
}

// started is how many bodies the ledger counts.
func started(ledger string) (int, error) {
	content, err := os.ReadFile(ledger)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	return strings.Count(string(content), "\n"), err
}

// definition is the same in the caller and in every worker process.
func (s *setup) definition() definition {
	o := activity.Options{
		Retry: retrypolicy.Policy{
			NumRetries: s.Retries, Wait: s.Wait, InPlace: s.InPlace,
			Backoff: retrypolicy.Constant, Jitter: retrypolicy.NoJitter,
		},
		AttemptTimeout: s.AttemptTimeout, CallTimeout: s.CallTimeout,
		HeartbeatTimeout: heartbeat, TaskQueue: s.Queue,
	}
	if s.Limit {
		o.Limits, o.Requires = limits.Worker(limits.Resource(unit, 1)), limits.Units{unit: 1}
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

// process is a worker process.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// spawn starts a worker process that ends with the test at the latest.
func (s setup) spawn(t *testing.T) *process {
	t.Helper()
	encoded, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(self), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), envWorker+"="+string(encoded))
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
	})
	return p
}

// over tells whether the process has ended.
func (p *process) over() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// signal sends sig; a process that has ended is not an error.
func (p *process) signal(sig os.Signal) { _ = p.cmd.Process.Signal(sig) }
