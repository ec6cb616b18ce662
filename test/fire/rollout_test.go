package fire

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"
	sdkactivity "go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	sdkworker "go.temporal.io/sdk/worker"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/test/internal/faultproxy"
)

// Workers of another release on the same queue.
const (
	rollOut  event = "a worker without the plugin comes first"
	rollBack event = "a worker without the plugin in between"
	unknown  event = "a worker that lacks the method comes first"
)

// errForeign is the error of bodies on workers without the plugin.
var errForeign = errors.New("raw")

// rolloutCells are calls that another kind of worker has server attempts of. Its
// bodies are nobody's: what counts is what it may have left.
func rolloutCells(retries int) []cell {
	first := cell{event: rollOut, phase: beforeFirst, retries: retries, bodies: retries + 1, atLeast: retries, ending: endsBurnt, mayBeForeign: retries == 0}
	if retries == 0 {
		// A first server attempt that left nothing counts as a body.
		first.atLeast, first.mayBeLost = -1, true
	}
	between := cell{event: rollBack, phase: whileBodyRuns, retries: retries, bodies: retries + 1, ending: endsBurnt, mayBeForeign: retries <= 1}
	if retries == 0 {
		between.ending = endsLost
	}
	all := []cell{first, between}
	if retries > 0 {
		between.phase = whileWaitingServer
		all = append(all, between)
	}
	atLeast := retries
	if retries == 0 {
		atLeast = -1
	}
	// Where the machine takes longer than the heartbeat timeout for two of its
	// server attempts, one counts: a worker could have died in it.
	return append(all, cell{event: unknown, phase: beforeFirst, retries: retries, bodies: retries + 1, atLeast: atLeast, ending: endsBurnt, mayBeLost: retries == 0})
}

func rolloutScripts() map[event]script {
	as := func(k kind) func(*field, *setup) {
		return func(f *field, s *setup) {
			behindProxy(f, s)
			s.Kind = k
		}
	}
	return map[event]script{
		rollOut: {prepare: prepareRollout, first: as(raw), settle: (*field).nothingMisread, strike: func(f *field) {
			f.foreignBodiesAre(2)
			f.replaceFirst(syscall.SIGTERM, governed)
		}},
		rollBack: {prepare: prepareRollout, settle: (*field).nothingMisread, strike: func(f *field) {
			signal := syscall.SIGKILL
			if f.phase == whileWaitingServer {
				f.bodiesAre(min(2, f.retries)) // one may be known without a journal
				signal = syscall.SIGTERM
			}
			f.reach()
			f.replaceFirst(signal, raw)
			f.foreignBodiesAre(2)
			f.replaceFirst(syscall.SIGTERM, governed)
		}},
		unknown: {
			prepare: prepareRollout, first: as(ignorant),
			arm: func(f *field) { // let it pass, and count
				f.hit = f.faults.Apply(faultproxy.Rule{Method: methodHandBack, Fault: faultproxy.Fault{AtOnce: true, Client: faultproxy.Answer}})
			},
			strike: func(f *field) {
				require.Eventually(f, func() bool { return f.hit.Hits() >= 2 }, longest/2, 5*time.Millisecond, "nobody asked the worker")
				f.replaceFirst(syscall.SIGTERM, governed)
			},
		},
	}
}

// prepareRollout makes waits that let a worker be replaced before Temporal's own
// count of server attempts, those of other workers included, ends the call.
func prepareRollout(c *cell, s *setup) {
	s.Wait, s.Body = 800*time.Millisecond, bodyFails
	switch {
	case c.event == rollBack && c.phase == whileBodyRuns:
		s.Body = bodyBlocks
	case c.phase == whileWaitingServer:
		s.InPlace, s.Wait = -1, 1200*time.Millisecond
	}
}

// replaceFirst ends the newest worker and brings up another.
func (f *field) replaceFirst(signal syscall.Signal, by kind) {
	newest := f.workers[len(f.workers)-1]
	newest.signal(signal)
	<-newest.done
	next := f.setup
	next.Kind = by
	f.spawn(next)
}

func (f *field) foreignBodiesAre(n int) {
	require.Eventually(f, func() bool {
		have, err := started(f.setup.Foreign)
		return err == nil && have >= n
	}, longest/2, 5*time.Millisecond, "foreign body %d never started", n)
}

// nothingMisread fails the cell if a body has found heartbeat details.
func (f *field) nothingMisread() {
	require.NoFileExists(f, f.setup.Misread, "a body has read as its own heartbeat details what no body has left")
}

// look makes the file Misread if there are heartbeat details that a body can
// read.
func (s *setup) look(ctx context.Context) {
	var details any
	if sdkactivity.HasHeartbeatDetails(ctx) && sdkactivity.GetHeartbeatDetails(ctx, &details) == nil {
		touch(s.Misread)
	}
}

// rawWorker is Temporal's own.
func (s *setup) rawWorker(c client.Client) hosting {
	w := sdkworker.New(c, s.Queue, sdkworker.Options{WorkerStopTimeout: s.StopTimeout, DisableWorkflowWorker: true})
	w.RegisterActivityWithOptions(func(ctx context.Context, _ string) (string, error) {
		s.look(ctx)
		if _, err := enter(s.Foreign); err != nil {
			return "", err
		}
		return "", errForeign
	}, sdkactivity.RegisterOptions{Name: "Fire.Burn"})
	return w
}

// other is a method that is not the one under fire.
func other() *activity.FuncHandle[string, string] {
	return activity.Func("Other", func(context.Context, string) (string, error) { return "", nil },
		activity.FuncOptions[string, string]{AttemptTimeout: time.Second})
}
