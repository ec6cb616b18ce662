package limits_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/concurry-go/concurry/limits"
)

// Connections and a token budget, acquired together; what was not used is given
// back.
func Example() {
	set := limits.MustNew(
		limits.Resource("connections", 8),
		limits.Rate("tokens", 100_000, time.Minute).By(limits.AlgorithmTokenBucket),
	)
	ctx := context.Background()
	lease, err := set.Acquire(ctx, limits.Units{"connections": 1, "tokens": 1200})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer lease.Release()
	if err := lease.Use(limits.Units{"tokens": 300}); err != nil {
		fmt.Println(err)
	}
	for _, l := range set.Snapshot().Limits {
		fmt.Printf("%s: %.0f of %.0f\n", l.Name, l.InUse, l.Capacity)
	}
	// Output:
	// connections: 1 of 8
	// tokens: 300 of 100000
}

// A wait ends with its context, and says what there was no room in.
func ExampleSet_Acquire() {
	set := limits.MustNew(limits.Resource("connections", 1))
	held, err := set.Acquire(context.Background(), limits.Units{"connections": 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer held.Release()
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, err = set.Acquire(ctx, limits.Units{"connections": 1})
	fmt.Println(err)
	_, err = set.Acquire(context.Background(), limits.Units{"connections": 2}) // not in a lifetime
	fmt.Println(err)
	// Output:
	// limits: no room for connections, 0 ahead: context deadline exceeded
	// limits: units of "connections" 2: must be from 1 to 1, which is all there ever is
}

// One bound for each tenant.
func ExampleKeyed() {
	tenants := limits.MustNewKeyed(limits.Rate("requests", 2, time.Minute))
	for _, tenant := range []string{"a", "a", "a", "b"} {
		_, err := tenants.For(tenant).TryAcquire(limits.Units{"requests": 1})
		fmt.Println(tenant, err)
	}
	// Output:
	// a <nil>
	// a <nil>
	// a limits: no room
	// b <nil>
}

// Two accounts behind one handle: the lease says which it is of.
func ExamplePool() {
	account := func() *limits.Set { return limits.MustNew(limits.Calls(1, time.Minute)) }
	pool, err := limits.NewPool(
		limits.Member{Set: account(), Metadata: "first account"},
		limits.Member{Set: account(), Metadata: "second account"},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		lease, err := pool.TryAcquire(nil)
		fmt.Println(lease.Metadata(), errors.Is(err, limits.ErrNoRoom))
	}
	// Output:
	// first account false
	// second account false
	// <nil> true
}

// Without Temporal: a piece of work that acquires from its context, of which
// nothing is left when it is over.
func ExampleWith() {
	set := limits.MustNew(limits.Resource("files", 2))
	work := func(ctx context.Context) error {
		_, err := limits.Acquire(ctx, limits.Units{"files": 1}) // and forgets to release it
		return err
	}
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			ctx, release := limits.With(context.Background(), set)
			defer release()
			if err := work(ctx); err != nil {
				fmt.Println(err)
			}
		})
	}
	all.Wait()
	fmt.Println(set.Snapshot().Leases, "leases")
	// Output: 0 leases
}

// Work that acquires from its context, where nothing is to be bounded: in its
// test, for instance.
func ExampleUnlimited() {
	work := func(ctx context.Context) error {
		lease, err := limits.Acquire(ctx, limits.Units{"tokens": 1000})
		if err != nil {
			return err
		}
		defer lease.Release()
		return lease.Use(limits.Units{"tokens": 843})
	}
	fmt.Println(errors.Is(work(context.Background()), limits.ErrNoLimits))
	ctx, release := limits.With(context.Background(), limits.Unlimited())
	defer release()
	fmt.Println(work(ctx))
	// Output:
	// true
	// <nil>
}

// More connections, while work goes on: those who wait get them.
func ExampleSet_Resize() {
	set := limits.MustNew(limits.Resource("connections", 1))
	_, err := set.TryAcquire(limits.Units{"connections": 3})
	fmt.Println(err)
	if err := set.Resize("connections", 4); err != nil {
		fmt.Println(err)
	}
	_, err = set.TryAcquire(limits.Units{"connections": 3})
	fmt.Println(err)
	// Output:
	// limits: units of "connections" 3: must be from 1 to 1, which is all there ever is
	// <nil>
}
