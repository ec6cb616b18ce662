// Package registration is what the packages activity, worker and testsuite share of
// registering definitions.
package registration

import (
	"errors"
	"fmt"

	"go.temporal.io/sdk/activity"

	"github.com/concurry-go/concurry/internal/activityhost"
	"github.com/concurry-go/concurry/internal/engine"
	"github.com/concurry-go/concurry/internal/limitengine"
	"github.com/concurry-go/concurry/limits"
)

// Registration is a definition bound to an implementation, on its way to a
// worker.
type Registration struct {
	// Name is the definition's, or the function's.
	Name string
	Impl any
	// Methods are asked for late: packages may still be declaring some.
	Methods func() []*Method
	// Err is what is wrong with the registration itself.
	Err error
}

// Method is one activity of a registration.
type Method struct {
	Spec *engine.Spec
	// Function makes what Temporal registers, for an implementation.
	Function func(impl any) any
	// Err is what Temporal would lack to run it.
	Err error
}

// Broken is a registration that fails with err.
func Broken(err error) *Registration { return &Registration{Name: "?", Err: err} }

func (r *Registration) check() error {
	if r.Err != nil {
		return r.Err
	}
	methods := r.Methods()
	if len(methods) == 0 {
		return fmt.Errorf("%s: no methods are declared; use activity.Method", r.Name)
	}
	var errs []error
	for _, m := range methods {
		errs = append(errs, m.Err)
	}
	return errors.Join(errs...)
}

// Apply registers functions with Temporal and specs with the engine. The error
// says everything that is missing or wrong; then nothing is registered.
func Apply(registrations []*Registration, registry activityhost.Registry, host *activityhost.Host) error {
	var errs []error
	seen := map[string]bool{}
	for _, r := range registrations {
		if err := r.check(); err != nil {
			errs = append(errs, err)
			continue
		}
		for _, m := range r.Methods() {
			switch {
			case host.Foreign(m.Spec.Method):
				errs = append(errs, fmt.Errorf("%s: it is a method of a definition, whose options stand there: remove it from Policies", m.Spec.Method))
			case seen[m.Spec.Method] || host.Knows(m.Spec.Method):
				errs = append(errs, fmt.Errorf("%s: registered twice", m.Spec.Method))
			}
			seen[m.Spec.Method] = true
			if d, ok := m.Spec.Limits.Source.(*limits.Declaration); ok && d.Scope() == limits.ScopeSession && !host.Sessions {
				errs = append(errs, fmt.Errorf("%s: Limits: they are a session's (limits.PerSession), and the worker takes none: set worker.Options.EnableSessionWorker", m.Spec.Method))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, r := range registrations {
		host.Note(IdleLimits(r.Name, r.specs()...))
		for _, m := range r.Methods() {
			host.Add(m.Spec)
			registry.RegisterActivityWithOptions(m.Function(r.Impl), activity.RegisterOptions{Name: m.Spec.Method})
		}
	}
	return nil
}

func (r *Registration) specs() []*engine.Spec {
	var specs []*engine.Spec
	for _, m := range r.Methods() {
		specs = append(specs, m.Spec)
	}
	return specs
}

// IdleLimits says that the limits of a definition, or of one activity, bound
// nothing by themselves: nobody requires units of them, and calls take none. That
// is right where the methods acquire what they need, and else a mistake. It is
// empty where there is nothing to say.
func IdleLimits(name string, specs ...*engine.Spec) string {
	declared := false
	for _, s := range specs {
		l := &s.Limits
		if l.Source == nil {
			continue
		}
		declared = true
		if len(l.Requires) > 0 || l.RequiresOf != nil || l.Source.EngineSource(limitengine.Access{}).ChargesCalls() {
			return ""
		}
	}
	if !declared {
		return ""
	}
	return name + " has Limits, but neither Requires nor RequiresOf, and no limits.Calls: they bound only what its methods acquire themselves with limits.Acquire. If they acquire nothing, set Requires to what each attempt needs."
}
