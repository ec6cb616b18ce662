package worker

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"

	sdkactivity "go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/worker"

	"github.com/concurry-go/concurry/internal/activityhost"
)

// policyNames checks that the activities in Policies are ones the worker has: a
// name with a mistake in it would leave the activity to Temporal's own policy,
// without a word.
type policyNames struct {
	host     *activityhost.Host
	policies []string
	dynamic  bool // the worker takes any name
}

// watch notes what is registered with the worker.
func (p *policyNames) watch(o *worker.PluginConfigureWorkerRegistryOptions) {
	before := o.OnRegisterActivity
	o.OnRegisterActivity = func(a any, r sdkactivity.RegisterOptions) {
		if before != nil {
			before(a, r)
		}
		for _, name := range namesOf(a, r.Name) {
			p.host.Registered(name)
		}
	}
	dynamic := o.OnRegisterDynamicActivity
	o.OnRegisterDynamicActivity = func(a any, r sdkactivity.DynamicRegisterOptions) {
		if dynamic != nil {
			dynamic(a, r)
		}
		p.dynamic = true
	}
}

// check returns an error when the worker starts without an activity that has a
// policy.
func (p *policyNames) check() error {
	if p.dynamic {
		return nil
	}
	missing, has := p.host.Missing(p.policies)
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("worker: Policies: %s: no such activity is registered; there are %s", strings.Join(missing, ", "), strings.Join(has, ", "))
}

// namesOf are the names under which the SDK registers an activity: a function's
// own or the one it is given, those of a struct's methods behind it.
func namesOf(a any, name string) []string {
	v := reflect.ValueOf(a)
	if v.Kind() != reflect.Func {
		names := []string{name}
		for i := range v.NumMethod() {
			names = append(names, name+v.Type().Method(i).Name)
		}
		return names
	}
	if name != "" {
		return []string{name}
	}
	full := runtime.FuncForPC(v.Pointer()).Name()
	return []string{strings.TrimSuffix(full[strings.LastIndex(full, ".")+1:], "-fm")}
}
