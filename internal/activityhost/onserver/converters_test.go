package onserver_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/grpc"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/validation"
	"github.com/concurry-go/concurry/worker"
)

// fromScratch is a DataConverter that knows nothing of raw values.
type fromScratch struct{ Gobs }

func (f fromScratch) ToPayloads(all ...any) (*commonpb.Payloads, error) {
	payloads := &commonpb.Payloads{}
	for _, v := range all {
		p, err := f.ToPayload(v)
		if err != nil {
			return nil, err
		}
		payloads.Payloads = append(payloads.Payloads, p)
	}
	return payloads, nil
}

func (f fromScratch) FromPayloads(p *commonpb.Payloads, ptrs ...any) error {
	for i := range min(len(p.GetPayloads()), len(ptrs)) {
		if err := f.FromPayload(p.GetPayloads()[i], ptrs[i]); err != nil {
			return err
		}
	}
	return nil
}

func (fromScratch) ToStrings(*commonpb.Payloads) []string { return nil }

// parcel has what JSON drops.
type parcel struct {
	ID     string
	Weight float64 `json:"-"`
}

func ownConverters() map[string]converter.DataConverter {
	return map[string]converter.DataConverter{
		"payload converter": converter.NewCompositeDataConverter(converter.NewNilPayloadConverter(), Gobs{}),
		"from scratch":      fromScratch{},
	}
}

// dialWithPlugin is a client that has the plugin.
func dialWithPlugin(t *testing.T, o client.Options) client.Client {
	t.Helper()
	if o.Logger == nil {
		o.Logger = log.NewStructuredLogger(slog.New(slog.DiscardHandler))
	}
	o.Plugins = []client.Plugin{worker.Plugin()}
	return testsuite.Dial(t, testsuite.Server(t), o)
}

func TestEverythingOfTheUsersPassesTheUsersConverter(t *testing.T) {
	t.Parallel()
	for name, dc := range ownConverters() {
		for _, e := range []Engine{InPlace, OnServer} {
			t.Run(name+"/"+string(e), func(t *testing.T) {
				t.Parallel()
				passesTheUsersConverter(t, e, dialWithPlugin(t, client.Options{DataConverter: dc}))
			})
		}
	}
}

func passesTheUsersConverter(t *testing.T, e Engine, c client.Client) {
	t.Helper()
	queue := Queue(t)
	var arguments, details, refusals []parcel
	weigh := activity.Func("Weigh", func(ctx context.Context, in parcel) (parcel, error) {
		arguments = append(arguments, in)
		var seen parcel
		if activity.HasHeartbeatDetails(ctx) {
			if err := activity.GetHeartbeatDetails(ctx, &seen); err != nil {
				return parcel{}, err
			}
			details = append(details, seen)
		}
		if refused, _, ok := activity.LastRefusal[parcel](ctx); ok {
			refusals = append(refusals, refused)
		}
		n := float64(activity.AttemptNumber(ctx))
		activity.RecordHeartbeat(ctx, parcel{"page", n})
		return parcel{in.ID, n}, nil
	}, activity.FuncOptions[parcel, parcel]{
		Retry: e.Policy(retrypolicy.Policy{NumRetries: 2, Wait: time.Millisecond}), CallTimeout: Timeout, HeartbeatTimeout: Timeout, TaskQueue: queue, RetryUntil: []validation.Validator[parcel]{
			func(p parcel, _ retrypolicy.Attempt) error { return fmt.Errorf("%v kg", p.Weight) },
		},
	})
	Start(t, c, queue, func(w *worker.Worker) {
		worker.RegisterFunc(w, weigh)
		w.RegisterWorkflowWithOptions(func(ctx workflow.Context, in parcel) (parcel, error) {
			_, err := weigh.Execute(ctx, in).Get(ctx)
			var rve *validation.RetryValidationError
			if !validation.As(err, &rve) {
				return parcel{}, err
			}
			return validation.Best(rve, func(p parcel) float64 { return p.Weight })
		}, workflow.RegisterOptions{Name: "Weighing"})
	})
	in := parcel{"7", 9.5}
	three := func(id string) []parcel { return []parcel{{id, 1}, {id, 2}, {id, 3}} }
	check := func() {
		assert.Equal(t, []parcel{in, in, in}, arguments)
		assert.Equal(t, three("page")[:2], details)
		assert.Equal(t, three("7")[:2], refusals)
		arguments, details, refusals = nil, nil, nil
	}
	call, err := weigh.Submit(t.Context(), c, in)
	require.NoError(t, err)
	_, err = call.Get(t.Context())
	check()
	var rve *validation.RetryValidationError
	require.True(t, validation.As(err, &rve), "%v", err)
	results, err := validation.Results[parcel](rve)
	require.NoError(t, err)
	assert.Equal(t, three("7"), results)

	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: queue}, "Weighing", in)
	require.NoError(t, err)
	var best parcel
	require.NoError(t, run.Get(t.Context(), &best))
	assert.Equal(t, parcel{"7", 3}, best)
	check()
}

