package limits_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/limits"
)

var errLeft = errors.New("the user has left")

func left(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errLeft)
	return ctx
}

// limiters has every kind of limiter on sets of one resource, a rate and a call
// limit, and says what is in use of them.
func limiters(t *testing.T) map[string]func() (limits.Limiter, func() []limits.Snapshot) {
	t.Helper()
	all := []limits.Limit{limits.Resource("c", 2), limits.Rate("r", 10, time.Hour), limits.Calls(10, time.Hour)}
	return map[string]func() (limits.Limiter, func() []limits.Snapshot){
		"set": func() (limits.Limiter, func() []limits.Snapshot) {
			s := limits.MustNew(all...)
			return s, func() []limits.Snapshot { return []limits.Snapshot{s.Snapshot()} }
		},
		"resource alone": func() (limits.Limiter, func() []limits.Snapshot) {
			s := limits.MustNew(all[0])
			return s, func() []limits.Snapshot { return []limits.Snapshot{s.Snapshot()} }
		},
		"keyed": func() (limits.Limiter, func() []limits.Snapshot) {
			k := limits.MustNewKeyed(all...)
			return k.For("a"), func() (used []limits.Snapshot) {
				for _, s := range k.Snapshots() {
					used = append(used, s)
				}
				return used
			}
		},
		"pool": func() (limits.Limiter, func() []limits.Snapshot) {
			p, err := limits.NewPool(limits.Member{Set: limits.MustNew(all...)}, limits.Member{Set: limits.MustNew(all...)})
			require.NoError(t, err)
			return p, p.Snapshots
		},
	}
}

func idle(t *testing.T, snapshots []limits.Snapshot) {
	t.Helper()
	for _, s := range snapshots {
		assert.Zero(t, s.Leases)
		assert.Zero(t, s.Waiting)
		for _, u := range s.Limits {
			assert.Zero(t, u.InUse, u.Name)
		}
	}
}

func TestEndedContextAcquiresNothingWhereThereIsRoom(t *testing.T) {
	t.Parallel()
	for name, open := range limiters(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, used := open()
			lease, err := l.Acquire(left(t), limits.Units{"c": 1})
			require.EqualError(t, err, "limits: there is room, but it is too late: the user has left")
			require.ErrorIs(t, err, errLeft)
			assert.Equal(t, limits.Lease{}, lease)
			idle(t, used())

			ctx, release := limits.With(left(t), l)
			defer release()
			_, err = limits.Acquire(ctx, limits.Units{"c": 1})
			require.ErrorIs(t, err, errLeft)
			_, err = limits.TryAcquire(ctx, limits.Units{"c": 1})
			require.ErrorIs(t, err, errLeft)
			idle(t, used())
		})
	}
}

func TestEndedContextIsToldWhatItWouldHaveWaitedFor(t *testing.T) {
	t.Parallel()
	for name, open := range limiters(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l, _ := open()
				var held []limits.Lease
				for {
					lease, err := l.TryAcquire(limits.Units{"c": 2})
					if err != nil {
						break
					}
					held = append(held, lease)
				}
				_, err := l.Acquire(left(t), limits.Units{"c": 1})
				require.EqualError(t, err, "limits: no room for c, 0 ahead: the user has left")
				var wait *limits.WaitError
				require.ErrorAs(t, err, &wait)
				assert.Equal(t, []string{"c"}, wait.Names)

				waiting, cancel := context.WithCancel(t.Context())
				defer cancel()
				go func() { _, _ = l.Acquire(waiting, limits.Units{"c": 2}) }()
				synctest.Wait()
				_, err = l.Acquire(left(t), limits.Units{"c": 1})
				require.EqualError(t, err, "limits: no room for c, 1 ahead: the user has left")
				cancel()
				synctest.Wait()
				for _, lease := range held {
					lease.Release()
				}
			})
		})
	}
}

// What can never be had is said first, and so is that a set is closed.
func TestEndedContextIsToldWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, open := range limiters(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, _ := open()
			var wrong *limits.UnitsError
			for _, units := range []limits.Units{{"c": 3}, {"c": 0}, {"d": 1}} {
				_, err := l.Acquire(left(t), units)
				require.ErrorAs(t, err, &wrong, "%v", units)
			}
		})
	}
	s := limits.MustNew(limits.Resource("c", 1))
	s.Close(nil)
	_, err := s.Acquire(left(t), limits.Units{"c": 1})
	require.ErrorIs(t, err, limits.ErrClosed)
}

// Of a pool that has a member with room, an ended context hears that.
func TestEndedContextIsToldOfThePoolsMemberWithRoom(t *testing.T) {
	t.Parallel()
	full, free := limits.MustNew(limits.Resource("c", 1)), limits.MustNew(limits.Resource("c", 1))
	small := limits.MustNew(limits.Resource("d", 1))
	_, err := full.TryAcquire(limits.Units{"c": 1})
	require.NoError(t, err)
	p, err := limits.NewPool(limits.Member{Set: small}, limits.Member{Set: full}, limits.Member{Set: free})
	require.NoError(t, err)
	_, err = p.Acquire(left(t), limits.Units{"c": 1})
	require.EqualError(t, err, "limits: there is room, but it is too late: the user has left")
	_, err = free.TryAcquire(limits.Units{"c": 1})
	require.NoError(t, err)
	_, err = p.Acquire(left(t), limits.Units{"c": 1})
	require.EqualError(t, err, "limits: no room for c, 0 ahead: the user has left")
}

// A context that has ended by the time it is served acquires nothing: which of the
// two the waiter would see first is chance.
func TestContextThatEndsBeforeItIsServedAcquiresNothing(t *testing.T) {
	t.Parallel()
	for name, open := range limiters(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				for range 200 {
					l, used := open()
					var held []limits.Lease
					for {
						lease, err := l.TryAcquire(limits.Units{"c": 2})
						if err != nil {
							break
						}
						held = append(held, lease)
					}
					ctx, cancel := context.WithCancelCause(t.Context())
					done := make(chan error, 1)
					go func() {
						_, err := l.Acquire(ctx, limits.Units{"c": 2})
						done <- err
					}()
					synctest.Wait()
					cancel(errLeft)
					for _, lease := range held {
						lease.Undo()
					}
					require.ErrorIs(t, <-done, errLeft)
					idle(t, used())
				}
			})
		})
	}
}
