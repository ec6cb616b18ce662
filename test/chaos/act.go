package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/retrypolicy"
)

// act is what a body does.
type act string

const (
	succeeds act = "succeeds"
	fails    act = "fails"
	isBusy   act = "is busy"  // an error of the case, where there is one
	isFatal  act = "is fatal" // an error that the filter does not retry, where there is one
	forGood  act = "fails for good"
	comeBack act = "says when to come back"
	refused  act = "returns what is refused" // where there is a validator
	panics   act = "panics"
	exits    act = "ends its goroutine"
	blocks   act = "blocks"  // until its context ends
	ignores  act = "ignores" // the end of its context, and fails
	beats    act = "beats"   // itself, and fails
	dies     act = "dies"    // with its process
)

// drawStep draws what an attempt of a shape does.
func drawStep(r *rand.Rand, of *shape) step {
	type weighted struct {
		act    act
		weight int
	}
	all := []weighted{
		{succeeds, 22},
		{fails, 26},
		{isBusy, 6},
		{isFatal, 2},
		{forGood, 2},
		{comeBack, 5},
		{refused, 9},
		{panics, 4},
		{exits, 1},
		{blocks, 4},
		{ignores, 3},
		{beats, 9},
		{dies, 1},
	}
	s := step{
		Act:    draw(r, all, func(w weighted) int { return w.weight }).act,
		Millis: int(between(r, time.Millisecond, 300*time.Millisecond).Milliseconds()),
	}
	switch s.Act {
	case beats:
		s.Millis = int(between(r, 200*time.Millisecond, of.AttemptTimeout).Milliseconds())
	case ignores:
		s.Millis = int((of.AttemptTimeout + between(r, 100*time.Millisecond, 2*time.Second)).Milliseconds())
	}
	return s
}

// beat is what a body that heartbeats itself leaves.
type beat struct {
	Call string
	N    int
}

// run is the body of every method.
func (s *subject) run(ctx context.Context, in *input) (output, error) {
	n := activity.AttemptNumber(ctx)
	held := s.begin(ctx, in, n)
	defer held.end()
	s.look(ctx, in, n)
	does := in.step(n)
	failure := func(err error) (output, error) { return output{}, fmt.Errorf("%w of body %s/%d", err, in.Call, n) }
	if err := s.last(ctx, in, n, does); err != nil {
		return output{}, err
	}
	switch does.Act {
	case succeeds:
		return output{Call: in.Call, N: n, Good: true}, nil
	case refused:
		return output{Call: in.Call, N: n}, nil
	case isBusy:
		return failure(errBusy)
	case isFatal:
		return failure(errFatal)
	case forGood:
		_, err := failure(errFailed)
		return output{}, retrypolicy.Permanent(err)
	case comeBack:
		_, err := failure(errFailed)
		return output{}, retrypolicy.After(err, does.lasts())
	case panics:
		panic(fmt.Sprintf("panic of body %s/%d", in.Call, n))
	case exits:
		runtime.Goexit()
	case dies:
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return failure(errFailed)
}

// last lasts as long as the step says, or until the context ends, whose error it
// returns.
func (s *subject) last(ctx context.Context, in *input, n int, does step) error {
	over := time.After(does.lasts())
	switch does.Act {
	case blocks:
		<-ctx.Done()
		return ctx.Err()
	case ignores:
		<-over
		return nil
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			if does.Act == beats {
				activity.RecordHeartbeat(ctx, beat{Call: in.Call, N: n})
			}
		}
	}
}

// look notes heartbeat details that no earlier body of the call has left.
func (s *subject) look(ctx context.Context, in *input, n int) {
	if !activity.HasHeartbeatDetails(ctx) {
		return
	}
	var found beat
	err := activity.GetHeartbeatDetails(ctx, &found)
	if err == nil && found.Call == in.Call && found.N <= len(in.Steps) && in.step(found.N).Act == beats {
		return
	}
	l := s.line(ctx, in, n, evMisread)
	l.Note = fmt.Sprintf("%+v, %v", found, err)
	s.ledger.write(l)
}

// holding is a body in the ledger.
type holding struct {
	once sync.Once
	done func()
}

// end writes that the body holds nothing any more, which the engine knows later.
func (h *holding) end() { h.once.Do(h.done) }

func (s *subject) begin(ctx context.Context, in *input, n int) *holding {
	l := s.line(ctx, in, n, evBegin)
	s.ledger.write(l)
	l.Event = evEnd
	h := &holding{done: func() { s.ledger.write(l) }}
	// From the end of its context on the engine may give up on a body, which can
	// be stuck in a heartbeat of its own too.
	context.AfterFunc(ctx, h.end)
	return h
}

func (s *subject) line(ctx context.Context, in *input, n int, what event) line {
	return line{
		Event: what, Call: in.Call, N: n, ServerAttempt: activity.GetInfo(ctx).Attempt, Act: in.step(n).Act,
		Shape: s.shape.Name, Scope: in.Scope, Key: in.Key, Units: s.shape.holds(in),
	}
}