// shape is what a local activity gets as it is.
type shape interface{ Area() float64 }

type circle struct{ R float64 }

func (c circle) Area() float64 { return 3 * c.R * c.R }

type drawing struct {
	Shape  shape
	secret string
	Token  string `json:"-"`
}

func TestLocalAttemptsGetTheCallersOwnArguments(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	var seen []drawing
	draw := activity.Func("Draw", func(_ context.Context, in drawing) (string, error) {
		if seen = append(seen, in); len(seen) < 3 {
			return "", errors.New("no ink")
		}
		return "drawn", nil
	}, activity.FuncOptions[drawing, string]{Retry: retrypolicy.Policy{NumRetries: 2, Wait: time.Millisecond}, CallTimeout: Timeout})
	given := drawing{circle{2}, "s", "t"}
	Start(t, c, queue, func(w *worker.Worker) {
		worker.RegisterFunc(w, draw)
		w.RegisterWorkflowWithOptions(func(ctx workflow.Context) (string, error) {
			return draw.ExecuteLocal(ctx, given).Get(ctx)
		}, workflow.RegisterOptions{Name: "Drawing"})
	})
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: queue}, "Drawing")
	require.NoError(t, err)
	require.NoError(t, run.Get(t.Context(), nil))
	assert.Equal(t, []drawing{given, given, given}, seen)
}

func TestWorkerWithoutAJournalDoesNotStart(t *testing.T) {
	t.Parallel()
	c := testsuite.Dial(t, testsuite.Server(t), client.Options{DataConverter: fromScratch{}})
	err := worker.New(c, Queue(t), worker.Options{}).Start()
	require.ErrorContains(t, err, "DataConverter onserver_test.fromScratch: it does not let a converter.RawValue pass")
	require.ErrorContains(t, err, "client.Options.Plugins")
}

func TestWorkerTellsWhatWillBeReadable(t *testing.T) {
	t.Parallel()
	dc := converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), newSealed(t))
	start := func(t *testing.T, o client.Options) (string, client.Client) {
		var logs records
		o.DataConverter, o.Logger = dc, log.NewStructuredLogger(logs.logger())
		c := testsuite.Dial(t, testsuite.Server(t), o)
		Start(t, c, Queue(t), func(*worker.Worker) {})
		logs.mu.Lock()
		defer logs.mu.Unlock()
		return logs.out.String(), c
	}
	told, _ := start(t, client.Options{})
	assert.Contains(t, told, "its FailureConverter does not")
	told, _ = start(t, client.Options{Plugins: []client.Plugin{worker.Plugin()}})
	assert.NotContains(t, told, "FailureConverter")
}

