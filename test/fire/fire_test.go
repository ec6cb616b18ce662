package fire

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/test/internal/faultproxy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/testsuite/devserver"
)

const (
	// longest is what a cell may take before it counts as hanging.
	longest = 90 * time.Second
	// activityID is the one activity's in workflows.
	activityID = "burn"
)

// field is one cell, being run.
type field struct {
	*testing.T
	cell
	setup   setup
	server  *devserver.Server
	client  client.Client
	proxy   *proxy            // nil unless the event cuts connections
	faults  *faultproxy.Proxy // nil unless a script's first makes it
	workers []*process
	cancel  func(context.Context) error
	wait    func(context.Context) error
	state   func(context.Context) (activity.CallState, error)
	run     client.WorkflowRun
	random  *rand.Rand
	freed   string              // a file of the first worker; see setup.Freed
	hit     *faultproxy.Applied // what happens to a request; nil unless a script says so

	definition definition
}

// runCell runs a cell and returns how many bodies were started, and how the call
// ended. A machine that is slow loses server attempts, which count as bodies, and the
// cell is run once more then. It never starts more bodies than are allowed.
//
// No more cells than starts has room for bring server and worker up at one time:
// calls that run already would miss their heartbeats.
func runCell(t *testing.T, c cell, seed uint64, starts chan struct{}) (n int, got ending, again bool) {
	t.Helper()
	n, got, err := playCell(t, c, seed, starts)
	if again = errors.Is(err, errSlow); again {
		t.Logf("seed %d, once more: %v", seed, err)
		n, got, err = playCell(t, c, seed, starts)
	}
	require.NoError(t, err)
	return n, got, again
}

// errSlow is the error of a cell that may have been run by a slow machine.
var errSlow = errors.New("too few bodies started")

// playCell runs a cell once.
func playCell(t *testing.T, c cell, seed uint64, starts chan struct{}) (n int, got ending, slow error) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			err, _ := r.(error)
			if !errors.Is(err, errSlow) {
				panic(r)
			}
			slow = err
		}
	}()
	f := &field{T: t, cell: c, setup: c.setup(), random: rand.New(rand.NewPCG(seed, seed))}
	f.play(starts)
	err := f.await()
	switch settle := scriptOf(c.event).settle; {
	case settle != nil:
		settle(f)
	case c.event == sigstop || c.event == cutOff || c.event == serverKilled:
		// The first worker is back, and must not start what is no longer its.
		time.Sleep(time.Second)
	}
	n, ledgerErr := started(f.setup.Ledger)
	require.NoError(t, ledgerErr)
	require.LessOrEqual(t, n, c.bodies, "bodies started; the call ended with %v", err)
	if n < c.atLeast {
		return n, "", fmt.Errorf("%w: %d, and not %d bodies started; the call ended with %s", errSlow, n, c.atLeast, fmt.Sprint(err))
	}
	got = endingOf(err)
	if instead := got == endsLost && c.mayBeLost || got == endsForeign && c.mayBeForeign; !instead {
		require.Equal(t, c.ending, got, "%v", err)
	}
	if f.setup.Limit {
		f.callNext()
	}
	return n, got, nil
}

// play brings the call into the cell's phase, and the event about.
func (f *field) play(starts chan struct{}) {
	f.start(starts)
	s := scriptOf(f.event)
	if s.arm != nil {
		s.arm(f)
	}
	if s.call != nil {
		s.call(f)
	} else {
		f.call()
	}
	if s.strike != nil {
		s.strike(f)
		return
	}
	f.reach()
	f.strike()
}

func endingOf(err error) ending {
	var app *temporal.ApplicationError
	switch {
	case err == nil:
		return "success"
	case temporal.IsCanceledError(err):
		return endsCanceled
	case !errors.As(err, &app):
		return ending(fmt.Sprintf("%T", err))
	case app.Type() == "LimitWait":
		return endsWaiting
	case stoppedBy(err) == retrypolicy.StopLimits:
		return endsStopped
	case app.Type() == "AttemptLost":
		return endsLost
	case strings.Contains(app.Message(), errBurnt.Error()):
		return endsBurnt
	case strings.HasPrefix(app.Message(), errForeign.Error()):
		return endsForeign
	case strings.Contains(app.Message(), context.DeadlineExceeded.Error()), strings.Contains(app.Message(), "abandoned"):
		return endsTimedOut
	default:
		return ending(app.Type() + ": " + app.Message())
	}
}

func stoppedBy(err error) retrypolicy.Stop {
	stop, _ := retrypolicy.StopOf(err)
	return stop.Stop
}

