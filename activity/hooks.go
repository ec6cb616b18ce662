package activity

import (
	"github.com/concurry-go/concurry/internal/engine"
	"github.com/concurry-go/concurry/internal/registration"
)

// bindable is implemented by *Definition and *FuncHandle.
type bindable interface {
	bind(impl any) *registration.Registration
}

func init() { //nolint:gochecknoinits // siblings get what users do not
	registration.Bind = func(declared, impl any) *registration.Registration {
		return declared.(bindable).bind(impl) //nolint:forcetypeassert // package worker's and testsuite's types see to it
	}
	registration.PolicySpec = func(activityType string, options any) (*engine.Spec, error) {
		return policySpec(activityType, options.(Options)) //nolint:forcetypeassert // as above
	}
}
