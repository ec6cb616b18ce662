package fire

import (
	"errors"
	"syscall"
	"time"

	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/worker"
)

// The worker of a session goes, and the workflow opens another one.
const (
	sessionKilled   event = "the session's worker is killed"
	sessionShutDown event = "the session's worker is shut down"
)

// sessionCells are a call whose session ends under it, and the one that the
// workflow makes instead, in its next session.
func sessionCells(retries int) []cell {
	var all []cell
	for _, e := range []event{sessionKilled, sessionShutDown} {
		for _, p := range []phase{whileBodyRuns, whileWaitingHere, whileWaitingServer} {
			if retries == 0 && p != whileBodyRuns {
				continue
			}
			// The first call has started one, and may have started more.
			c := cell{event: e, phase: p, retries: retries, bodies: 2 * (retries + 1), atLeast: 1 + retries + 1, ending: endsBurnt}
			if e == sessionShutDown && retries == 0 {
				// A worker that is shut down ends a call whose last body it cuts off.
				c.atLeast, c.mayBeLost = 1, true
			}
			all = append(all, c)
		}
	}
	return all
}

func sessionScripts() map[event]script {
	one := func(signal syscall.Signal) script {
		return script{
			prepare: prepareSession,
			first:   func(_ *field, s *setup) { s.Kind = sessions },
			call:    (*field).callInSession,
			strike: func(f *field) {
				f.reach()
				f.replaceFirst(signal, sessions)
			},
		}
	}
	return map[event]script{sessionKilled: one(syscall.SIGKILL), sessionShutDown: one(syscall.SIGTERM)}
}

func prepareSession(c *cell, s *setup) {
	s.Wait = 1200 * time.Millisecond
	switch c.phase {
	case whileBodyRuns:
		s.Body, s.Wait = bodyBlocks, 10*time.Millisecond
	case whileWaitingServer:
		s.InPlace = -1
	}
}

// callInSession makes the call in a session, and again in another one where the
// session fails.
func (f *field) callInSession() {
	o := activity.SessionOptions{TaskQueue: f.setup.Queue, HeartbeatTimeout: 2 * time.Second, CreationTimeout: longest / 2}
	f.runWorkflow(sdkworker.Options{Plugins: []sdkworker.Plugin{worker.Plugin()}}, func(ctx workflow.Context) error {
		var err error
		for range 2 {
			err = activity.InSession(ctx, o, func(ctx workflow.Context) error {
				_, err := f.definition.burn.Execute(ctx, "").Get(ctx)
				return err
			})
			if !errors.Is(err, workflow.ErrSessionFailed) {
				break
			}
		}
		return err
	})
}
