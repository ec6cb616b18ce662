package activityhost

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"

	"github.com/concurry-go/concurry/internal/converters"
	"github.com/concurry-go/concurry/internal/engine"
	"github.com/concurry-go/concurry/internal/failure"
	"github.com/concurry-go/concurry/internal/slots"
	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/retrypolicy"
)

// execution is one server attempt. It holds everything the attempts in it
// need, so that a call that succeeds at once costs one allocation and a timer.
type execution struct {
	interceptor.ActivityInboundInterceptorBase
	host  *Host
	known *engine.SpecCache
	out   outbound

	spec  *engine.Spec
	info  activity.Info
	heart heartbeat

	argsMu sync.Mutex
	args   []any // of the running attempt

	needs     engine.Requirements // of the call; nothing without limits
	lease     limits.Lease        // of the running attempt
	endLimits func()              // releases what the running body has acquired itself

	place, call time.Time // see engine.Bounds
	opened      time.Time // when the execution began

	first attemptContext // the context of the first attempt here
	pulse timer

	recordsStart bool // each body's start is recorded, that of the first too

	reported error // how somebody else has reported the last attempt's end; nil for nothing
}

// Init implements interceptor.ActivityInboundInterceptor.
func (e *execution) Init(out interceptor.ActivityOutboundInterceptor) error {
	e.out.Next, e.out.e = out, e
	return e.Next.Init(&e.out)
}

// ExecuteActivity runs attempts until the call is decided or handed back.
func (e *execution) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	e.info = e.out.Next.GetInfo(ctx)
	if err := e.host.unseal(ctx, &e.info); err != nil {
		return nil, failure.Unstartable(err)
	}
	spec, err := specForCall(e.known, interceptor.Header(ctx))
	if err != nil {
		return nil, failure.Final(err, nil)
	}
	if !e.host.governs(spec) && !e.host.governs(e.known.Spec) {
		return e.Next.ExecuteActivity(ctx, in)
	}
	if err := e.prepare(ctx, spec, in); err != nil {
		return nil, failure.Unstartable(err)
	}
	defer e.finish()
	e.start(ctx)
	returned := false
	defer func() {
		if returned {
			return
		}
		if r := recover(); r != nil {
			panic(r) // the SDK answers for panics itself
		}
		e.exited(ctx)
	}()
	out, err := e.attempts(ctx, in)
	returned = true
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (e *execution) prepare(ctx context.Context, spec *engine.Spec, in *interceptor.ExecuteActivityInput) error {
	e.args = in.Args
	e.opened = time.Now()
	e.heart.out, e.heart.owner, e.heart.heard = e.out.Next, e, e.opened
	if e.info.IsLocalActivity {
		e.heart.journal.ServerAttempt = 1 // nothing is carried, and nothing is lost silently
	} else if err := e.open(ctx); err != nil {
		return err
	}
	e.deadlines()
	e.spec = spec // from here on heartbeats are the engine's
	return nil
}

// open continues the call's journal.
func (e *execution) open(ctx context.Context) error {
	h := &e.heart
	found, err := h.open(ctx, e.plain)
	if err != nil {
		return err
	}
	k := e.info.Attempt
	if found == nil && k <= 1 {
		h.journal.ServerAttempt = k // a new call allocates nothing
		return nil
	}
	h.journal = *engine.Opened(found, k, e.unrecorded(ctx, found))
	return nil
}

// connect implements owner.
func (e *execution) connect(ctx context.Context) *requests {
	if e.host.Simulated != Real {
		return nil
	}
	c := e.out.Next.GetClient(ctx)
	if isMock(c) {
		return nil
	}
	r := newRequests(ctx, c, e.host.converters(), &e.info, &e.host.blobLimit)
	return &r
}

// plain is the client's converter without its codec, for parts of what passes the
// codec as a whole.
func (e *execution) plain(ctx context.Context) converter.DataConverter {
	return converters.Plain(e.bound(ctx, serializationOf(&e.info)))
}

func (e *execution) bound(ctx context.Context, c converter.SerializationContext) converter.DataConverter {
	return withContext(ctx, converter.WithDataConverterSerializationContext(e.host.converters().Data, c))
}

