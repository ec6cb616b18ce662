package activity_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	sdkworker "go.temporal.io/sdk/worker"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
	"github.com/concurry-go/concurry/worker"
)

// counted counts the requests of Submit.
type counted struct {
	client.Client

	activities, workflows, describes atomic.Int64
}

func (c *counted) ExecuteActivity(ctx context.Context, o client.StartActivityOptions, activity any, args ...any) (client.ActivityHandle, error) {
	c.activities.Add(1)
	return c.Client.ExecuteActivity(ctx, o, activity, args...)
}

func (c *counted) ExecuteWorkflow(ctx context.Context, o client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error) {
	c.workflows.Add(1)
	return c.Client.ExecuteWorkflow(ctx, o, workflow, args...)
}

func (c *counted) DescribeTaskQueue(ctx context.Context, queue string, kind enumspb.TaskQueueType) (*workflowservice.DescribeTaskQueueResponse, error) {
	c.describes.Add(1)
	return c.Client.DescribeTaskQueue(ctx, queue, kind)
}

func TestTheWayIsChosenOncePerClient(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w way) {
		impl := &Scripted{Body: func(_ context.Context, _ int, in string) (string, error) { return in, nil }}
		inner, do := w.hosted(t, retrypolicy.Policy{NumRetries: 1}, impl)
		c := &counted{Client: inner}
		for range 3 {
			call, err := do.Submit(t.Context(), c, "x")
			require.NoError(t, err)
			_, err = call.Get(t.Context())
			require.NoError(t, err)
		}
		counts := [3]int64{c.activities.Load(), c.workflows.Load(), c.describes.Load()}
		if w == standalone {
			assert.Equal(t, [3]int64{3, 0, 0}, counts, "a server that has standalone activities is asked for nothing else")
			return
		}
		assert.Equal(t, [2]int64{1, 3}, [2]int64(counts[:2]), "it is tried once")
		assert.Positive(t, counts[2])
		described := counts[2]
		_, err := do.Submit(t.Context(), c, "x")
		require.NoError(t, err)
		assert.Equal(t, described, c.describes.Load(), "a queue with workflow workers is known by then")
	})
}

func TestActivityOnlyWorkersCallerGetsAClearError(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w way) {
		impl := &Scripted{Body: func(_ context.Context, _ int, in string) (string, error) { return in, nil }}
		queue, c := Queue(t), w.client(t)
		d, do := Define(t, InPlace, retrypolicy.Policy{NumRetries: 1})
		activitiesOnly := worker.New(c, queue, worker.Options{DisableWorkflowWorker: true})
		worker.Register(activitiesOnly, d, impl)
		require.NoError(t, activitiesOnly.Start())
		t.Cleanup(activitiesOnly.Stop)
		require.Eventually(t, func() bool {
			d, err := c.DescribeTaskQueue(t.Context(), queue, enumspb.TASK_QUEUE_TYPE_ACTIVITY)
			return err != nil || len(d.GetPollers()) > 0
		}, 10*time.Second, 10*time.Millisecond)
		submit := func() (*activity.Call[string], error) {
			return do.With(activity.CallOptions{TaskQueue: queue}).Submit(t.Context(), c, "x")
		}
		call, err := submit()
		if w == inWorkflow {
			require.ErrorIs(t, err, activity.ErrStandaloneUnsupported)
			require.ErrorContains(t, err, fmt.Sprintf("the workers of task queue %q run activities only: run one there with workflows enabled", queue))
			// A worker that runs workflows, and nothing else, is enough.
			Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
			call, err = submit()
		}
		require.NoError(t, err)
		out, err := call.Get(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "x", out)
	})
}

// arities has a method of each number of arguments.
type arities struct{}

type point struct{ X, Y int }

func (*arities) None(context.Context) (string, error)              { return "none", nil }
func (*arities) Nothing(_ context.Context, _ []byte) error         { return nil }
func (*arities) Bytes(_ context.Context, b []byte) ([]byte, error) { return append(b, '!'), nil }

func (*arities) Two(_ context.Context, p *point, n int) (*point, error) {
	return &point{p.X + n, p.Y}, nil
}

func (*arities) Three(_ context.Context, a string, b map[string]int, c []point) (string, error) {
	return fmt.Sprint(a, b, c), nil
}

