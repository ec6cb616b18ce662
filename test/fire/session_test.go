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
	sessionEnds     event = "session's worker shut down, body has its time"
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
			// The first call has started one, and may have started more: all, where
			// its worker's stop leaves it the time.
			c := cell{event: e, phase: p, retries: retries, bodies: 2 * (retries + 1), atLeast: 1 + retries + 1, ending: endsBurnt}
			if e == sessionShutDown && p != whileBodyRuns {
				c.atLeast = retries + 1
			}
			all = append(all, c)
		}
	}
	if retries == 0 { // else the call goes on, and the session does not
		all = append(all, cell{event: sessionEnds, phase: whileBodyRuns, retries: retries, bodies: 1, ending: endsBurnt})
	}
	return all
}

func sessionScripts() map[event]script {
	one := func(strike func(f *field)) script {
		return script{
			prepare: prepareSession,
			first:   func(_ *field, s *setup) { s.Kind = sessions },
			call:    (*field).callInSession,
			strike: func(f *field) {
				f.reach()
				strike(f)
			},
		}
	}
	return map[event]script{
		sessionKilled:   one(func(f *field) { f.replaceFirst(syscall.SIGKILL, sessions) }),
		sessionShutDown: one(func(f *field) { f.replaceFirst(syscall.SIGTERM, sessions) }),
		sessionEnds: one(func(f *field) {
			f.workers[0].signal(syscall.SIGTERM)
			time.Sleep(time.Second)
			f.free()
			f.replaceFirst(syscall.SIGTERM, sessions)
		}),
	}
}

func prepareSession(c *cell, s *setup) {
	s.Wait = 1200 * time.Millisecond
	switch {
	case c.event == sessionEnds:
		s.Body, s.StopTimeout = bodyGated, 10*time.Second
	case c.phase == whileBodyRuns:
		s.Body, s.Wait = bodyBlocks, 10*time.Millisecond
	case c.phase == whileWaitingServer:
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