// start brings server and worker up.
func (f *field) start(starts chan struct{}) {
	starts <- struct{}{}
	defer func() { <-starts }()
	if f.event == serverKilled {
		srv, err := devserver.Start(f.Context(), devserver.Options{DBFilename: filepath.Join(f.TempDir(), "temporal.db")})
		require.NoError(f, err)
		f.Cleanup(func() { _ = srv.Stop() })
		f.server = srv
	} else {
		f.server = testsuite.Server(f)
	}
	f.client = testsuite.Dial(f, f.server, client.Options{Logger: quiet(), DataConverter: f.setup.converter()})
	f.setup.Address = f.server.HostPort()
	f.setup.Queue = "fire-" + filepath.Base(f.TempDir()) + f.Name()
	dir := f.TempDir()
	f.setup.Ledger = filepath.Join(dir, "ledger")
	f.setup.Polls, f.setup.Waits, f.setup.Free = filepath.Join(dir, "polls"), filepath.Join(dir, "waits"), filepath.Join(dir, "free")
	f.setup.Broken, f.setup.Foreign, f.setup.Misread = filepath.Join(dir, "broken"), filepath.Join(dir, "foreign"), filepath.Join(dir, "misread")
	f.definition = f.setup.definition()
	first := f.setup
	first.Taken = f.waitsForLimit()
	if f.event == cutOff {
		f.proxy = newProxy(f.T, f.setup.Address)
		first.Address = f.proxy.address()
	}
	if different := scriptOf(f.event).first; different != nil {
		different(f, &first)
	}
	f.spawn(first)
	f.seen(f.setup.Polls, "the worker never started") // a call's time does not run until then
}

func (f *field) spawn(s setup) { f.workers = append(f.workers, s.spawn(f.T)) }

// seen waits until the worker process has made a file.
func (f *field) seen(file, missing string) {
	require.True(f, f.appears(file, longest/2), missing)
}

// appears reports whether a worker process has made a file in time.
func (f *field) appears(file string, within time.Duration) bool {
	for deadline := time.Now().Add(within); !exists(file); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// reach waits until the call is in the cell's phase.
func (f *field) reach() {
	if f.waitsForLimit() {
		f.seen(f.setup.Waits, "the call never waited for the limit")
	} else {
		if !f.appears(f.setup.Ledger, longest/4) { // its time may have run out before
			panic(fmt.Errorf("%w: none", errSlow))
		}
	}
	f.arrive()
	// The body has started; its return, and the engine's answer, take
	// milliseconds. The first heartbeat of a body that lasts, sent after 0.8 of
	// the timeout, comes before the event or does not: both must hold, and the
	// seed decides.
	spread := 500 * time.Millisecond
	switch f.phase {
	case whileBodyRuns:
		spread = heartbeat
	case whileLimitServer:
		spread = 300 * time.Millisecond // half a second after its hand-back it may be back
	}
	time.Sleep(150*time.Millisecond + time.Duration(f.random.Int64N(int64(spread))))
}

// arrive waits until the server has the call that was handed back: what it is
// asked before, it tells the worker.
func (f *field) arrive() {
	if f.phase != whileLimitServer && f.phase != whileWaitingServer {
		return
	}
	if f.phase == whileWaitingServer && f.event == callTimeout {
		return // the wait may not fit into its time, and time is what happens
	}
	require.Eventually(f, func() bool {
		state, err := f.state(f.Context())
		return err == nil && state == activity.CallWaiting
	}, longest/2, 10*time.Millisecond, "the server never had the call")
}

// strike makes the event happen, and brings a second worker where the first
// is gone.
func (f *field) strike() {
	first := f.workers[0]
	switch f.event {
	case shutdown:
		first.signal(syscall.SIGTERM)
		<-first.done
		f.spawn(f.setup)
	case sigkill:
		first.signal(syscall.SIGKILL)
		<-first.done
		f.spawn(f.setup)
	case killedInside:
		select {
		case <-first.done:
		case <-time.After(longest / 2):
			f.Fatal("the body that kills its worker never started")
		}
		f.spawn(f.setup)
	case sigstop:
		first.signal(syscall.SIGSTOP)
		f.spawn(f.setup)
		time.Sleep(outage)
		f.free() // for the call, if it still thinks that it waits
		first.signal(syscall.SIGCONT)
	case cutOff:
		f.proxy.cut()
		f.spawn(f.setup)
		time.Sleep(outage)
		f.free()
		f.proxy.mend()
	case serverKilled:
		require.NoError(f, f.server.Kill())
		time.Sleep(outage)
		f.free()
		require.NoError(f, f.server.Restart(f.Context()))
	case pauseResume:
		f.pause()
		time.Sleep(outage)
		f.free()
		f.unpause()
	case reset:
		f.reset()
		f.free()
	case cancellation:
		require.NoError(f, f.cancel(f.Context()))
	}
}

// free lets the first worker have room, if it had none.
func (f *field) free() { touch(f.setup.Free) }

// callNext shows that what the call held is free, and that it waits for nothing
// any more: on the same worker, if it is alive, another call gets the unit.
func (f *field) callNext() {
	f.free()
	alive := f.workers[len(f.workers)-1]
	if first := f.workers[0]; first != alive && !first.over() {
		alive.signal(syscall.SIGTERM)
		<-alive.done
		alive = first
	}
	call, err := f.definition.next.Submit(f.Context(), f.client, "")
	require.NoError(f, err)
	pid, err := call.Get(f.Context())
	require.NoError(f, err, "the next call must get what this one held")
	require.Equal(f, alive.cmd.Process.Pid, pid)
}

func (f *field) await() error {
	ctx, cancel := context.WithTimeout(f.Context(), longest)
	defer cancel()
	err := f.wait(ctx)
	require.NoError(f, ctx.Err(), "the call hangs")
	return err
}