// The plugin on the client is enough for secrets.
func TestPluginOnTheClientEncodesRefusedResults(t *testing.T) {
	t.Parallel()
	codec := newSealed(t)
	queue, c := Queue(t), dialWithPlugin(t, client.Options{DataConverter: converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), codec)})
	d, do := ScriptedWith(activity.Options{Retry: retrypolicy.Policy{NumRetries: 1, Wait: time.Millisecond}, TaskQueue: queue},
		func(string, retrypolicy.Attempt) error { return errors.New("no good") })
	impl := &Scripted{Body: func(_ context.Context, n int, _ string) (string, error) { return fmt.Sprint("secret ", n), nil }}
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	call := Submit(t, c, do, queue, "")
	_, err := call.Get(t.Context())
	var rve *validation.RetryValidationError
	require.True(t, validation.As(err, &rve))
	results, err := validation.Results[string](rve)
	require.NoError(t, err)
	assert.Equal(t, []string{"secret 1", "secret 2"}, results)

	described, err := call.ActivityHandle().Describe(t.Context(), client.DescribeActivityOptions{IncludeOutcome: true, IncludeLastFailure: true})
	require.NoError(t, err)
	assert.NotContains(t, described.RawResponse.String(), "secret")
	assert.Contains(t, described.RawResponse.String(), "no good", "a message, as Temporal's are")
}

// bound is a codec that opens only where it sealed, as one does that takes the
// serialization context as associated data.
type boundCodec struct {
	aad   string
	fails *atomic.Int32 // how many times it fails to open
}

func (b boundCodec) WithSerializationContext(c converter.SerializationContext) converter.PayloadCodec {
	return boundCodec{fmt.Sprintf("%#v", c), b.fails}
}

func (b boundCodec) Encode(all []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(all))
	for i, p := range all {
		data, err := p.Marshal()
		if err != nil {
			return nil, err
		}
		out[i] = &commonpb.Payload{Metadata: map[string][]byte{converter.MetadataEncoding: []byte("binary/bound"), "aad": []byte(b.aad)}, Data: data}
	}
	return out, nil
}

func (b boundCodec) Decode(all []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(all))
	for i, p := range all {
		if string(p.GetMetadata()[converter.MetadataEncoding]) != "binary/bound" {
			out[i] = p
			continue
		}
		if sealed := string(p.GetMetadata()["aad"]); sealed != b.aad {
			return nil, fmt.Errorf("sealed in %s, opened in %s", sealed, b.aad)
		}
		if b.fails != nil && b.fails.Add(-1) >= 0 {
			return nil, errors.New("kms: connection refused")
		}
		out[i] = &commonpb.Payload{}
		if err := out[i].Unmarshal(p.GetData()); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func TestCodecsThatAreBoundToTheirActivity(t *testing.T) {
	t.Parallel()
	for _, e := range []Engine{InPlace, OnServer} {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			passesTheUsersConverter(t, e, dialWithPlugin(t, client.Options{
				DataConverter: converter.NewCodecDataConverter(ownConverters()["payload converter"], boundCodec{}),
			}))
		})
	}
}

// Raw Temporal retries what a key service that is away costs it.
func TestCodecThatFailsForAMomentEndsNoCall(t *testing.T) {
	t.Parallel()
	for failures := int32(1); failures <= 4; failures++ {
		t.Run(strconv.Itoa(int(failures)), func(t *testing.T) {
			t.Parallel()
			var fails atomic.Int32
			queue, c := Queue(t), dialWithPlugin(t, client.Options{DataConverter: converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), boundCodec{fails: &fails})})
			impl := &Scripted{Body: func(_ context.Context, n int, in string) (string, error) {
				if n < 3 {
					fails.Store(failures)
					return "", errors.New("not yet")
				}
				return in, nil
			}}
			d := activity.Define[*Scripted]("Scripted", activity.Options{
				Retry: OnServer.Policy(retrypolicy.Policy{NumRetries: 5, Wait: time.Millisecond}), CallTimeout: Timeout, TaskQueue: queue,
			})
			do := activity.Method(d, "Do", (*Scripted).Do)
			Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
			call := Submit(t, c, do, queue, "x")
			out, err := call.Get(t.Context())
			require.NoError(t, err)
			assert.Equal(t, "x", out)
			assert.EqualValues(t, 3, impl.Started.Load(), "bodies")
		})
	}
}

