package attempt

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"

	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/retrypolicy"
)

// execution is one server attempt. It holds everything the attempts in it
// need, so that a call that succeeds at once costs one allocation and a timer.
type execution struct {
	interceptor.ActivityInboundInterceptorBase
	host  *Host
	known *hosted
	out   outbound

	spec  *Spec
	info  activity.Info
	heart heart
	args  []any // of the running attempt

	needs     needs        // of the call; nothing without limits
	lease     limits.Lease // of the running attempt
	endLimits func()       // releases what the running body has acquired itself

	place, call time.Time // see Room
	opened      time.Time // when the execution began

	first attemptContext // the context of the first attempt here
	pulse pulse
}

type outbound struct {
	interceptor.ActivityOutboundInterceptorBase
	e *execution
}

// Init implements interceptor.ActivityInboundInterceptor.
func (e *execution) Init(out interceptor.ActivityOutboundInterceptor) error {
	e.out.Next, e.out.e = out, e
	return e.Next.Init(&e.out)
}

// RecordHeartbeat implements interceptor.ActivityOutboundInterceptor.
func (o *outbound) RecordHeartbeat(ctx context.Context, details ...any) {
	if o.e.spec == nil || o.e.info.IsLocalActivity {
		o.Next.RecordHeartbeat(ctx, details...)
		return
	}
	o.e.heart.userHeartbeat(ctx, details)
}

// HasHeartbeatDetails implements interceptor.ActivityOutboundInterceptor.
func (o *outbound) HasHeartbeatDetails(ctx context.Context) bool {
	if o.e.spec == nil {
		return o.Next.HasHeartbeatDetails(ctx)
	}
	return o.e.heart.hasUser()
}

// GetHeartbeatDetails implements interceptor.ActivityOutboundInterceptor.
func (o *outbound) GetHeartbeatDetails(ctx context.Context, d ...any) error {
	if o.e.spec == nil {
		return o.Next.GetHeartbeatDetails(ctx, d...)
	}
	return o.e.heart.getUser(ctx, d)
}

