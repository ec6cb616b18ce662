// Package serverfeatures remembers which servers lack standalone activities, and
// what else there is on them.
package serverfeatures

import (
	"context"
	"reflect"
	"runtime"
	"sync"
	"time"
	"weak"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
)

// Lacking is what is known of a server without standalone activities.
type Lacking struct {
	queues sync.Map // names of task queues that somebody polls for workflow tasks
}

const (
	// askAgain and asks are how a worker that is just starting gets the time
	// to poll for workflow tasks too.
	askAgain = 200 * time.Millisecond
	asks     = 6
)

// CanRunWorkflows reports whether workers of the task queue, or ones that may yet
// come, run workflows. It is false if the queue has workers, and all of them run
// activities only. The error is that of a ctx that has ended.
func (l *Lacking) CanRunWorkflows(ctx context.Context, c client.Client, queue string) (bool, error) {
	if _, ok := l.queues.Load(queue); ok {
		return true, nil
	}
	for n := range asks {
		if n > 0 {
			select {
			case <-time.After(askAgain):
			case <-ctx.Done():
				return false, context.Cause(ctx)
			}
		}
		polled, err := isPolled(ctx, c, queue, enumspb.TASK_QUEUE_TYPE_WORKFLOW)
		if err != nil {
			return true, nil //nolint:nilerr // this client may not ask: start the workflow and see
		}
		if polled {
			l.queues.Store(queue, struct{}{})
			return true, nil
		}
		if n > 0 {
			continue
		}
		if polled, err = isPolled(ctx, c, queue, enumspb.TASK_QUEUE_TYPE_ACTIVITY); err != nil || !polled {
			return true, nil //nolint:nilerr // see above
		}
	}
	return false, nil
}

func isPolled(ctx context.Context, c client.Client, queue string, kind enumspb.TaskQueueType) (bool, error) {
	d, err := c.DescribeTaskQueue(ctx, queue, kind)
	return len(d.GetPollers()) > 0, err
}

// Clients are the clients whose server was found to lack standalone activities;
// others are never among them. They are not kept alive by that. The zero value has
// none. Safe for concurrent use.
type Clients struct {
	m sync.Map // weak.Pointer[byte] to *Lacking
}

// Get returns what the client's server was found to lack; nil if nothing is known.
func (s *Clients) Get(c client.Client) *Lacking {
	p := address(c)
	if p == nil {
		return nil
	}
	if l, ok := s.m.Load(weak.Make(p)); ok {
		l, _ := l.(*Lacking)
		return l
	}
	return nil
}

// Add notes that the client's server lacks standalone activities.
func (s *Clients) Add(c client.Client) *Lacking {
	l := &Lacking{}
	p := address(c)
	if p == nil {
		return l
	}
	key := weak.Make(p)
	if known, loaded := s.m.LoadOrStore(key, l); loaded {
		known, _ := known.(*Lacking)
		return known
	}
	runtime.AddCleanup(p, func(key weak.Pointer[byte]) { s.m.Delete(key) }, key)
	return l
}

// address is where c is; nil for clients that are no pointers, which somebody
// has wrapped: those ask the server with every Submit.
func address(c client.Client) *byte {
	v := reflect.ValueOf(c)
	if v.Kind() != reflect.Pointer || v.Type().Elem().Size() == 0 {
		return nil
	}
	return (*byte)(v.UnsafePointer())
}
