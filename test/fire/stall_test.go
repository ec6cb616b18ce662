package fire

import (
	"path/filepath"
	"time"

	"github.com/concurry-go/concurry/limits"
)

// Bytes of the first worker's that stand still, in both directions, without any
// connection being closed.
const (
	stalled        event = "bytes stand still past the heartbeat timeout"
	stalledForEver event = "bytes stand still for ever"
)

// stallCells end as those of a connection that is cut.
func stallCells(retries int) []cell {
	var all []cell
	for _, e := range []event{stalled, stalledForEver} {
		for _, p := range []phase{whileBodyRuns, whileWaitingHere, whileWaitingServer} {
			if retries == 0 && p != whileBodyRuns {
				continue
			}
			c := cell{event: e, phase: p, retries: retries, bodies: retries + 1, atLeast: 1, ending: endsBurnt, mayBeLost: true}
			all = append(all, c)
		}
	}
	return all
}

func stallScripts() map[event]script {
	return map[event]script{
		stalled: {
			prepare: prepareStall, first: behindProxy,
			strike: func(f *field) {
				f.reach()
				f.faults.Stall()
				f.spawn(f.setup)
				time.Sleep(outage)
				f.faults.Resume()
			},
			// The first worker is back, and must not start what is no longer its.
			settle: func(*field) { time.Sleep(time.Second) },
		},
		stalledForEver: {
			prepare: prepareStall, first: func(f *field, s *setup) {
				behindProxy(f, s)
				f.freed = filepath.Join(f.TempDir(), "freed")
				s.Freed = f.freed
			},
			strike: func(f *field) {
				f.reach()
				f.faults.Stall()
				f.spawn(f.setup)
			},
			settle: func(f *field) {
				if f.setup.Limit {
					f.seen(f.freed, "the worker that nobody hears holds units for bodies that have ended")
				}
				f.killFirst()
			},
		},
	}
}

// prepareStall is the policy of a call that is cut off, whose body comes back.
func prepareStall(c *cell, s *setup) {
	switch c.phase {
	case whileBodyRuns:
		s.Body, s.Wait, s.Limit = bodyLasts, 10*time.Millisecond, true
	case whileWaitingServer:
		s.InPlace = -1
	}
	if c.retries > 1 {
		s.Wait = min(s.Wait, 1200*time.Millisecond)
	}
}

// tellFreed makes the file Freed when the first body has ended and nothing of
// the limit is held.
func (b *burner) tellFreed(sets limits.Sets) {
	for range time.Tick(20 * time.Millisecond) {
		if s := sets.Snapshots()[""]; b.ended.Load() && s.Leases == 0 && s.Waiting == 0 {
			touch(b.setup.Freed)
			return
		}
	}
}