// ExecuteActivity runs attempts until the call is decided or handed back.
func (e *execution) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	spec, err := e.known.forHeader(interceptor.Header(ctx)[HeaderKey])
	if err != nil {
		return nil, final(err)
	}
	if !e.host.governs(spec) && !e.host.governs(e.known.spec) {
		return e.Next.ExecuteActivity(ctx, in)
	}
	if err := e.prepare(ctx, spec, in); err != nil {
		return nil, final(err)
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

func (e *execution) prepare(ctx context.Context, spec *Spec, in *interceptor.ExecuteActivityInput) error {
	e.info = e.out.Next.GetInfo(ctx)
	e.args = in.Args
	e.heart.out, e.heart.token = e.out.Next, e.info.TaskToken
	e.heart.simulated = e.host.Simulated != Real
	e.heart.interval = userInterval
	if e.info.HeartbeatTimeout > 0 {
		e.heart.interval = e.info.HeartbeatTimeout / 3
	}
	if e.info.IsLocalActivity {
		e.heart.journal = *Opened(nil, 1) // nothing is carried, and nothing is lost silently
	} else if err := e.heart.open(ctx, e.info.Attempt); err != nil {
		return err
	}
	e.deadlines()
	e.spec = spec // from here on heartbeats are the engine's
	return nil
}

// deadlines works out until when this server attempt, and the call, can still
// be answered: the SDK drops what comes after.
func (e *execution) deadlines() {
	e.opened = time.Now()
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
	pristine := e.pristine(in.Args)
	var last error // of the attempt before, in this server attempt
	for here := 1; ; here++ {
		if ok, err := e.acquire(ctx, last); !ok {
			return nil, err
		}
		n, told := e.begin()
		if (here > 1 || told) && !e.info.IsLocalActivity {
			if err := e.heart.record(ctx); err != nil {
				e.lease.Undo() // no body has used it
				e.release()
				return nil, e.refused(ctx, err, last)
			}
		}
		if here > 1 && pristine != nil {
			in = e.withArgs(pristine())
		}
		out, err := e.run(ctx, in)
		e.release()
		e.heart.bodyEnded()
		if err == activity.ErrResultPending { //nolint:errorlint // the SDK compares it like this
			return nil, err
		}
		d, answer := e.settle(ctx, n, out, err, true)
		if answer != nil {
			return nil, answer
		}
		if d.Action == Accept {
			return out, nil
		}
		last = d.Err
		if left, ok := e.sleep(ctx, d.Delay); !ok {
			if e.canceled(ctx) {
				return nil, e.canceledWith(ctx, ctx.Err())
			}
			return nil, e.handOver(ctx, d.Err, left)
		}
	}
}

// resume tells of the attempts that were lost before this server attempt, and
// ends a call that may not go on.
func (e *execution) resume(ctx context.Context) error {
	j := &e.heart.journal
	if j.Started == 0 && j.found == 0 {
		return nil
	}
	if j.Started > 0 && j.FirstStart.IsZero() && e.host.Simulated == Real {
		e.heart.mu.Lock()
		j.FirstStart = e.info.ScheduledTime // the first attempt left no record, and was not before that
		e.heart.mu.Unlock()
	}
	stop, end := e.spec.Resume(j, e.Elapsed(), j.found > 0, &e.host.Clock)
	if j.found > 0 {
		e.tellLost(ctx, stop)
	} else if end != nil {
		e.countGiveUp(ctx, stop) // of the last attempt its worker has told
	}
	if end != nil {
		return final(end)
	}
	return nil
}

// settle judges an ended attempt and tells of it. A nil answer says that the
// result is accepted, or that another attempt follows here, which it can if here
// says so; otherwise it is what the server attempt returns.
func (e *execution) settle(ctx context.Context, n int, out any, err error, here bool) (d Decision, answer error) {
	a := retrypolicy.Attempt{Number: n, Method: e.spec.Method, Call: e}
	if err == nil && len(e.spec.Validators) == 0 {
		e.accepted(ctx, a)
		return Decision{Action: Accept}, nil
	}
	if err != nil {
		_, err = textOf(err) // from here on its chain can be walked
	}
	if ctx.Err() != nil {
		here = false
		if err != nil && (isContextError(err) || e.canceled(ctx)) {
			return d, e.cutOff(ctx, err, a)
		}
	}
	room := e.room(ctx)
	room.Here = room.Here && here && !errors.Is(err, ErrAbandoned)
	d = e.judge(out, err, a, room)
	if d.Problem != nil {
		e.out.Next.GetLogger(ctx).Error("A retry filter panicked; it counts as no.", "Error", d.Problem)
	}
	e.tell(ctx, d.event(a))
	switch d.Action {
	case End:
		return d, final(d.Err)
	case WaitServer:
		return d, e.handOver(ctx, d.Err, d.Delay)
	default:
		return d, nil
	}
}

// begin starts the next attempt in the journal. told tells that the server was
// told in this server attempt that no body runs.
func (e *execution) begin() (n int, told bool) {
	h := &e.heart
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.journal.FirstStart.IsZero() && e.spec.needsClock() {
		h.journal.FirstStart = e.host.Clock.Now()
	}
	h.userBeats, h.bodyRuns = false, true
	if h.journal.Started == 0 && e.spec.Retry.Budget != nil {
		e.spec.Retry.Budget.Attempt(e.host.Clock.Now())
	}
	return h.journal.begin(), h.idle
}

// withArgs makes args those of the next attempt.
func (e *execution) withArgs(args []any) *interceptor.ExecuteActivityInput {
	e.heart.mu.Lock()
	defer e.heart.mu.Unlock()
	e.args = args
	return &interceptor.ExecuteActivityInput{Args: args}
}

func (e *execution) judge(out any, err error, a retrypolicy.Attempt, room Room) Decision {
	// Validators and filters are user code and may take their time, or
	// heartbeat: they run without the lock, on a copy.
	h := &e.heart
	h.mu.Lock()
	j := h.journal
	j.Outcomes = slices.Clone(j.Outcomes)
	h.mu.Unlock()
	d := e.spec.Judge(&j, out, err, a, &e.host.Clock, room, encodeForWire)
	h.mu.Lock()
	h.journal = j
	h.mu.Unlock()
	return d
}

func (e *execution) room(ctx context.Context) Room {
	r := Room{Place: e.place, Call: e.call, Caller: e.caller(ctx)}
	switch {
	case e.info.IsLocalActivity || e.host.Simulated == SimulatedActivity:
		r.Here = true
	case e.host.Simulated == SimulatedWorkflow:
		r.Server = true
	default:
		r.Server = true
		r.Here = !closed(e.out.Next.GetWorkerStopChannel(ctx)) && e.host.sleeping.Load() < e.host.mostAsleep()
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

// sleep waits in place. It returns what was left when something came first:
// at once, if too many sleep already and the server can do it.
func (e *execution) sleep(ctx context.Context, d time.Duration) (left time.Duration, ok bool) {
	if e.host.Simulated == Real && !e.info.IsLocalActivity {
		defer e.host.sleeping.Add(-1)
		if e.host.sleeping.Add(1) > e.host.mostAsleep() {
			return d, false
		}
	}
	start := e.host.Clock.Now()
	wake := []<-chan struct{}{ctx.Done()}
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

// Elapsed implements retrypolicy.Call.
func (e *execution) Elapsed() time.Duration {
	e.heart.mu.Lock()
	first := e.heart.journal.FirstStart
	e.heart.mu.Unlock()
	if first.IsZero() {
		first = e.info.StartedTime
	}
	return max(e.host.Clock.Now().Sub(first), 0)
}

// Args implements retrypolicy.Call.
func (e *execution) Args() []any {
	e.heart.mu.Lock()
	defer e.heart.mu.Unlock()
	return e.args
}

// Previous implements retrypolicy.Call.
func (e *execution) Previous() []retrypolicy.Outcome {
	e.heart.mu.Lock()
	defer e.heart.mu.Unlock()
	return e.heart.journal.earlier()
}

// pristine encodes the arguments so that each further attempt gets them as
// the first did; nil where that is not needed.
func (e *execution) pristine(args []any) func() []any {
	if !e.spec.CloneArgs || e.spec.Retry.Attempts() == 1 {
		return nil
	}
	dc := converter.GetDefaultDataConverter()
	encoded, err := dc.ToPayloads(args...)
	if err != nil {
		return nil // not for the default converter: every attempt gets the same
	}
	types := make([]reflect.Type, len(args))
	for i, arg := range args {
		types[i] = reflect.TypeOf(arg)
		if types[i] == nil {
			return nil
		}
	}
	return func() []any {
		pointers := make([]any, len(types))
		for i, t := range types {
			pointers[i] = reflect.New(t).Interface()
		}
		if err := dc.FromPayloads(encoded, pointers...); err != nil {
			return args
		}
		fresh := make([]any, len(types))
		for i, p := range pointers {
			fresh[i] = reflect.ValueOf(p).Elem().Interface()
		}
		return fresh
	}
}
