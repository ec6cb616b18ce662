package engine

import (
	"math"
	"slices"
	"time"

	"go.temporal.io/sdk/converter"

	"github.com/concurry-go/concurry/internal/failure"
	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/retrypolicy"
)

// Journal is what a call remembers of its attempts. It is owned by one
// goroutine at a time.
type Journal struct {
	// Started counts the bodies started, also those nobody knows the end of.
	Started int
	// Running is the attempt that has started and not ended; 0 is none.
	Running int
	// FirstStart is when the first attempt started; zero if nobody asked.
	FirstStart time.Time
	// Cases counts the retries that each of the policy's cases was granted;
	// nil for none.
	Cases []int
	// Outcomes are the ended attempts, in order, at most MaxOutcomes.
	Outcomes []retrypolicy.Outcome
	// LeftOut counts the outcomes dropped at the front.
	LeftOut int
	// ServerAttempt is Temporal's attempt number when it was recorded.
	ServerAttempt int32
	// ResetTo is not 0 where the recording server attempt was told of a reset:
	// it is the number of the first one after it.
	ResetTo int32

	// LimitWaits is how many times in a row the call went to the server to wait
	// for limits.
	LimitWaits int

	// Adopted is how many server attempts there were before the first that the
	// engine governed: their bodies do not count.
	Adopted int32

	// Pending tells of the running attempt that its method has returned
	// ErrResultPending: somebody else reports how it ends.
	Pending bool

	// Found is how many outcomes, the last ones, Opened has added.
	Found int
}

// ofCase is how many retries case i was granted.
func (j *Journal) ofCase(i int) int {
	if i < len(j.Cases) {
		return j.Cases[i]
	}
	return 0
}

// caseRetries is how many retries all cases were granted.
func (j *Journal) caseRetries() int {
	n := 0
	for _, granted := range j.Cases {
		n += granted
	}
	return n
}

// retryOfCase grants case i one more.
func (j *Journal) retryOfCase(i int) {
	cases := slices.Clone(j.Cases) // others may hold the old ones
	for len(cases) <= i {
		cases = append(cases, 0)
	}
	cases[i]++
	j.Cases = cases
}

// Begin starts the next attempt and returns its number.
func (j *Journal) Begin() int {
	j.Started++
	j.Running = j.Started
	j.LimitWaits, j.Pending = 0, false
	return j.Started
}

// TakeBack undoes Begin: the body was not started.
func (j *Journal) TakeBack() {
	j.Started--
	j.Running = 0
}

// end closes the running attempt.
func (j *Journal) end(o retrypolicy.Outcome, room int) {
	o.Number = j.Running
	j.Running, j.Pending = 0, false
	j.add(o, room)
}

// Lose notes that the running attempt's end is not known.
func (j *Journal) Lose(reason string) {
	if reason == "" {
		reason = failure.LostReason
	}
	j.end(retrypolicy.Outcome{Verdict: retrypolicy.VerdictLost, Reason: reason}, 0)
}

// Earlier are the outcomes before the attempt that runs, or was last judged.
func (j *Journal) Earlier() []retrypolicy.Outcome {
	n := len(j.Outcomes)
	if j.Running == 0 && n > 0 {
		n--
	}
	return j.Outcomes[:n:n]
}

// add appends an outcome and drops what is beyond the bounds: first the
// oldest results, then the oldest outcomes. The newest result is always kept,
// if only as a digest. A room of 0 bytes leaves the results as they are.
func (j *Journal) add(o retrypolicy.Outcome, room int) {
	j.Outcomes = append(j.Outcomes, o)
	if over := len(j.Outcomes) - MaxOutcomes; over > 0 {
		j.Outcomes = slices.Clone(j.Outcomes[over:]) // methods may hold the old ones
		j.LeftOut += over
	}
	if room <= 0 {
		return
	}
	used, newest := 0, true
	for i := len(j.Outcomes) - 1; i >= 0; i-- {
		r, ok := j.Outcomes[i].Result.(*wire.Result)
		if !ok {
			continue
		}
		size := r.Size()
		switch {
		case used+size <= room:
			used += size
		case newest:
			j.Outcomes[i].Result = r.Digest()
		default:
			j.Outcomes[i].Result = nil
		}
		newest = false
	}
}

// Unrecorded is what is known of server attempts that left no record.
type Unrecorded struct {
	// None reports that they started no body that the engine governed.
	None bool
	// Ended is how the last one ended, where that says how its body did, as far
	// as the server kept it.
	Ended *retrypolicy.Outcome
	// Reason is why nothing more is known; empty for nothing special.
	Reason string
}

