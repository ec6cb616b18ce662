package registration

import (
	"github.com/concurry-go/concurry/internal/activityhost"
	"github.com/concurry-go/concurry/internal/engine"
)

// What a public package has for its siblings and for nobody else. Each variable is
// set when its package is initialised, and not changed afterwards.
var (
	// Bind is package activity's: a *Definition with an implementation, or a
	// *FuncHandle without.
	Bind func(declared, impl any) *Registration
	// PolicySpec is package activity's: what the engine needs of activity.Options
	// for an activity that exists already.
	PolicySpec func(activityType string, options any) (*engine.Spec, error)
	// Refine is package worker's: it applies a []worker.Option to an engine.
	Refine func(host *activityhost.Host, options any) error
)
