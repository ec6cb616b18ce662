package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go/bulkhead"
	"golang.org/x/sync/semaphore"

	"github.com/concurry-go/concurry/limits"
)

const (
	goroutines = 64
	// turns is how many are one operation of a race: enough for the queue to
	// matter more than its making.
	turns = 2000
)

// contendedRow has 64 goroutines that want one of size units, and then one
// again. All of them wait before the first gets one, so that there is a queue
// from the beginning to the end.
func contendedRow(size int) row {
	return row{
		name:    fmt.Sprintf("limit-contended/%d", size),
		about:   fmt.Sprintf("%d goroutines wait for one of %d, release it, and wait again; the time is between two acquisitions", goroutines, size),
		demands: []demand{{figure: "throughput / " + semaphores, atLeast: true, limit: 1, unit: "x"}},
		measure: func(_ context.Context, e *effort) (*result, error) {
			ctx := context.Background()
			inside := &occupancy{most: int64(size)}
			var all []limiter
			for _, c := range []crowd{concurryCrowd(ctx, size), semaphoreCrowd(ctx, size), bulkheadCrowd(ctx, size)} {
				all = append(all, limiter{c.name, func(n int) error { return c.run(n*turns, size, inside) }})
			}
			t, r, err := timed(e, all...)
			switch {
			case err != nil:
				return nil, err
			case inside.exceeded.Load():
				return nil, fmt.Errorf("more than %d inside", size)
			}
			for i := range r.figures {
				r.figures[i].value /= turns
			}
			r.set("throughput / "+semaphores, t.ratio(semaphores, ours), "x")
			r.set("throughput / failsafe-go bulkhead", t.ratio("failsafe-go bulkhead", ours), "x")
			return r, nil
		},
	}
}

// crowd is how 64 goroutines acquire and release one unit.
type crowd struct {
	name    string
	acquire func() (release func(), err error)
	once    func(work func()) error // acquires, works and releases
}

func concurryCrowd(ctx context.Context, size int) crowd {
	set := limits.MustNew(limits.Resource("units", size))
	return crowd{
		ours,
		func() (func(), error) {
			lease, err := set.Acquire(ctx, unit)
			return lease.Release, err
		},
		func(work func()) error {
			lease, err := set.Acquire(ctx, unit)
			if err != nil {
				return err
			}
			work()
			lease.Release()
			return nil
		},
	}
}

func semaphoreCrowd(ctx context.Context, size int) crowd {
	s := semaphore.NewWeighted(int64(size))
	return crowd{
		semaphores,
		func() (func(), error) { return func() { s.Release(1) }, s.Acquire(ctx, 1) },
		func(work func()) error {
			if err := s.Acquire(ctx, 1); err != nil {
				return err
			}
			work()
			s.Release(1)
			return nil
		},
	}
}

func bulkheadCrowd(ctx context.Context, size int) crowd {
	b := bulkhead.New[any](uint(size))
	return crowd{
		"failsafe-go bulkhead",
		func() (func(), error) { return b.ReleasePermit, b.AcquirePermit(ctx) },
		func(work func()) error {
			if err := b.AcquirePermit(ctx); err != nil {
				return err
			}
			work()
			b.ReleasePermit()
			return nil
		},
	}
}

// run lets 64 goroutines share n turns.
func (c *crowd) run(n, size int, inside *occupancy) error {
	var releases []func()
	for range size {
		release, err := c.acquire()
		if err != nil {
			return err
		}
		releases = append(releases, release)
	}
	var left atomic.Int64
	left.Store(int64(n))
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	waiting := countWaiting()
	for range goroutines {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if err := c.once(inside.work); err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
			}
		})
	}
	for countWaiting() < waiting+min(n, goroutines) {
		runtime.Gosched()
	}
	for _, release := range releases {
		release()
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// countWaiting is how many goroutines of the program wait for something.
func countWaiting() int {
	sample := []metrics.Sample{{Name: "/sched/goroutines/waiting:goroutines"}}
	metrics.Read(sample)
	return int(sample[0].Value.Uint64())
}

// occupancy watches that no more than most are inside.
type occupancy struct {
	most     int64
	now      atomic.Int64
	exceeded atomic.Bool
}

func (o *occupancy) work() {
	if o.now.Add(1) > o.most {
		o.exceeded.Store(true)
	}
	o.now.Add(-1)
}

// waitersRow counts what requests that wait keep on the heap. Not counted is
// what the goroutine would need to wait anywhere, for a channel or the end of
// its context: its stack, and what the runtime notes of it.
func waitersRow() row {
	const most = 100_000
	return row{
		name:    "limit-waiters",
		about:   "100,000 goroutines wait for one unit; bytes on the heap per waiter, beyond those of a goroutine that waits",
		demands: []demand{{figure: ours, limit: 300, unit: "bytes"}},
		measure: func(ctx context.Context, _ *effort) (*result, error) {
			set := limits.MustNew(limits.Resource("units", 1))
			held, err := set.TryAcquire(unit)
			if err != nil {
				return nil, err
			}
			sem := semaphore.NewWeighted(1)
			sem.TryAcquire(1)
			r := &result{}
			for _, w := range []struct {
				name string
				wait func() error
				let  func() // begins to let them through, one after the other
			}{
				{ours, func() error {
					lease, err := set.Acquire(ctx, unit)
					lease.Release()
					return err
				}, held.Release},
				{semaphores, func() error {
					err := sem.Acquire(ctx, 1)
					if err == nil {
						sem.Release(1)
					}
					return err
				}, func() { sem.Release(1) }},
			} {
				per, err := heapOf(ctx, most, w.wait, w.let)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", w.name, err)
				}
				r.set(w.name, per, "bytes")
			}
			return r, nil
		},
	}
}

// heapOf is how many bytes each of n goroutines keeps on the heap that wait for
// let.
func heapOf(ctx context.Context, n int, wait func() error, let func()) (float64, error) {
	var started, all sync.WaitGroup
	var failed atomic.Pointer[error]
	begin := make(chan struct{})
	others := countWaiting()
	started.Add(n)
	for range n {
		all.Go(func() {
			started.Done()
			select { // what a goroutine that waits needs is there by then
			case <-begin:
			case <-ctx.Done():
			}
			if err := wait(); err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		})
	}
	started.Wait()
	if err := untilWaiting(others + n); err != nil {
		return 0, err
	}
	before := heapInUse()
	close(begin)
	if err := untilWaiting(others + n); err != nil {
		return 0, err
	}
	after := heapInUse()
	let()
	all.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(after-before) / float64(n), nil
}

// untilWaiting waits until so many goroutines of the program do.
func untilWaiting(n int) error {
	for deadline := time.Now().Add(time.Minute); countWaiting() < n; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%d goroutines wait after a minute, fewer than %d", countWaiting(), n)
		}
	}
	return nil
}

// heapInUse are the bytes of live objects.
func heapInUse() int64 {
	runtime.GC()
	runtime.GC() // what pools let go of at the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
