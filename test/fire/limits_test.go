package fire

import "time"

// limitCells is the part of the table where the call waits for a limit: before
// its first attempt if it has no retries, else before its second. The wait is
// no attempt, however it ends.
func limitCells(retries int) []cell {
	before := min(retries, 1)
	var all []cell
	for _, p := range []phase{whileLimitHere, whileLimitServer} {
		if p == whileLimitServer && retries > 1 {
			continue // the server's wait is the same with one
		}
		for _, e := range []event{shutdown, sigkill, sigstop, cutOff, serverKilled, pauseResume} {
			c := cell{event: e, phase: p, retries: retries, bodies: retries + 1, atLeast: retries + 1, ending: endsBurnt}
			if e == sigstop || e == cutOff || e == serverKilled {
				c.mayBeLost, c.atLeast = true, before
			}
			all = append(all, c)
		}
		ended := cell{event: callTimeout, phase: p, retries: retries, bodies: before, atLeast: before, ending: endsWaiting}
		if before > 0 {
			ended.ending = endsStopped
		}
		all = append(all, ended,
			cell{event: cancellation, phase: p, retries: retries, bodies: before, atLeast: before, ending: endsCanceled},
			// A reset gives a new budget.
			cell{event: reset, phase: p, retries: retries, bodies: before + retries + 1, atLeast: before + retries + 1, ending: endsBurnt})
	}
	return all
}

// waitsForLimit reports whether the call waits for a limit when the event strikes.
func (c *cell) waitsForLimit() bool { return c.phase == whileLimitHere || c.phase == whileLimitServer }

// limited makes calls wait for a limit, where the phase says.
func (c *cell) limited(s *setup) {
	s.Limit, s.Wait = true, 10*time.Millisecond
	s.CallTimeout = 10 * time.Minute // no cell may come near it
	if c.phase == whileLimitServer {
		s.InPlace, s.HandedBack = 50*time.Millisecond, true
	}
}