// deadlines works out until when this server attempt, and the call, can still
// be answered: the SDK drops what comes after.
func (e *execution) deadlines() {
	if e.host.Simulated != Real {
		// The environment has a clock of its own, and cuts calls itself.
		return
	}
	now := e.opened
	if !e.info.Deadline.IsZero() {
		e.place = e.info.Deadline.Add(-margin(e.info.Deadline.Sub(now)))
	}
	if total := e.info.ScheduleToCloseTimeout; total > 0 && !e.info.ScheduledTime.IsZero() {
		e.call = e.info.ScheduledTime.Add(total - margin(total))
	}
}

// margin is what an answer may take to reach the server.
func margin(total time.Duration) time.Duration {
	return min(max(total/10, 0), time.Second)
}

func (e *execution) attempts(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	if err := e.resume(ctx); err != nil {
		return nil, err
	}
	pristine := e.pristine(ctx, in.Args)
	var last error // of the attempt before, in this server attempt
	for here := 1; ; here++ {
		n, err := e.ready(ctx, here, last)
		if err != nil {
			return nil, err
		}
		if here > 1 && pristine != nil {
			fresh, err := pristine()
			if err != nil {
				return nil, e.notStarted(ctx, err, last)
			}
			in = e.withArgs(fresh)
		}
		out, err := e.run(ctx, in)
		e.release()
		if failed := e.heart.bodyEnded(); failed != nil {
			out, err = nil, failed
		}
		if err == activity.ErrResultPending { //nolint:errorlint // the SDK compares it like this
			return nil, e.pending(ctx)
		}
		d, answer := e.settle(ctx, n, out, err, true)
		if answer != nil {
			return nil, answer
		}
		if d.Action == engine.Accept {
			return e.accept(ctx, out)
		}
		last = d.Err
		if left, ok := e.sleep(ctx, d.Delay, d.Err); !ok {
			if e.canceled(ctx) {
				return nil, e.canceledWith(ctx, ctx.Err())
			}
			return nil, e.handBack(ctx, d.Err, left)
		}
	}
}

// resume tells of the attempts that were lost before this server attempt, and
// ends a call that may not go on.
func (e *execution) resume(ctx context.Context) error {
	j := e.heart.view()
	if j.Started == 0 && j.Found == 0 {
		return nil
	}
	if j.Started > 0 && j.FirstStart.IsZero() && e.host.Simulated == Real {
		j.FirstStart = e.info.ScheduledTime // the first attempt left no record, and was not before that
	}
	r := engine.Resumption{Elapsed: e.elapsedSince(j.FirstStart), Lost: j.Found > 0 && e.reported == nil, Cause: e.reported}
	r.Attempt = retrypolicy.Attempt{Number: j.Started, Method: e.spec.Method, Past: engine.PastCall{Took: r.Elapsed, Arguments: e.Args(), Earlier: j.Earlier()}}
	stop, end := e.spec.Resume(&j, r, &e.host.Clock)
	e.heart.judged(j)
	if j.Found > 0 {
		e.tellFound(ctx, stop)
	} else if end != nil {
		e.countGiveUp(ctx, stop) // of the last attempt its worker has told
	}
	if end != nil {
		return e.end(ctx, end)
	}
	return nil
}

// settle judges an ended attempt and tells of it. A nil answer says that the
// result is accepted, or that another attempt follows here, which it can if here
// says so; otherwise it is what the server attempt returns.
func (e *execution) settle(ctx context.Context, n int, out any, err error, here bool) (d engine.Decision, answer error) {
	a := retrypolicy.Attempt{Number: n, Method: e.spec.Method, Past: e}
	if err == nil && len(e.spec.Validators) == 0 {
		e.accepted(ctx, a)
		return engine.Decision{Action: engine.Accept}, nil
	}
	if err != nil {
		_, err = failure.TextOf(err) // from here on its chain can be walked
	}
	if ctx.Err() != nil {
		here = false
		if err != nil && (isContextError(err) || e.canceled(ctx)) {
			return d, e.cutOff(ctx, err, a)
		}
	}
	room := e.room(ctx)
	room.RunsHere = room.RunsHere && here && !errors.Is(err, failure.ErrAbandoned)
	d = e.judge(ctx, out, err, a, room)
	if d.Problem != nil {
		e.out.GetLogger(ctx).Error("A retry filter panicked; it counts as no.", "Error", d.Problem)
	}
	e.tell(ctx, d.Event(a))
	switch d.Action {
	case engine.End:
		return d, e.end(ctx, d.Err)
	case engine.WaitServer:
		return d, e.handBack(ctx, d.Err, d.Delay)
	default:
		return d, nil
	}
}

