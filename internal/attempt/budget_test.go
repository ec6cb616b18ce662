package attempt

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/concurry-go/concurry/retrypolicy"
)

// cluster is a model of one call on a server and the workers that come and go:
// everything that can happen between a journal's record and the next body.
type cluster struct {
	t        *rapid.T
	spec     *Spec
	recorded *Journal // what the server has
	bodies   int      // started in server attempts since the last reset
	over     bool

	resets      bool // whether an operator resets the activity now and then
	resetDuring bool // while the server attempt ran
}

// perhapsReset is an operator's reset of the activity while it runs: it makes
// its number 1 at once, and the next one 2.
func (c *cluster) perhapsReset() {
	if c.resets && c.happens("reset while running") {
		c.resetDuring = true
	}
}

func (c *cluster) happens(what string) bool { return rapid.IntRange(0, 3).Draw(c.t, what) == 0 }

// record is heart.record: the server may take it, refuse it, or take it while
// its answer gets lost. After a reset it takes it, and says so.
func (c *cluster) record(j *Journal) (answered bool) {
	switch rapid.IntRange(0, 4).Draw(c.t, "record") {
	case 0:
		return false
	case 1:
		c.recorded = j.travel(c.t)
		return false
	default:
		c.recorded = j.travel(c.t)
		return !c.resetDuring
	}
}

// handOver is execution.handOver.
func (c *cluster) handOver(j *Journal) {
	if c.resetDuring && c.happens("the worker was told of the reset") {
		j.ResetTo = 2
	}
	c.record(j)
}

// serverAttempt is one activity task, as execution.attempts handles it. It
// returns where a worker would answer, die, or be given up.
func (c *cluster) serverAttempt(k int32) {
	if c.happens("the worker dies before it opens the journal") {
		return
	}
	var found *Journal
	if c.recorded != nil {
		found = c.recorded.travel(c.t)
	}
	before := 0
	if found != nil && k > found.ServerAttempt && found.ResetTo == 0 {
		before = found.Started
	}
	j := Opened(found, k)
	require.GreaterOrEqual(c.t, j.Started, before, "starts are forgotten")
	require.GreaterOrEqual(c.t, j.Started, c.bodies, "bodies were started that the journal does not know of")
	for here := 1; ; here++ {
		if j.Started >= c.spec.Retry.Attempts() {
			_, end := c.spec.Resume(j, 0, false, fixed())
			require.Error(c.t, end)
			c.over = true
			return
		}
		j.begin()
		if here > 1 && !c.record(j) {
			if c.happens("hand-back records too") {
				j.Started, j.Running = j.Started-1, 0
				c.record(j)
			}
			return // refused: the body is not started
		}
		if c.happens("the worker dies before the body starts") {
			return
		}
		c.bodies++
		require.LessOrEqual(c.t, c.bodies, c.spec.Retry.Attempts(), "bodies started")
		c.perhapsReset()
		for c.happens("an automatic heartbeat") {
			c.record(j)
		}
		switch rapid.IntRange(0, 4).Draw(c.t, "the body") {
		case 0: // dies with its worker, or is frozen until long after
			return
		case 1: // is cut off by a shutdown
			j.lose(j.Running)
			j.Running = 0
			if j.Started >= c.spec.Retry.Attempts() && !c.resetDuring {
				c.over = true
				return
			}
			c.handOver(j)
			return
		case 2: // fails, and the wait is the server's
			j.end(retrypolicy.Outcome{Verdict: retrypolicy.Failed}, 0)
			if j.Started >= c.spec.Retry.Attempts() {
				c.over = !c.happens("the last answer is lost")
				return
			}
			c.handOver(j)
			return
		default: // fails, and the wait is slept here
			j.end(retrypolicy.Outcome{Verdict: retrypolicy.Failed}, 0)
			if j.Started >= c.spec.Retry.Attempts() {
				c.over = !c.happens("the last answer is lost")
				return
			}
			if c.happens("the worker dies in the wait") {
				return
			}
			if c.happens("a heartbeat in the wait") {
				c.record(j)
			}
		}
	}
}

func TestNoHistoryStartsMoreBodiesThanNumRetriesPlusOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := &cluster{t: t, spec: &Spec{Method: "A.B", Retry: retrypolicy.Policy{NumRetries: rapid.IntRange(0, 6).Draw(t, "retries")}}}
		last := c.spec.Retry.Backstop().MaximumAttempts
		for k := int32(1); k <= last && !c.over; k++ {
			c.serverAttempt(k)
		}
	})
}

func TestResetIsANewBudgetAndNoMore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := &cluster{t: t, resets: true, spec: &Spec{Method: "A.B", Retry: retrypolicy.Policy{NumRetries: rapid.IntRange(0, 6).Draw(t, "retries")}}}
		last := int32(0) // the number of the last record from before the last reset
		for k := int32(1); k <= c.spec.Retry.Backstop().MaximumAttempts && !c.over; k++ {
			c.resetDuring = false
			c.serverAttempt(k)
			// A second reset before anything is recorded would not show.
			waiting := (c.recorded == nil || c.recorded.ResetTo == 0) && c.happens("reset while waiting")
			if waiting || c.resetDuring {
				k, c.bodies, last = 0, 0, 0 // the next is number 1
				if !waiting {
					k = 1 // the next is number 2
				}
				if c.recorded != nil {
					last = c.recorded.ServerAttempt
				}
			}
			// A reset shows by a number that is not above the record's. Where
			// nobody records anything until that number is passed, it is not
			// seen: a journal alone cannot know.
			if last > 0 && k >= last && c.recorded.ServerAttempt == last && c.recorded.ResetTo == 0 {
				return
			}
		}
	})
}
