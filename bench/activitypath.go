package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	sdkactivity "go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	sdktestsuite "go.temporal.io/sdk/testsuite"
	sdkworker "go.temporal.io/sdk/worker"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/internal/activityhost"
	"github.com/concurry-go/concurry/internal/engine"
	"github.com/concurry-go/concurry/internal/registration"
	"github.com/concurry-go/concurry/internal/slots"
	"github.com/concurry-go/concurry/retrypolicy"
)

const (
	bare     = "bare SDK"
	perCall  = 2 * time.Minute
	perTry   = 20 * time.Second
	benchJob = "Bench.Do"
)

// collectorPercent is GOGC for rows that demand an absolute time. The live heap
// here is a few megabytes, at which the collector runs every few milliseconds,
// and what that adds depends on the rows before; a worker's is larger.
const collectorPercent = 400

func activityRows() []row {
	filtered := retrypolicy.Policy{NumRetries: 5, RetryOn: []retrypolicy.Filter{retrypolicy.ErrorIs(io.ErrUnexpectedEOF)}}
	return []row{
		{
			name:  "activity-no-policy",
			about: "an activity whose method has neither retries nor validators, on a worker with the plugin",
			demands: []demand{
				{figure: "added allocations", limit: 0},
				{figure: "added time", limit: 100, unit: "ns"},
			},
			measure: activityRow(activity.Options{CallTimeout: perCall}),
		},
		{
			name:  "activity-policy",
			about: "an activity that succeeds at once under NumRetries 5, a filter and CallTimeout; heartbeat timeout 10 s",
			demands: []demand{
				{figure: "added allocations", limit: 3},
				{figure: "added time", limit: 1000, unit: "ns"},
			},
			measure: activityRow(activity.Options{Retry: filtered, CallTimeout: perCall}),
		},
		{
			name:  "activity-attempt-timeout",
			about: "the same with AttemptTimeout, for which the body runs on a goroutine that can be abandoned",
			demands: []demand{
				{figure: "added allocations", limit: 8},
				{figure: "added time", limit: 5000, unit: "ns"},
			},
			measure: activityRow(activity.Options{Retry: filtered, CallTimeout: perCall, AttemptTimeout: perTry}),
		},
	}
}

// activityRow drives the engine's activity interceptor as the SDK's worker
// does, once per call: InterceptActivity, Init, ExecuteActivity. The bare
// contestant is the same chain without the engine, so what is added is the
// engine alone.
func activityRow(options activity.Options) func(context.Context, *effort) (*result, error) {
	return func(_ context.Context, e *effort) (*result, error) {
		defer debug.SetGCPercent(debug.SetGCPercent(collectorPercent))
		s := &service{}
		d := activity.Define[*service]("Bench", options)
		activity.Method(d, "Do", (*service).Do)
		tuner, err := sdkworker.NewFixedSizeTuner(sdkworker.FixedSizeTunerOptions{})
		if err != nil {
			return nil, err
		}
		host := &activityhost.Host{Clock: engine.Clock{}.WithDefaults(), Tuner: slots.NewTuner(tuner, slots.Options{})}
		if err := registration.Apply([]*registration.Registration{registration.Bind(d, s)}, discard{}, host); err != nil {
			return nil, err
		}
		r := &result{}
		err = insideActivity(func(ctx context.Context, task *capture) error {
			next := &inbound{service: s}
			in := &interceptor.ExecuteActivityInput{Args: []any{7}}
			engine := host.Interceptor()
			var failed error
			drive := func(intercept func(context.Context, interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor) func(int) {
				return func(n int) {
					for range n {
						i := intercept(task.ctx, next)
						if err := i.Init(task.out); err != nil {
							failed = err
						}
						if _, err := i.ExecuteActivity(ctx, in); err != nil {
							failed = err
						}
					}
				}
			}
			with := drive(engine.InterceptActivity)
			without := drive(func(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
				return next
			})
			t := race(e, contestant{bare, without}, contestant{ours, with})
			r.set(bare, t.of(bare), "ns")
			r.set(ours, t.of(ours), "ns")
			r.set("added time", t.added(ours, bare), "ns")
			r.set("added allocations", allocations(with)-allocations(without), "")
			return failed
		})
		return r, err
	}
}

// inbound is the end of the chain: it stands for the SDK's own, which would
// call the method by reflection and encode its result.
type inbound struct {
	interceptor.ActivityInboundInterceptorBase
	service *service
	out     interceptor.ActivityOutboundInterceptor
}

// Init implements interceptor.ActivityInboundInterceptor.
func (i *inbound) Init(out interceptor.ActivityOutboundInterceptor) error {
	i.out = out
	return nil
}

// ExecuteActivity implements interceptor.ActivityInboundInterceptor. Its
// result is a small number, which costs nothing as an any.
func (i *inbound) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	return i.service.Do(ctx, in.Args[0].(int)) //nolint:forcetypeassert // ours
}

// insideActivity runs f inside a real SDK activity, with what interceptors of
// such activities are given.
func insideActivity(f func(context.Context, *capture) error) error {
	var suite sdktestsuite.WorkflowTestSuite
	suite.SetLogger(quiet())
	env := suite.NewTestActivityEnvironment()
	env.SetTestTimeout(time.Minute)
	grab := &capture{}
	env.SetWorkerOptions(sdkworker.Options{Interceptors: []interceptor.WorkerInterceptor{grab}})
	env.RegisterActivityWithOptions(func(ctx context.Context) error { return f(ctx, grab) }, sdkactivity.RegisterOptions{Name: benchJob})
	_, err := env.ExecuteActivity(benchJob)
	if app, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		return fmt.Errorf("in the activity: %s", app.Message())
	}
	return err
}

// capture keeps what interceptors of an activity get: the context they are
// made with, and the outbound interceptor.
type capture struct {
	interceptor.WorkerInterceptorBase
	ctx context.Context //nolint:containedctx // kept for the length of one activity
	out interceptor.ActivityOutboundInterceptor
}

// InterceptActivity implements interceptor.WorkerInterceptor.
func (c *capture) InterceptActivity(ctx context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	c.ctx = ctx
	i := &capturing{capture: c}
	i.Next = next
	return i
}

type capturing struct {
	interceptor.ActivityInboundInterceptorBase
	capture *capture
}

// Init implements interceptor.ActivityInboundInterceptor.
func (c *capturing) Init(out interceptor.ActivityOutboundInterceptor) error {
	o := &outbound{}
	o.Next = out
	o.info = out.GetInfo(c.capture.ctx)
	o.info.HeartbeatTimeout = engine.DefaultHeartbeat
	o.info.ScheduleToCloseTimeout, o.info.StartToCloseTimeout = perCall, perCall
	o.info.Deadline = o.info.StartedTime.Add(perCall)
	c.capture.out = o
	return c.Next.Init(c.capture.out)
}

// outbound tells the activity what Temporal tells activities of this SDK: the
// timeouts, and a heartbeat timeout.
type outbound struct {
	interceptor.ActivityOutboundInterceptorBase
	info activity.Info
}

// GetInfo implements interceptor.ActivityOutboundInterceptor.
func (o *outbound) GetInfo(context.Context) activity.Info { return o.info }

// discard is a registry that nobody polls for.
type discard struct{ sdkworker.ActivityRegistry }

func (discard) RegisterActivityWithOptions(any, sdkactivity.RegisterOptions) {}
