package engine

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/concurry-go/concurry/internal/retry"
	"github.com/concurry-go/concurry/retrypolicy"
)

// cluster is a model of one call on a server and the workers that come and go:
// everything that can happen between a journal's record and the next body. What
// was sent and not answered may arrive as long as its server attempt lasts; the
// last that arrives counts.
type cluster struct {
	t        *rapid.T
	spec     *Spec
	recorded *Journal   // what the server has
	onItsWay []*Journal // requests of this server attempt that were not answered
	bodies   int        // started in server attempts since the last reset
	over     bool
	unfit    bool // see heartbeat.unfit

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

// arrive lets late requests arrive, in any order; those that stay on their way may
// come later, or never.
func (c *cluster) arrive() {
	for len(c.onItsWay) > 0 && c.happens("a late request arrives") {
		i := rapid.IntRange(0, len(c.onItsWay)-1).Draw(c.t, "which")
		c.recorded = c.onItsWay[i]
		if !c.happens("a copy of it stays") {
			c.onItsWay = append(c.onItsWay[:i:i], c.onItsWay[i+1:]...)
		}
	}
}

// record is heartbeat.record: the server may take it, never see it, see it later,
// or take it while its answer gets lost. After a reset it takes it, and says so.
func (c *cluster) record(j *Journal) (answered bool) {
	defer c.arrive()
	if c.unfit {
		return false
	}
	switch rapid.IntRange(0, 4).Draw(c.t, "record") {
	case 0:
		c.onItsWay = append(c.onItsWay, j.travel(c.t))
		c.unfit = true
		return false
	case 1:
		c.recorded = j.travel(c.t)
		c.onItsWay = append(c.onItsWay, c.recorded)
		c.unfit = true
		return false
	default:
		c.recorded = j.travel(c.t)
		return !c.resetDuring
	}
}

// handOver is execution.giveBack: the journal and the end of the server attempt
// are one, or nothing, in which case the server waits for a timeout.
func (c *cluster) handOver(j *Journal) {
	c.arrive()
	if c.resetDuring && c.happens("the worker was told of the reset") {
		j.ResetTo = 2
	}
	if !c.happens("the hand-back gets lost") {
		c.recorded = j.travel(c.t)
		c.onItsWay = nil
	}
}

// serverAttempt is one activity task, as execution.attempts handles it. It
// returns where a worker would answer, die, or be given up.
func (c *cluster) serverAttempt(k int32) {
	c.unfit = false
	defer func() {
		c.arrive()
		c.onItsWay = nil // the token is void
	}()
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
	j := Opened(found, k, Unrecorded{})
	require.GreaterOrEqual(c.t, j.Started, before, "starts are forgotten")
	require.GreaterOrEqual(c.t, j.Started, c.bodies, "bodies were started that the journal does not know of")
	recordsStart := found != nil || k > 1
	for here := 1; ; here++ {
		if j.Started >= c.spec.Retry.Attempts() {
			_, end := c.spec.Resume(j, Resumption{}, fixed())
			require.Error(c.t, end)
			c.over = true
			return
		}
		j.Begin()
		if (here > 1 || recordsStart) && !c.record(j) {
			if c.happens("the worker lives to hand it back") {
				j.TakeBack()
				c.handOver(j)
			}
			return // the body is not started
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
			j.Lose("")
			if j.Started >= c.spec.Retry.Attempts() && !c.resetDuring {
				c.over = true
				return
			}
			c.handOver(j)
			return
		case 2: // fails, and the wait is the server's
			j.end(retrypolicy.Outcome{Verdict: retrypolicy.VerdictFailed}, 0)
			if j.Started >= c.spec.Retry.Attempts() {
				c.over = !c.happens("the last answer is lost")
				return
			}
			c.handOver(j)
			return
		default: // fails, and the wait is slept here
			j.end(retrypolicy.Outcome{Verdict: retrypolicy.VerdictFailed}, 0)
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
		last := retry.Backstop(&c.spec.Retry).MaximumAttempts
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
		for k := int32(1); k <= retry.Backstop(&c.spec.Retry).MaximumAttempts && !c.over; k++ {
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
