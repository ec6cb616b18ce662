package activity

import (
	"errors"
	"fmt"

	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/internal/activityhost"
)

// ErrHistoryFull is the error of inputs for which a Map in a workflow has no room:
// of the whole map, where it is clear from the start that they do not fit, else of
// each input that was not called. The others have their results.
var ErrHistoryFull = errors.New("no room in the workflow's history")

const (
	// maxEvents and maxBytes are how long a workflow's history may be by default
	// (limit.historyCount.error, limit.historySize.error), and in Temporal Cloud.
	// The server terminates what has more: every result is lost.
	maxEvents = 51_200
	maxBytes  = 50 << 20
	// eventsLeft and bytesLeft stay for what else the workflow does, and its end.
	eventsLeft = 1_000
	bytesLeft  = 2 << 20

	// A call is three events: scheduled, started, completed. A workflow task is
	// three, too. Where each call ends alone it has a task to itself.
	callEvents = 3
	taskEvents = 3
	mostEvents = callEvents + taskEvents
	// mostEnds is how many ends share a task at best. 18,000 calls at a Concurrency
	// of 500 whose bodies ended at once took 3.5 events each, 10,000 at 100 took
	// 3.6, 2,000 at 2 took 5.4.
	mostEnds = 6
)

// mapRoom is what a workflow's history has left for a map. The SDK tells the
// length and the size as they were when the workflow task began, in replay too.
type mapRoom struct {
	ctx         workflow.Context
	method      string
	concurrency int

	size    int // of the history when the map began
	running int // calls under way
	ended   int
}

// mapChange names the marker by which history tells that maps have been refused room.
// Those that have begun without, before there was this check or with another one,
// go on in replay as they did.
const mapChange = "concurry-map-history"

// refuse returns an error if n inputs cannot fit, however well their ends fall.
func (r *mapRoom) refuse(n int) error {
	info := workflow.GetInfo(r.ctx)
	r.size = info.GetCurrentHistorySize()
	used := info.GetCurrentHistoryLength()
	each := callEvents + taskEvents/float64(max(min(r.concurrency, mostEnds), 1))
	fit := int(float64(max(maxEvents-eventsLeft-used, 0)) / each)
	if n <= fit || !activityhost.Refused(r.ctx, mapChange) {
		return nil
	}
	return fmt.Errorf("%s: Map of %d inputs: %w: at most %d fit, since %d of %d events are used and a call takes at least %.3g at Concurrency %d: "+
		"use SubmitMap from a program, several workflows, or continue-as-new", r.method, n, ErrHistoryFull, fit, used, maxEvents, each, r.concurrency)
}

// admit reports whether there is room for one more call. Where there is not, the
// worker of the map that has asked ends, so that near the end of the room fewer
// calls are under way.
func (r *mapRoom) admit() bool {
	info := workflow.GetInfo(r.ctx)
	events := info.GetCurrentHistoryLength() + eventsLeft + mostEvents*(r.running+1)
	size := info.GetCurrentHistorySize()
	bytes := size + bytesLeft
	// Too few have ended at first to tell the size of a result from those of the
	// inputs under way, which are in the history already.
	if r.ended > r.running/10 {
		bytes += (size - r.size) / r.ended * (r.running + 1)
	}
	return events <= maxEvents && bytes <= maxBytes || !activityhost.Refused(r.ctx, mapChange)
}

// full is the error of inputs that were not called.
func (r *mapRoom) full() error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	info := workflow.GetInfo(r.ctx)
	return fmt.Errorf("%s: not called: %w: it has %d of %d events and %d of %d bytes, and %d call(s) of this map: "+
		"use SubmitMap from a program, several workflows, or continue-as-new with the rest",
		r.method, ErrHistoryFull, info.GetCurrentHistoryLength(), maxEvents, info.GetCurrentHistorySize(), maxBytes, r.ended)
}

// begin and end count a call.
func (r *mapRoom) begin() { r.running++ }
func (r *mapRoom) end()   { r.running, r.ended = r.running-1, r.ended+1 }
