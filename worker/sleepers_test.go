package worker_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/worker"
)

// nap is a wait in place, from the end of one body to the start of the next.
type nap struct{ from, to time.Time }

func TestAtMostAQuarterOfTheSlotsSleepsAndTheServerGetsTheRest(t *testing.T) {
	t.Parallel()
	const slots, calls = 4, 12
	queue, c := Queue(t), Client(t)
	var mu sync.Mutex
	var naps []nap
	handedOver, awake := 0, map[string]time.Time{}
	var together sync.WaitGroup // as many as there are slots fail at the same moment
	together.Add(slots)
	var arrived int
	impl := &Scripted{Body: func(ctx context.Context, _ int, in string) (string, error) {
		mu.Lock()
		failed, retried := awake[in]
		if !retried {
			arrived++
			wait := arrived <= slots
			mu.Unlock()
			if wait {
				together.Done()
				together.Wait()
			}
			mu.Lock()
			defer mu.Unlock()
			awake[in] = time.Now()
			return "", errors.New("again")
		}
		defer mu.Unlock()
		if activity.GetInfo(ctx).Attempt == 1 {
			naps = append(naps, nap{failed, time.Now()})
		} else {
			handedOver++
		}
		return in, nil
	}}
	d, do := Define(t, InPlace, retrypolicy.Policy{NumRetries: 1, Wait: 900 * time.Millisecond, Jitter: retrypolicy.NoJitter})
	w := worker.New(c, queue, worker.Options{MaxConcurrentActivityExecutionSize: slots, WorkerStopTimeout: time.Second})
	worker.Register(w, d, impl)
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)

	all := make([]*activity.Call[string], calls)
	for i := range all {
		all[i] = Submit(t, c, do, queue, fmt.Sprint("call ", i))
	}
	for i, call := range all {
		out, err := call.Get(t.Context())
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprint("call ", i), out)
	}
	assert.EqualValues(t, 2*calls, impl.Started.Load())
	assert.Equal(t, calls, len(naps)+handedOver)
	assert.GreaterOrEqual(t, handedOver, slots-1, "those who failed at the same moment as the one that sleeps")
	require.NotEmpty(t, naps)
	slices.SortFunc(naps, func(a, b nap) int { return cmp.Compare(a.from.UnixNano(), b.from.UnixNano()) })
	for i := 1; i < len(naps); i++ {
		assert.False(t, naps[i].from.Before(naps[i-1].to.Add(-600*time.Millisecond)), "nap %d began during the one before: %v", i, naps)
	}
}

func TestWorkerStopTimeoutIsTenSecondsUnlessTheUserSaysOtherwise(t *testing.T) {
	t.Parallel()
	for given, want := range map[time.Duration]time.Duration{0: 10 * time.Second, time.Second: time.Second, time.Minute: time.Minute} {
		o := sdkworker.Options{WorkerStopTimeout: given}
		require.NoError(t, worker.Plugin().ConfigureWorker(t.Context(), sdkworker.PluginConfigureWorkerOptions{WorkerOptions: &o}))
		assert.Equal(t, want, o.WorkerStopTimeout)
	}
}

func TestServerAttemptHasRoomForTwoAttemptsWhateverNumRetries(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		attempt, inPlace, call, want time.Duration
	}{
		{20 * time.Second, 0, 0, 46 * time.Second},
		{20 * time.Second, 3 * time.Second, 0, 48 * time.Second},
		{20 * time.Second, -1, 0, 45 * time.Second},
		{20 * time.Second, 0, 30 * time.Second, 30 * time.Second}, // never longer than the call
		{0, 0, 30 * time.Second, 30 * time.Second},
	} {
		for _, retries := range []int{1, 5, 500} {
			t.Run(fmt.Sprintf("%v,%v,%v/%d", tc.attempt, tc.inPlace, tc.call, retries), func(t *testing.T) {
				t.Parallel()
				impl := &Scripted{Body: func(ctx context.Context, _ int, _ string) (string, error) {
					info := activity.GetInfo(ctx)
					return fmt.Sprint(info.StartToCloseTimeout, info.ScheduleToCloseTimeout, info.HeartbeatTimeout), nil
				}}
				d := activity.Define[*Scripted]("Scripted", activity.Options{
					Retry:          retrypolicy.Policy{NumRetries: retries, InPlace: tc.inPlace},
					AttemptTimeout: tc.attempt, CallTimeout: tc.call,
				})
				do := activity.Method(d, "Do", (*Scripted).Do)
				queue, c := Queue(t), Client(t)
				Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
				out, err := Submit(t, c, do, queue, "").Get(t.Context())
				require.NoError(t, err)
				assert.Equal(t, fmt.Sprint(tc.want, tc.call, 10*time.Second), out)
			})
		}
	}
}

// The server attempt takes four seconds, of which a tenth is the margin for
// its answer; each wait takes one.
func TestNextAttemptIsInPlaceOnlyIfWaitAndAttemptFit(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		attemptTimeout time.Duration
		want           []int32
	}{
		"always":                  {100 * time.Millisecond, []int32{1, 1, 1}},
		"after the first attempt": {2 * time.Second, []int32{1, 1, 2}},
		"never":                   {3 * time.Second, []int32{1, 2, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			impl := &payments{charge: declines}
			policy := retrypolicy.Policy{NumRetries: 2, Wait: time.Second, Backoff: retrypolicy.Constant, Jitter: retrypolicy.NoJitter}
			own := workflow.ActivityOptions{StartToCloseTimeout: 4 * time.Second}
			_, err := receipt(t, shop(t, Client(t), impl, own, activity.Options{Retry: policy, AttemptTimeout: tc.attemptTimeout}))
			require.ErrorContains(t, err, "declined")
			assert.Equal(t, tc.want, impl.serverAttempts())
		})
	}
}
