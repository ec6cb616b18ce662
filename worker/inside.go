package worker

import (
	"fmt"

	"go.temporal.io/sdk/interceptor"

	"github.com/concurry-go/concurry/internal/activityhost"
)

// Inside puts interceptors between the engine and the methods, the first one
// outermost. Their ExecuteActivity runs once for each attempt, in its context,
// with its arguments and its result or error, before that is judged; Init runs
// once for each server attempt. Interceptors of Temporal's own options are
// outside: they run once for each server attempt, which may hold several
// attempts, and see what it returns to the server.
//
// They are in the path of all activities of the worker, local ones included, also
// of those which the engine does not govern. Only their InterceptActivity is
// used. Calls in this process, by Inline, have no interceptors.
func Inside(interceptors ...interceptor.WorkerInterceptor) Option {
	return option(func(h *activityhost.Host) error {
		for n, i := range interceptors {
			if i == nil {
				return fmt.Errorf("worker: Inside: interceptor %d is nil", n)
			}
		}
		h.Inside = append(h.Inside, interceptors...)
		return nil
	})
}
