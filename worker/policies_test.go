package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdkactivity "go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/worker"
)

// payments is a struct of activities in a program that does not know this
// module: shop is that program, up to its worker's Plugins.
type payments struct {
	charge func(ctx context.Context, n int, items []string) (string, error)

	mu      sync.Mutex
	charges []charge
}

// charge is one start of the body: with which items, in which server attempt.
type charge struct {
	items         []string
	serverAttempt int32
}

func (p *payments) ChargeCard(ctx context.Context, items []string) (string, error) {
	p.mu.Lock()
	p.charges = append(p.charges, charge{slices.Clone(items), sdkactivity.GetInfo(ctx).Attempt})
	n := len(p.charges)
	p.mu.Unlock()
	return p.charge(ctx, n, items)
}

func (p *payments) serverAttempts() []int32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	attempts := make([]int32, len(p.charges))
	for i, c := range p.charges {
		attempts[i] = c.serverAttempt
	}
	return attempts
}

// shop runs the program's workflow with the program's own activity options.
func shop(t *testing.T, c client.Client, impl *payments, own workflow.ActivityOptions, policy activity.Options, items ...string) client.WorkflowRun {
	t.Helper()
	checkout := func(ctx workflow.Context, items []string) (string, error) {
		ctx = workflow.WithActivityOptions(ctx, own)
		var receipt string
		err := workflow.ExecuteActivity(ctx, impl.ChargeCard, items).Get(ctx, &receipt)
		return receipt, err
	}
	queue := Queue(t)
	w := sdkworker.New(c, queue, sdkworker.Options{
		// The three lines.
		Plugins: []sdkworker.Plugin{
			worker.Plugin(worker.Policies{"ChargeCard": policy}),
		},
	})
	w.RegisterActivity(impl)
	w.RegisterWorkflow(checkout)
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, checkout, items)
	require.NoError(t, err)
	return run
}

// receipt waits for the program's workflow, but not for ever.
func receipt(t *testing.T, run client.WorkflowRun) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Timeout)
	defer cancel()
	var out string
	err := run.Get(ctx, &out)
	require.NoError(t, ctx.Err(), "the call hangs")
	return out, err
}

func quick(retries int) retrypolicy.Policy {
	return retrypolicy.Policy{NumRetries: retries, Wait: time.Millisecond}
}

var errDeclined = errors.New("declined")

func declines(context.Context, int, []string) (string, error) { return "", errDeclined }

func TestPoliciesCountTheAttemptsOfActivitiesThatExist(t *testing.T) {
	t.Parallel()
	for _, retries := range []int{0, 1, 5} {
		for _, e := range []Engine{InPlace, OnServer} {
			t.Run(fmt.Sprintf("%d/%s", retries, e), func(t *testing.T) {
				t.Parallel()
				impl := &payments{charge: declines}
				// The caller's own retry policy would go on for ever.
				own := workflow.ActivityOptions{
					StartToCloseTimeout: time.Minute, HeartbeatTimeout: 10 * time.Second,
					RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Millisecond},
				}
				_, err := receipt(t, shop(t, Client(t), impl, own, activity.Options{Retry: e.Policy(quick(retries))}, "b", "a"))
				require.ErrorContains(t, err, "declined")
				var failed *temporal.ActivityError
				require.ErrorAs(t, err, &failed)
				want := make([]int32, retries+1)
				for i := range want {
					want[i] = 1
					if e == OnServer {
						want[i] = int32(i) + 1
					}
				}
				assert.Equal(t, want, impl.serverAttempts())
			})
		}
	}
}

func TestPoliciesFilterTheGoErrorsOfActivitiesThatExist(t *testing.T) {
	t.Parallel()
	impl := &payments{charge: func(_ context.Context, n int, _ []string) (string, error) {
		if n < 3 {
			return "", fmt.Errorf("card 42: %w", errDeclined)
		}
		return "", errors.New("card stolen")
	}}
	policy := quick(5)
	policy.RetryOn = []retrypolicy.Filter{retrypolicy.ErrorIs(errDeclined)}
	_, err := receipt(t, shop(t, Client(t), impl, workflow.ActivityOptions{StartToCloseTimeout: time.Minute}, activity.Options{Retry: policy}))
	require.ErrorContains(t, err, "card stolen")
	assert.Len(t, impl.serverAttempts(), 3)
}

