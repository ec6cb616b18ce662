package main

import (
	"context"
	"errors"
	"time"

	avast "github.com/avast/retry-go/v5"
	"github.com/cenkalti/backoff/v5"
	"github.com/failsafe-go/failsafe-go"
	failsaferetry "github.com/failsafe-go/failsafe-go/retrypolicy"
	sethvargo "github.com/sethvargo/go-retry"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/retrypolicy"
)

const (
	ours    = "concurry"
	retryGo = "retry-go"
)

var errNotYet = errors.New("not yet")

// service is the work of the rows in this process: it fails, or does not.
type service struct {
	fails error
	calls int
}

//go:noinline
func (s *service) Do(_ context.Context, in int) (int, error) {
	s.calls++
	return in, s.fails
}

func syncRows() []row {
	const retries = "NumRetries 5, every peer made once and reused"
	return []row{
		{
			name:  "sync-success",
			about: "a call in this process that succeeds at once; nothing reads the clock (" + retries + ")",
			demands: []demand{
				{figure: "allocations", limit: 0},
				{figure: "time / retry-go", limit: 1.05, unit: "x"},
			},
			measure: func(_ context.Context, e *effort) (*result, error) { return syncRow(e, 5, nil) },
		},
		{
			name:    "sync-failing",
			about:   "a call in this process whose 4 attempts all fail, without waits (NumRetries 3)",
			demands: []demand{{figure: "time / retry-go", limit: 1, unit: "x"}},
			measure: func(_ context.Context, e *effort) (*result, error) { return syncRow(e, 3, errNotYet) },
		},
	}
}

// syncRow races the libraries over a body that fails with err, or does not.
func syncRow(e *effort, retries int, err error) (*result, error) {
	s := &service{fails: err}
	attempts := 1
	if err != nil {
		attempts = retries + 1
	}
	var contestants []contestant
	for _, p := range peers(s, retries) {
		s.calls = 0
		if err := checked(p.name, p.run(1), err, s.calls, attempts); err != nil {
			return nil, err
		}
		contestants = append(contestants, contestant{p.name, func(n int) { _ = p.run(n) }})
	}
	t := race(e, contestants...)
	r := &result{}
	for _, c := range contestants {
		r.set(c.name, t.of(c.name), "ns")
	}
	r.set("allocations", allocations(contestants[0].run), "")
	for _, c := range contestants[1:] {
		r.set(c.name+" allocations", allocations(c.run), "")
	}
	for _, c := range contestants[1:] {
		r.set("time / "+c.name, t.ratio(ours, c.name), "x")
	}
	return r, nil
}

// peer is one library; run makes n calls, one after the other, and returns the
// last error. The loops are written out, so that none pays for a call the
// others do not make.
type peer struct {
	name string
	run  func(n int) error
}

// peers are the libraries, ours first, each with what it allows to be made
// once and reused. All return the error of the last attempt.
func peers(s *service, retries int) []peer {
	ctx := context.Background()
	most := uint(retries)

	d := activity.Define[*service]("Bench", activity.Options{
		Retry: retrypolicy.Policy{NumRetries: retries, Wait: retrypolicy.NoWait},
	})
	inline := activity.Method(d, "Do", (*service).Do).Inline(s)

	retrier := avast.NewWithData[int](avast.Attempts(most+1), avast.Delay(0), avast.MaxJitter(0),
		avast.DelayType(avast.FixedDelay), avast.LastErrorOnly(true), avast.Context(ctx))
	options := []backoff.RetryOption{backoff.WithBackOff(&backoff.ZeroBackOff{}), backoff.WithMaxTries(most + 1)}
	atOnce := sethvargo.BackoffFunc(func() (time.Duration, bool) { return 0, false })
	executor := failsafe.With[int](failsaferetry.NewBuilder[int]().WithMaxRetries(retries).ReturnLastFailure().Build()).WithContext(ctx)

	return []peer{
		{ours, func(n int) (err error) {
			for range n {
				_, err = inline.Call(ctx, 7)
			}
			return err
		}},
		{retryGo, func(n int) (err error) {
			for range n {
				_, err = retrier.Do(func() (int, error) { return s.Do(ctx, 7) })
			}
			return err
		}},
		{"backoff", func(n int) (err error) {
			for range n {
				_, err = backoff.Retry(ctx, func() (int, error) { return s.Do(ctx, 7) }, options...)
			}
			return err
		}},
		{"go-retry", func(n int) (err error) {
			for range n {
				// Its backoff counts, so it serves one call.
				_, err = sethvargo.DoValue(ctx, sethvargo.WithMaxRetries(uint64(most), atOnce), func(ctx context.Context) (int, error) {
					v, err := s.Do(ctx, 7)
					return v, sethvargo.RetryableError(err)
				})
			}
			return err
		}},
		{"failsafe-go", func(n int) (err error) {
			for range n {
				_, err = executor.Get(func() (int, error) { return s.Do(ctx, 7) })
			}
			return err
		}},
	}
}
