package worker

import (
	"errors"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/internal/activityhost"
	"github.com/concurry-go/concurry/internal/registration"
)

// Host hosts a definition on every worker of a plugin, as [Register] does on one
// worker: for workers that are made without this package's New. impl serves the
// calls of all these workers, so its methods must be safe for concurrent use.
// Registrations that are incomplete or wrong are errors of the worker's Start.
func Host[S any](d *activity.Definition[S], impl S) Option {
	return option(func(h *activityhost.Host) error {
		if d == nil {
			return errors.New("worker: Host: the definition is nil")
		}
		host(h, registration.Bind(d, impl))
		return nil
	})
}

// HostFunc hosts a function declared by activity.Func on every worker of a plugin;
// see [Host].
func HostFunc[In, Out any](f *activity.FuncHandle[In, Out]) Option {
	return option(func(h *activityhost.Host) error {
		if f == nil {
			return errors.New("worker: HostFunc: the function handle is nil")
		}
		host(h, registration.Bind(f, nil))
		return nil
	})
}

func host(h *activityhost.Host, r *registration.Registration) {
	h.Hosted = append(h.Hosted, func(registry activityhost.Registry, of *activityhost.Host) error {
		return registration.Apply([]*registration.Registration{r}, registry, of)
	})
}
