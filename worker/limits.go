package worker

import (
	"fmt"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/limits"
)

// Limits returns the sets of a definition's limits on this worker, to look at them, or
// to resize them while calls are running. Methods without LimitKey have that
// of the empty key.
//
// It is an error if the definition has no limits, or has a *limits.Set or
// *limits.Pool, which the program asks itself. Sets of sessions are not among
// them.
func Limits[S any](w *Worker, d *activity.Definition[S]) (limits.Sets, error) {
	switch source := d.Limits().(type) {
	case nil:
		return nil, fmt.Errorf("worker: Limits: %s has none", d.Name())
	case *limits.Declaration:
		return w.hosted.host.Limits(source)
	case limits.Sets:
		return source, nil
	default:
		return nil, fmt.Errorf("worker: Limits: those of %s are a %T of the program's own, with Snapshot and Resize", d.Name(), source)
	}
}