// Opened continues a journal on server attempt k (Temporal's, from 1). j is
// nil if none was found; then the first server attempt, which records nothing
// before its body, may have started one, unless u says that it has not. From the
// second one on, and wherever there is a journal, each body's start is recorded
// before it: a server attempt without a record has started none. So
//
//   - a body that was running at the record's time is lost, or has ended as u
//     says;
//   - a number that is not above the record's means an operator reset the
//     activity, as a record of that does: all retries again, the earlier outcomes
//     kept to be looked at. Every server attempt that started and did not end
//     the activity is followed by one with a higher number otherwise, also
//     over pauses.
func Opened(j *Journal, k int32, u Unrecorded) *Journal {
	before := j.ended()
	switch {
	case j == nil:
		j = &Journal{}
		switch {
		case k <= 1:
		case u.None:
			j.Adopted = k - 1
		default:
			j.Begin()
		}
	case j.ResetTo > 0 || k <= j.ServerAttempt:
		if j.Running != 0 {
			j.close(u)
		}
		for i := range j.Outcomes {
			j.Outcomes[i].BeforeReset = true
		}
		j.Started, j.FirstStart, j.Cases, j.ResetTo, j.Adopted = 0, time.Time{}, nil, 0, 0
	}
	if j.Running != 0 {
		j.close(u)
	}
	j.ServerAttempt = k
	j.Found = min(j.ended()-before, len(j.Outcomes))
	return j
}

// close ends the running attempt with what is known of it.
func (j *Journal) close(u Unrecorded) {
	if u.Ended != nil {
		j.end(*u.Ended, 0)
		return
	}
	j.Lose(u.Reason)
}

// ended is how many attempts have ended.
func (j *Journal) ended() int {
	if j == nil {
		return 0
	}
	return j.LeftOut + len(j.Outcomes)
}

func (j *Journal) Document() wire.JournalDocument {
	d := wire.JournalDocument{
		Started: j.Started, Running: j.Running, FirstStart: j.FirstStart,
		ServerAttempt: j.ServerAttempt, ResetTo: j.ResetTo, LeftOut: j.LeftOut, Cases: j.Cases, LimitWaits: j.LimitWaits,
		Adopted: j.Adopted, Pending: j.Pending,
		Outcomes: make([]wire.Outcome, len(j.Outcomes)),
	}
	for i, o := range j.Outcomes {
		d.Outcomes[i] = wire.FromOutcome(o)
	}
	return d
}

// sane takes a count from anywhere: one too large is as good as any that ends
// the call, and must not overflow.
func sane(n int) int { return min(max(n, 0), math.MaxInt32) }

// JournalOf returns the journal of a document, whose results dc decodes.
func JournalOf(d wire.JournalDocument, dc converter.DataConverter) *Journal {
	j := &Journal{
		Started: sane(d.Started), Running: sane(d.Running), FirstStart: d.FirstStart,
		ServerAttempt: max(d.ServerAttempt, 0), ResetTo: max(d.ResetTo, 0), LeftOut: sane(d.LeftOut), LimitWaits: sane(d.LimitWaits),
		Adopted: max(d.Adopted, 0), Pending: d.Pending,
	}
	for _, granted := range d.Cases[:min(len(d.Cases), retrypolicy.MaxCases)] {
		j.Cases = append(j.Cases, min(sane(granted), retrypolicy.MaxRetries))
	}
	over := max(len(d.Outcomes)-MaxOutcomes, 0)
	j.LeftOut += over
	for _, o := range d.Outcomes[over:] {
		j.Outcomes = append(j.Outcomes, o.Outcome(dc))
	}
	return j
}

// Shrink makes the journal smaller, the more so the more often it was asked: it
// drops results, then outcomes, of which the count stays.
func (j *Journal) Shrink(times int) bool {
	switch {
	case times == 0:
		for i := range j.Outcomes {
			if r, ok := j.Outcomes[i].Result.(*wire.Result); ok && r.Kept() {
				j.Outcomes[i].Result = r.Digest()
			}
		}
		return true
	case len(j.Outcomes) > 0:
		drop := (len(j.Outcomes) + 1) / 2
		j.Outcomes = j.Outcomes[drop:]
		j.LeftOut += drop
		return true
	default:
		return false
	}
}
