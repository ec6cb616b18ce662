package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

// shape is a method's policy, as data: the same in the caller and in every
// worker process.
type shape struct {
	Name           string
	NumRetries     int
	CaseRetries    int // of errBusy; 0 is no case
	Backoff        retrypolicy.Algorithm
	Wait           time.Duration
	MaxWait        time.Duration
	NoJitter       bool
	InPlace        time.Duration
	MaxElapsed     time.Duration
	AttemptTimeout time.Duration
	CallTimeout    time.Duration
	Heartbeat      time.Duration
	Filtered       bool // errFatal is not retried
	Validated      bool // a result that is not good is refused
	Limit          limitKind
	Capacity       int
}

// governed reports whether the engine has anything to do for a method.
func (s *shape) governed() bool {
	return s.NumRetries+s.CaseRetries > 0 || s.Validated || s.Limit != unlimited
}

// limitKind is how bodies of a shape are bound.
type limitKind string

const (
	unlimited   limitKind = "none"
	perWorker   limitKind = "worker"  // one unit each
	perKey      limitKind = "keyed"   // one unit each, by key
	byInput     limitKind = "input"   // as many units as the input says
	withRate    limitKind = "rate"    // a rate beside the resource
	withCalls   limitKind = "calls"   // a limit of calls beside the resource
	perSession  limitKind = "session" // one unit each, in sessions
	roomUnit              = "room"
	rateUnit              = "turns"
	mostUnits             = 2 // of byInput
	shapesInAll           = 28
)

// ofSession is whether only sessions call the shape.
func (s *shape) ofSession() bool { return s.Limit == perSession }

// attempts is how many bodies a call may start within one budget.
func (s *shape) attempts() int { return s.NumRetries + 1 + s.CaseRetries }

// drawShapes draws all shapes of a seed. Dimensions that matter most go round,
// so that every seed has all of their values.
func drawShapes(seed uint64) []*shape {
	r := rand.New(rand.NewPCG(seed, streamShapes)) //nolint:gosec // a seed is to be repeated
	limits := []limitKind{unlimited, perWorker, unlimited, perKey, byInput, unlimited, withRate, perSession, unlimited, withCalls}
	backoffs := []retrypolicy.Algorithm{retrypolicy.Exponential, retrypolicy.Linear, retrypolicy.Fibonacci, retrypolicy.Constant}
	inPlace := []time.Duration{0, -1, time.Hour, 100 * time.Millisecond}
	beats := []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, activity.NoHeartbeat}
	all := make([]*shape, shapesInAll)
	for i := range all {
		s := &shape{
			Name: fmt.Sprintf("Chaos%02d", i), NumRetries: i % 7, Limit: limits[i%len(limits)],
			Backoff: pick(r, backoffs), Wait: pick(r, []time.Duration{retrypolicy.NoWait, 5 * time.Millisecond, 60 * time.Millisecond, 400 * time.Millisecond}),
			MaxWait: time.Second, NoJitter: chance(r, 30), InPlace: inPlace[(i+r.IntN(2))%len(inPlace)],
			AttemptTimeout: pick(r, []time.Duration{700 * time.Millisecond, 2 * time.Second, 4 * time.Second}),
			Heartbeat:      pick(r, beats), Filtered: chance(r, 30), Validated: chance(r, 60), Capacity: 2 + r.IntN(3),
		}
		if chance(r, 30) {
			s.CaseRetries = 1 + r.IntN(3)
		}
		if chance(r, 25) {
			s.CallTimeout = pick(r, []time.Duration{8 * time.Second, 20 * time.Second})
		}
		if chance(r, 20) {
			s.MaxElapsed = pick(r, []time.Duration{2 * time.Second, 6 * time.Second})
		}
		if s.Heartbeat == activity.NoHeartbeat && s.InPlace > time.Second {
			s.InPlace = 0 // a dead worker would show after an hour
		}
		if s.ofSession() {
			s.Capacity = 1 // of the calls in a session at one time
		}
		all[i] = s
	}
	return all
}

var (
	errFailed = errors.New("failed")
	errBusy   = errors.New("busy")
	errFatal  = errors.New("fatal")
)

