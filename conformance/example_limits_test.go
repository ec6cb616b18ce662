package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
)

var errDatabase = errors.New("deadlock detected")

// DatabaseWorker has a pool of five connections.
type DatabaseWorker struct{ queries int }

// Query takes a connection, which the engine releases when the attempt ends,
// however it does.
func (d *DatabaseWorker) Query(ctx context.Context, sql string) ([]string, error) {
	connection, err := limits.Acquire(ctx, limits.Units{"connections": 1})
	if err != nil {
		return nil, err
	}
	defer connection.Release() // as soon as it is not needed any more
	if d.queries++; d.queries == 1 {
		return nil, errDatabase
	}
	return []string{"a row of " + sql}, nil
}

// Five connections on each worker. If a query fails, its connection is released
// before the retry waits.
func Example_resourceLimits() {
	databases := activity.Define[*DatabaseWorker]("DatabaseWorker", activity.Options{
		Retry:       retrypolicy.Policy{NumRetries: 3, RetryOn: []retrypolicy.Filter{retrypolicy.ErrorIs(errDatabase)}},
		CallTimeout: time.Minute,
		Limits:      limits.PerWorker(limits.Resource("connections", 5)),
	})
	query := activity.Method(databases, "Query", (*DatabaseWorker).Query)
	// With Requires: limits.Units{"connections": 1} in the options the engine
	// acquires them before each attempt, and the method has nothing to do.

	rows, err := query.Inline(&DatabaseWorker{}).WithClock(testsuite.NewClock().Clock()).Call(context.Background(), "SELECT name FROM users")
	fmt.Println(rows, err)
	// Output: [a row of SELECT name FROM users] <nil>
}

// A hundred requests a minute, retries included: each attempt takes a request,
// and waits where there is none.
func Example_rateLimits() {
	clock := testsuite.NewClock()
	begin, requests := clock.Now(), 0
	call := activity.Func("CallAPI", func(_ context.Context, endpoint string) (string, error) {
		if requests++; requests%2 == 1 {
			return "", refused() // every other request fails
		}
		return "answer of " + endpoint, nil
	}, activity.FuncOptions[string, string]{
		Retry:       retrypolicy.Policy{NumRetries: 5, Backoff: retrypolicy.Exponential, Wait: time.Millisecond},
		CallTimeout: time.Hour,
		Limits:      limits.PerWorker(limits.Rate("requests", 100, time.Minute)),
		Requires:    limits.Units{"requests": 1},
	})

	api := call.Inline().WithClock(clock.Clock())
	for range 120 {
		if _, err := api.Call(context.Background(), "users"); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(requests, "requests in", clock.Now().Sub(begin).Round(time.Minute))
	// Output: 240 requests in 2m0s
}

// Ten calls a second on each worker. Retries don't count against the limit.
func Example_callLimits() {
	clock := testsuite.NewClock()
	begin, attempts := clock.Now(), 0
	ping := activity.Func("Ping", func(context.Context, int) (int, error) {
		if attempts++; attempts%2 == 1 {
			return 0, refused()
		}
		return attempts, nil
	}, activity.FuncOptions[int, int]{
		Retry:       retrypolicy.Policy{NumRetries: 3, Wait: retrypolicy.NoWait},
		CallTimeout: time.Minute,
		Limits:      limits.PerWorker(limits.Calls(10, time.Second)),
	})

	server := ping.Inline().WithClock(clock.Clock())
	for range 30 {
		if _, err := server.Call(context.Background(), 0); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(attempts, "attempts in", clock.Now().Sub(begin))
	// Output: 60 attempts in 2s
}