func TestSubmitPassesAnyNumberAndTypeOfArguments(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w way) {
		queue, c := Queue(t), w.client(t)
		d := activity.Define[*arities]("Arities", activity.Options{CallTimeout: time.Minute, TaskQueue: queue, Retry: retrypolicy.Policy{NumRetries: 1}})
		none := activity.Method(d, "None", activity.NoInput((*arities).None))
		nothing := activity.Method(d, "Nothing", activity.NoOutput((*arities).Nothing))
		raw := activity.Method(d, "Bytes", (*arities).Bytes)
		two := activity.Method(d, "Two", activity.Two((*arities).Two))
		three := activity.Method(d, "Three", activity.Three((*arities).Three))
		Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, &arities{}) })

		assert.Equal(t, "none", result(t, c, none.Handle, activity.None{}))
		assert.Equal(t, activity.None{}, result(t, c, nothing.Handle, []byte("x")))
		assert.Equal(t, []byte("\x00!"), result(t, c, raw.Handle, []byte{0}))
		assert.Equal(t, &point{4, 2}, result(t, c, two.Handle, activity.Args2[*point, int]{A: &point{1, 2}, B: 3}))
		assert.Equal(t, "amap[b:1] [{1 2}]", result(t, c, three.Handle, activity.Args3[string, map[string]int, []point]{A: "a", B: map[string]int{"b": 1}, C: []point{{1, 2}}}))
	})
}

func result[In, Out any](t *testing.T, c client.Client, h activity.Handle[In, Out], in In) Out {
	t.Helper()
	call, err := h.Submit(t.Context(), c, in)
	require.NoError(t, err)
	out, err := call.Get(t.Context())
	require.NoError(t, err)
	return out
}

// scrambled is a codec that leaves nothing readable.
type scrambled struct{}

func (scrambled) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		data, err := p.Marshal()
		if err != nil {
			return nil, err
		}
		slices.Reverse(data)
		out[i] = &commonpb.Payload{Metadata: map[string][]byte{converter.MetadataEncoding: []byte("binary/scrambled")}, Data: data}
	}
	return out, nil
}

func (scrambled) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		if string(p.GetMetadata()[converter.MetadataEncoding]) != "binary/scrambled" {
			return nil, fmt.Errorf("payload in the clear: %v", p)
		}
		data := slices.Clone(p.GetData())
		slices.Reverse(data)
		out[i] = &commonpb.Payload{}
		if err := out[i].Unmarshal(data); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func TestSubmitPassesEverythingThroughTheUsersCodec(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w way) {
		dc := converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), scrambled{})
		c := w.dial(t, dc)
		t.Cleanup(c.Close)
		impl := &Scripted{Body: func(_ context.Context, n int, in string) (string, error) { return fmt.Sprint(in, n), nil }}
		queue := Queue(t)
		d, do := Define(t, InPlace, retrypolicy.Policy{NumRetries: 1}, func(s string, _ retrypolicy.Attempt) error {
			if strings.HasPrefix(s, "bad") {
				return errors.New("bad it is")
			}
			return nil
		})
		Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
		h := do.With(activity.CallOptions{TaskQueue: queue})
		assert.Equal(t, "good1", result(t, c, h.Handle, "good"))
		call, err := h.Submit(t.Context(), c, "bad")
		require.NoError(t, err)
		call, err = do.Attach(t.Context(), c, call.ID())
		require.NoError(t, err)
		_, err = call.Get(t.Context())
		var rve *validation.RetryValidationError
		require.True(t, validation.As(err, &rve), "%v", err)
		all, err := validation.Results[string](rve)
		require.NoError(t, err)
		assert.Equal(t, []string{"bad2", "bad3"}, all)
	})
}

func TestFallbackWorkflowReplays(t *testing.T) {
	t.Parallel()
	for _, fails := range []bool{false, true} {
		t.Run(fmt.Sprint("fails ", fails), func(t *testing.T) {
			t.Parallel()
			impl := &Scripted{Body: func(_ context.Context, _ int, in string) (string, error) {
				if fails {
					return "", errors.New("no")
				}
				return in, nil
			}}
			c, do := inWorkflow.hosted(t, retrypolicy.Policy{NumRetries: 1}, impl)
			call, err := do.Submit(t.Context(), c, "x")
			require.NoError(t, err)
			_, err = call.Get(t.Context())
			assert.Equal(t, fails, err != nil)
			history := &historypb.History{}
			events := c.GetWorkflowHistory(t.Context(), call.ID(), call.RunID(), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
			for events.HasNext() {
				event, err := events.Next()
				require.NoError(t, err)
				history.Events = append(history.Events, event)
			}
			replayer, err := sdkworker.NewWorkflowReplayerWithOptions(sdkworker.WorkflowReplayerOptions{Plugins: []sdkworker.Plugin{worker.Plugin()}})
			require.NoError(t, err)
			require.NoError(t, replayer.ReplayWorkflowHistory(log.NewStructuredLogger(slog.New(slog.DiscardHandler)), history))
			started := history.GetEvents()[0].GetWorkflowExecutionStartedEventAttributes()
			assert.Equal(t, "concurry.Call", started.GetWorkflowType().GetName())
			assert.Equal(t, 70*time.Second, started.GetWorkflowRunTimeout().AsDuration(), "CallTimeout and a little more")
		})
	}
}