// Headers are no values to Temporal's SDK; ours are sent as values are.
func TestHeadersPassTheUsersConverter(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var sent []*commonpb.Payload
	note := func(header *commonpb.Header) {
		mu.Lock()
		defer mu.Unlock()
		for _, p := range header.GetFields() {
			sent = append(sent, p)
		}
	}
	c := dialWithPlugin(t, client.Options{
		DataConverter: converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), boundCodec{}),
		ConnectionOptions: client.ConnectionOptions{DialOptions: []grpc.DialOption{
			grpc.WithChainUnaryInterceptor(
				func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
					switch r := req.(type) {
					case *workflowservice.StartActivityExecutionRequest:
						note(r.GetHeader())
					case *workflowservice.RespondWorkflowTaskCompletedRequest:
						for _, command := range r.GetCommands() {
							note(command.GetScheduleActivityTaskCommandAttributes().GetHeader())
						}
					}
					return invoke(ctx, method, req, reply, cc, opts...)
				}),
		}},
	})
	queue := Queue(t)
	retries := 2
	impl := &Scripted{Body: func(context.Context, int, string) (string, error) { return "", errors.New("not yet") }}
	d, handle := ScriptedWith(activity.Options{Retry: retrypolicy.Policy{NumRetries: 9, Wait: time.Millisecond}, TaskQueue: queue})
	do := handle.With(activity.CallOptions{NumRetries: &retries})
	w := worker.New(c, queue, worker.Options{EnableSessionWorker: true})
	worker.Register(w, d, impl)
	w.RegisterWorkflowWithOptions(func(ctx workflow.Context, local bool) error {
		if local {
			_, err := do.ExecuteLocal(ctx, "").Get(ctx)
			return err
		}
		return activity.InSession(ctx, activity.SessionOptions{}, func(ctx workflow.Context) error {
			_, err := do.Execute(ctx, "").Get(ctx)
			return err
		})
	}, workflow.RegisterOptions{Name: "Calling"})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)

	call, err := do.Submit(t.Context(), c, "")
	require.NoError(t, err)
	_, err = call.Get(t.Context())
	require.ErrorContains(t, err, "gave up after 3 attempts")
	for _, local := range []bool{false, true} {
		run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: queue}, "Calling", local)
		require.NoError(t, err)
		require.ErrorContains(t, run.Get(t.Context(), nil), "gave up after 3 attempts")
	}
	mu.Lock()
	defer mu.Unlock()
	assert.Len(t, sent, 3, "numbers twice, and a session")
	for _, p := range sent {
		assert.Equal(t, "binary/bound", string(p.GetMetadata()[converter.MetadataEncoding]))
	}
}

func TestHeaderThatAWorkerCannotReadEndsTheCall(t *testing.T) {
	t.Parallel()
	queue := Queue(t)
	caller := dialWithPlugin(t, client.Options{DataConverter: converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), boundCodec{})})
	var bodies atomic.Int32
	ping := activity.Func("Ping", func(context.Context, activity.None) (activity.None, error) {
		bodies.Add(1)
		return activity.None{}, nil
	}, activity.FuncOptions[activity.None, activity.None]{Retry: retrypolicy.Policy{NumRetries: 1}, CallTimeout: Timeout, TaskQueue: queue})
	Start(t, Client(t), queue, func(w *worker.Worker) { worker.RegisterFunc(w, ping) })
	call, err := ping.Submit(t.Context(), caller, activity.None{})
	require.NoError(t, err)
	_, err = call.Get(t.Context())
	require.ErrorContains(t, err, `Ping: header "concurry": it was encoded by a DataConverter that this worker's client has not`)
	assert.Zero(t, bodies.Load())
}