func TestPermanentErrorsOfActivitiesThatExistEndTheCallAtOnce(t *testing.T) {
	t.Parallel()
	for name, permanent := range map[string]error{
		"Temporal's": temporal.NewNonRetryableApplicationError("no such card", "NoCard", nil, "detail"),
		"wrapped":    fmt.Errorf("charging: %w", temporal.NewNonRetryableApplicationError("no such card", "NoCard", nil, "detail")),
		"ours":       retrypolicy.Permanent(temporal.NewApplicationError("no such card", "NoCard", "detail")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			impl := &payments{charge: func(context.Context, int, []string) (string, error) { return "", permanent }}
			_, err := receipt(t, shop(t, Client(t), impl, workflow.ActivityOptions{StartToCloseTimeout: time.Minute}, activity.Options{Retry: quick(5)}))
			var app *temporal.ApplicationError
			require.ErrorAs(t, err, &app)
			assert.Equal(t, "NoCard", app.Type())
			var detail string
			require.NoError(t, app.Details(&detail))
			assert.Equal(t, "detail", detail)
			assert.Len(t, impl.serverAttempts(), 1)
		})
	}
}

func TestArgumentsOfActivitiesThatExistAreFreshInEveryAttempt(t *testing.T) {
	t.Parallel()
	impl := &payments{charge: func(_ context.Context, n int, items []string) (string, error) {
		slices.Sort(items)
		if n < 3 {
			return "", errDeclined
		}
		return fmt.Sprint(items), nil
	}}
	out, err := receipt(t, shop(t, Client(t), impl, workflow.ActivityOptions{StartToCloseTimeout: time.Minute}, activity.Options{Retry: quick(5)}, "b", "a"))
	require.NoError(t, err)
	assert.Equal(t, "[a b]", out)
	unsorted := charge{[]string{"b", "a"}, 1}
	assert.Equal(t, []charge{unsorted, unsorted, unsorted}, impl.charges)
}

func TestCallersMaximumAttemptsBoundsHandOversButNotWaitsInPlace(t *testing.T) {
	t.Parallel()
	for e, bodies := range map[Engine]int{InPlace: 4, OnServer: 1} {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			impl := &payments{charge: func(_ context.Context, n int, _ []string) (string, error) {
				return "", temporal.NewApplicationError(fmt.Sprint("declined ", n), "Declined", n)
			}}
			own := workflow.ActivityOptions{StartToCloseTimeout: time.Minute, RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1}}
			_, err := receipt(t, shop(t, Client(t), impl, own, activity.Options{Retry: e.Policy(quick(3))}))
			assert.Len(t, impl.serverAttempts(), bodies)
			// The call ends with the outcome itself, not with what the
			// engine tells the server in between.
			var app *temporal.ApplicationError
			require.ErrorAs(t, err, &app)
			assert.Regexp(t, fmt.Sprintf("^declined %d(; gave up after [14] attempts?: .*)$", bodies), app.Message())
			assert.Equal(t, temporal.ApplicationErrorCategoryUnspecified, app.Category())
			var n int
			require.NoError(t, app.Details(&n))
			assert.Equal(t, bodies, n)
		})
	}
}

func TestCallersNonRetryableTypesEndTheCallAtAHandOver(t *testing.T) {
	t.Parallel()
	impl := &payments{charge: func(context.Context, int, []string) (string, error) {
		return "", temporal.NewApplicationError("declined", "Declined", "detail")
	}}
	own := workflow.ActivityOptions{StartToCloseTimeout: time.Minute, RetryPolicy: &temporal.RetryPolicy{NonRetryableErrorTypes: []string{"Declined"}}}
	_, err := receipt(t, shop(t, Client(t), impl, own, activity.Options{Retry: OnServer.Policy(quick(3))}))
	var app *temporal.ApplicationError
	require.ErrorAs(t, err, &app)
	assert.True(t, app.HasDetails())
	assert.Len(t, impl.serverAttempts(), 1)
}

// Attempts in place go on until the server attempt has no room left, then on
// the server: the number of bodies is the policy's.
func TestCallersShortStartToCloseTimeoutMovesRetriesToTheServer(t *testing.T) {
	t.Parallel()
	impl := &payments{charge: declines}
	own := workflow.ActivityOptions{StartToCloseTimeout: time.Second}
	policy := retrypolicy.Policy{NumRetries: 6, Wait: 300 * time.Millisecond, Backoff: retrypolicy.Constant, Jitter: retrypolicy.NoJitter, InPlace: time.Hour}
	_, err := receipt(t, shop(t, Client(t), impl, own, activity.Options{Retry: policy}))
	require.ErrorContains(t, err, "declined")
	attempts := impl.serverAttempts()
	require.Len(t, attempts, 7)
	assert.Greater(t, attempts[6], int32(1))
	assert.Less(t, attempts[6], int32(7))
}