// method is a shape as the library has it.
type method struct {
	*activity.Definition[*subject]
	handle *activity.MethodHandle[*subject, input, output]
}

// define declares the shape's method.
func (s *shape) define(queue string) (method, error) {
	o := activity.Options{
		Retry: retrypolicy.Policy{
			NumRetries: s.NumRetries, Backoff: s.Backoff, Wait: s.Wait, MaxWait: s.MaxWait,
			InPlace: s.InPlace, MaxElapsed: s.MaxElapsed,
		},
		AttemptTimeout: s.AttemptTimeout, CallTimeout: s.CallTimeout, HeartbeatTimeout: s.Heartbeat, TaskQueue: queue,
	}
	own := activity.MethodOptions[input, output]{}
	if s.NoJitter {
		o.Retry.Jitter = retrypolicy.NoJitter
	}
	if s.Filtered {
		o.Retry.RetryOn = []retrypolicy.Filter{retrypolicy.Not(retrypolicy.ErrorIs(errFatal))}
	}
	if s.CaseRetries > 0 {
		o.Retry.Cases = []retrypolicy.Case{{On: retrypolicy.ErrorIs(errBusy), NumRetries: s.CaseRetries, Wait: 20 * time.Millisecond}}
	}
	if s.Validated {
		own.RetryUntil = []validation.Validator[output]{func(out output, _ retrypolicy.Attempt) error {
			if !out.Good {
				return errors.New("not good")
			}
			return nil
		}}
	}
	s.limit(&o, &own)
	d, err := activity.NewDefinition[*subject](s.Name, o)
	if err != nil {
		return method{}, err
	}
	h, err := activity.NewMethod(d, "Do", (*subject).Do, own)
	return method{Definition: d, handle: h}, err
}

func (s *shape) limit(o *activity.Options, own *activity.MethodOptions[input, output]) {
	room := limits.Resource(roomUnit, s.Capacity)
	o.Requires = limits.Units{roomUnit: 1}
	switch s.Limit {
	case unlimited:
		o.Requires = nil
	case perWorker:
		o.Limits = limits.PerWorker(room)
	case perKey:
		o.Limits = limits.PerSessionOrWorker(room)
		own.LimitKey = func(in input) string { return in.Key }
	case byInput:
		o.Limits, o.Requires = limits.PerWorker(room), nil
		own.RequiresOf = func(in input) limits.Units { return limits.Units{roomUnit: in.Units} }
	case withRate:
		o.Limits, o.Requires = limits.PerWorker(room, limits.Rate(rateUnit, 20, time.Second)), limits.Units{roomUnit: 1, rateUnit: 1}
	case withCalls:
		o.Limits = limits.PerWorker(room, limits.Calls(20, time.Second))
	case perSession:
		o.Limits = limits.PerSession(room)
	}
}

// holds is what a body of an input holds of the limit.
func (s *shape) holds(in *input) int {
	switch s.Limit {
	case unlimited:
		return 0
	case byInput:
		return in.Units
	default:
		return 1
	}
}

// subject is the worker under fire. Its bodies are in act.go.
type subject struct {
	shape  *shape
	ledger *ledger
}

// Do is the method of every shape.
func (s *subject) Do(ctx context.Context, in input) (output, error) { return s.run(ctx, &in) }

// pick draws one of all.
func pick[T any](r *rand.Rand, all []T) T { return all[r.IntN(len(all))] }

// chance is true in so many of a hundred cases.
func chance(r *rand.Rand, percent int) bool { return r.IntN(100) < percent }

// between draws a time, to the millisecond.
func between(r *rand.Rand, from, to time.Duration) time.Duration {
	return (from + time.Duration(r.Int64N(int64(to-from)))).Round(time.Millisecond)
}

// draw draws one of all, by weight.
func draw[T any](r *rand.Rand, all []T, weight func(T) int) T {
	sum := 0
	for _, one := range all {
		sum += weight(one)
	}
	at := r.IntN(sum)
	for _, one := range all {
		if at -= weight(one); at < 0 {
			return one
		}
	}
	panic("unreachable: the weights sum up")
}