// withArgs makes args those of the next attempt.
func (e *execution) withArgs(args []any) *interceptor.ExecuteActivityInput {
	e.argsMu.Lock()
	defer e.argsMu.Unlock()
	e.args = args
	return &interceptor.ExecuteActivityInput{Args: args}
}

func (e *execution) judge(ctx context.Context, out any, err error, a retrypolicy.Attempt, room engine.Bounds) engine.Decision {
	// Validators and filters are user code and may take their time, or
	// heartbeat: they run without the lock, on a copy.
	j := e.heart.view()
	d := e.spec.Judge(&j, out, err, a, &e.host.Clock, room, func(v any) retrypolicy.Value {
		return wire.EncodeBy(e.plain(ctx), v)
	})
	e.heart.judged(j)
	return d
}

func (e *execution) room(ctx context.Context) engine.Bounds {
	r := engine.Bounds{HereUntil: e.place, CallUntil: e.call, Allows: e.caller(ctx).allows}
	switch {
	case e.info.IsLocalActivity || e.host.Simulated == SimulatedActivity:
		r.RunsHere = true
	case e.host.Simulated == SimulatedWorkflow:
		r.ServerWaits = true
	default:
		r.ServerWaits = true
		r.RunsHere = e.heart.fit() && !closed(e.out.Next.GetWorkerStopChannel(ctx))
		r.NoWaits = !e.host.slotsOf(&e.info).Room()
	}
	return r
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// sleep waits in place, because of cause. It returns what was left when
// something came first: at once, if too many sleep already.
func (e *execution) sleep(ctx context.Context, d time.Duration, cause error) (left time.Duration, ok bool) {
	wake := []<-chan struct{}{ctx.Done()}
	if d > 0 && e.host.Simulated == Real && !e.info.IsLocalActivity {
		manner := slots.Leaves
		if !e.caller(ctx).allows(cause) {
			manner = slots.Stays
		}
		wait := e.host.slotsOf(&e.info).Wait(manner)
		if wait == nil {
			return d, false
		}
		defer wait.End()
		wake = append(wake, wait.Leave())
	}
	start := e.host.Clock.Now()
	if !e.info.IsLocalActivity {
		// A local activity has nowhere to go: its worker waits for it as
		// long as it can, and what is returned is the call's end.
		wake = append(wake, e.out.Next.GetWorkerStopChannel(ctx))
	}
	if e.host.Clock.Sleep(d, wake...) {
		return 0, true
	}
	return max(d-e.host.Clock.Now().Sub(start), 0), false
}

// Elapsed implements retrypolicy.Past.
func (e *execution) Elapsed() time.Duration { return e.elapsedSince(e.heart.firstStart()) }

func (e *execution) elapsedSince(first time.Time) time.Duration {
	if first.IsZero() {
		first = e.info.StartedTime
	}
	return max(e.host.Clock.Now().Sub(first), 0)
}

// Args implements retrypolicy.Past.
func (e *execution) Args() []any {
	e.argsMu.Lock()
	defer e.argsMu.Unlock()
	return e.args
}

// Previous implements retrypolicy.Past.
func (e *execution) Previous() []retrypolicy.Outcome { return e.heart.earlier() }

// pristine encodes the arguments, with the converter that decoded them, so that
// each further attempt gets them as the first did; nil where that is not needed.
// A local activity gets the caller's own, as with the SDK.
func (e *execution) pristine(ctx context.Context, args []any) func() ([]any, error) {
	if !e.spec.CloneArgs || e.spec.Retry.Attempts() == 1 || e.info.IsLocalActivity {
		return nil
	}
	types := make([]reflect.Type, len(args))
	for i, arg := range args {
		if _, dynamic := arg.(converter.EncodedValues); dynamic || arg == nil {
			return nil
		}
		types[i] = reflect.TypeOf(arg)
	}
	dc := converters.Plain(e.bound(ctx, argumentsOf(&e.info)))
	encoded, err := dc.ToPayloads(args...)
	if err != nil {
		return nil // the converter decodes what it does not encode: every attempt gets the same
	}
	return func() ([]any, error) {
		pointers := make([]any, len(types))
		for i, t := range types {
			pointers[i] = reflect.New(t).Interface()
		}
		if err := dc.FromPayloads(encoded, pointers...); err != nil {
			return nil, err
		}
		fresh := make([]any, len(types))
		for i, p := range pointers {
			fresh[i] = reflect.ValueOf(p).Elem().Interface()
		}
		return fresh, nil
	}
}