func TestBodyLongerThanTheCallersStartToCloseTimeoutIsCutOffAndCounts(t *testing.T) {
	t.Parallel()
	for _, ignores := range []bool{false, true} {
		t.Run(fmt.Sprintf("ignores its context %v", ignores), func(t *testing.T) {
			t.Parallel()
			release := make(chan struct{})
			defer close(release)
			impl := &payments{charge: func(ctx context.Context, _ int, _ []string) (string, error) {
				if ignores {
					<-release
				}
				<-ctx.Done()
				return "", ctx.Err()
			}}
			own := workflow.ActivityOptions{StartToCloseTimeout: time.Second, RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Millisecond}}
			_, err := receipt(t, shop(t, Client(t), impl, own, activity.Options{Retry: quick(1)}))
			require.Error(t, err)
			assert.Len(t, impl.serverAttempts(), 2)
			var app *temporal.ApplicationError
			require.ErrorAs(t, err, &app)
			if ignores {
				assert.Equal(t, "AttemptLost", app.Type())
			} else {
				require.ErrorContains(t, err, context.DeadlineExceeded.Error())
			}
		})
	}
}

func TestCallersScheduleToCloseTimeoutEndsTheCallWithItsLastError(t *testing.T) {
	t.Parallel()
	for _, e := range []Engine{InPlace, OnServer} {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			impl := &payments{charge: declines}
			policy := retrypolicy.Policy{NumRetries: 1000, Wait: 100 * time.Millisecond, Backoff: retrypolicy.Constant, Jitter: retrypolicy.NoJitter}
			own := workflow.ActivityOptions{ScheduleToCloseTimeout: 4 * time.Second}
			_, err := receipt(t, shop(t, Client(t), impl, own, activity.Options{Retry: e.Policy(policy)}))
			require.ErrorContains(t, err, "declined")
			var timeout *temporal.TimeoutError
			require.NotErrorAs(t, err, &timeout)
			assert.Greater(t, len(impl.serverAttempts()), 2)
		})
	}
}

func TestWithoutHeartbeatTimeoutTheJournalIsRecordedAndNothingElse(t *testing.T) {
	t.Parallel()
	c := Client(t)
	running, goOn := make(chan struct{}), make(chan struct{})
	impl := &payments{}
	impl.charge = func(ctx context.Context, n int, _ []string) (string, error) {
		if n <= 2 {
			running <- struct{}{}
			<-goOn
		}
		if n == 2 {
			return "", retrypolicy.After(errDeclined, 20*time.Millisecond) // longer than InPlace: the server's
		}
		if n == 3 {
			return fmt.Sprint(len(activity.Previous(ctx)), " before"), nil
		}
		return "", errDeclined
	}
	policy := quick(2)
	policy.InPlace = 10 * time.Millisecond
	run := shop(t, c, impl, workflow.ActivityOptions{StartToCloseTimeout: time.Minute}, activity.Options{Retry: policy})

	heartbeats := func() []byte {
		<-running
		defer func() { goOn <- struct{}{} }()
		d, err := c.DescribeWorkflow(t.Context(), run.GetID(), run.GetRunID())
		require.NoError(t, err)
		require.Len(t, d.RawResponse.GetPendingActivities(), 1)
		payloads := d.RawResponse.GetPendingActivities()[0].GetHeartbeatDetails().GetPayloads()
		if len(payloads) == 0 {
			return nil
		}
		assert.True(t, wire.Is(wire.Journal, payloads[len(payloads)-1]))
		return payloads[0].GetData()
	}
	assert.Nil(t, heartbeats(), "in the first body")
	var journal map[string]any
	require.NoError(t, json.Unmarshal(heartbeats(), &journal))
	assert.EqualValues(t, 2, journal["running"], "in the second body, in place")
	out, err := receipt(t, run)
	require.NoError(t, err)
	assert.Equal(t, "2 before", out)
	assert.Equal(t, []int32{1, 1, 2}, impl.serverAttempts())
}
