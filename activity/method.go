package activity

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"

	"github.com/concurry-go/concurry/internal/engine"
	"github.com/concurry-go/concurry/internal/limitengine"
	"github.com/concurry-go/concurry/internal/registration"
	"github.com/concurry-go/concurry/internal/retry"
	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

// MethodHandle is one method of a definition. It is made by Method and
// NewMethod, immutable, and safe for concurrent use.
type MethodHandle[S, In, Out any] struct {
	Handle[In, Out]
	body func(S, context.Context, In) (Out, error)
}

// FuncHandle is a plain function under a policy, made by Func and NewFunc.
type FuncHandle[In, Out any] struct {
	Handle[In, Out]
	body func(context.Context, In) (Out, error)
}

// Method declares a method of a definition: name is the method's, fn the
// method itself, as in (*LLM).Generate. Temporal knows it as
// "Definition.Name". At most one options value may be given. Method panics where
// NewMethod returns an error.
func Method[S, In, Out any](d *Definition[S], name string, fn func(S, context.Context, In) (Out, error), options ...MethodOptions[In, Out]) *MethodHandle[S, In, Out] {
	h, err := NewMethod(d, name, fn, options...)
	if err != nil {
		panic(err)
	}
	return h
}

// NewMethod declares a method of a definition. The error names what is wrong:
// a name that is none of S's methods, one declared twice, a bad option.
func NewMethod[S, In, Out any](d *Definition[S], name string, fn func(S, context.Context, In) (Out, error), options ...MethodOptions[In, Out]) (*MethodHandle[S, In, Out], error) {
	if d == nil {
		return nil, fmt.Errorf("method name %q: its definition is nil", name)
	}
	if fn == nil {
		return nil, fmt.Errorf("%s: method name %q: its function is nil", d.d.name, name)
	}
	if err := checkMethod[S](d.d.name, name); err != nil {
		return nil, err
	}
	if other := methodOf(fn); other != "" && other != name {
		return nil, fmt.Errorf("%s: method name %q: its function is the method %s", d.d.name, name, other)
	}
	own, err := atMostOne(options)
	if err != nil {
		return nil, named(d.d.name+"."+name, err)
	}
	m, err := newMethod(d.d.name+"."+name, name, d.d.options, own)
	if err != nil {
		return nil, err
	}
	m.function = func(impl any) any {
		receiver, _ := impl.(S) // what Bind was given
		return registered(func(ctx context.Context, in In) (Out, error) { return fn(receiver, ctx, in) })
	}
	if err := d.d.add(m); err != nil {
		return nil, err
	}
	return &MethodHandle[S, In, Out]{Handle: Handle[In, Out]{m: m}, body: fn}, nil
}

// methodOf is the name of the method that fn is, as in (*LLM).Generate; empty
// for everything else, such as the adapters.
func methodOf[S, In, Out any](fn func(S, context.Context, In) (Out, error)) string {
	t := reflect.TypeFor[S]()
	receiver := t.Name()
	if t.Kind() == reflect.Pointer {
		receiver = "(*" + t.Elem().Name() + ")"
	}
	full := runtime.FuncForPC(reflect.ValueOf(fn).Pointer()).Name()
	_, name, found := strings.Cut(full[strings.LastIndex(full, "/")+1:], "."+receiver+".")
	if !found || strings.ContainsAny(name, ".-[") {
		return ""
	}
	return name
}

// Func declares a plain function, which Temporal knows as name. At most one options
// value may be given. It panics where NewFunc returns an error.
func Func[In, Out any](name string, fn func(context.Context, In) (Out, error), options ...FuncOptions[In, Out]) *FuncHandle[In, Out] {
	h, err := NewFunc(name, fn, options...)
	if err != nil {
		panic(err)
	}
	return h
}

// NewFunc declares a plain function. The error names what is wrong.
func NewFunc[In, Out any](name string, fn func(context.Context, In) (Out, error), all ...FuncOptions[In, Out]) (*FuncHandle[In, Out], error) {
	if err := checkName("function name", name); err != nil {
		return nil, err
	}
	if fn == nil {
		return nil, fmt.Errorf("%s: its function is nil", name)
	}
	only, err := atMostOne(all)
	if err != nil {
		return nil, named(name, err)
	}
	options, own := only.split()
	if err := errors.Join(options.check(), checkConfigNames(options.RetryConfig, []string{name})); err != nil {
		return nil, named(name, err)
	}
	m, err := newMethod(name, name, options, own)
	if err != nil {
		return nil, err
	}
	m.function = func(any) any { return registered(fn) }
	return &FuncHandle[In, Out]{Handle: Handle[In, Out]{m: m}, body: fn}, nil
}

// atMostOne returns the options that were given, or the zero value.
func atMostOne[O any](options []O) (only O, err error) {
	switch len(options) {
	case 0:
		return only, nil
	case 1:
		return options[0], nil
	default:
		return only, &retrypolicy.FieldError{Field: "options", Value: fmt.Sprintf("%d of them", len(options)), Allowed: "must be at most one"}
	}
}

// bind makes the function registrable.
func (h *FuncHandle[In, Out]) bind(any) *registration.Registration {
	return &registration.Registration{Name: h.m.activityType, Methods: func() []*registration.Method {
		return []*registration.Method{h.m.hosted()}
	}}
}

// newMethod applies a method's own options to its definition's.
func newMethod[In, Out any](activityType, name string, options Options, own MethodOptions[In, Out]) (*method, error) {
	if own.ActivityType != "" {
		activityType = own.ActivityType
		if err := checkName("ActivityType", activityType); err != nil {
			return nil, err
		}
	}
	if own.Retry != nil {
		options.Retry = *own.Retry
	}
	policy, until, err := options.configured(name)
	if err == nil {
		err = checkNamed("NamedValidators", len(own.NamedValidators), options.RetryConfig)
	}
	if err == nil && until != nil {
		var more []validation.Validator[Out]
		more, err = validation.Named(until, own.NamedValidators)
		own.RetryUntil, err = slices.Concat(own.RetryUntil, more), within("RetryConfig.", err)
	}
	if err != nil {
		return nil, named(activityType, err)
	}
	options.Retry = policy
	if own.AttemptTimeout != 0 {
		options.AttemptTimeout = own.AttemptTimeout
	}
	if own.CallTimeout != 0 {
		options.CallTimeout = own.CallTimeout
	}
	if err := options.check(); err != nil {
		return nil, named(activityType, err)
	}
	m := &method{activityType: activityType, options: options, spec: engine.Spec{
		Method: activityType, Retry: options.Retry,
		AttemptTimeout: options.AttemptTimeout, CallTimeout: options.CallTimeout,
		JournalBytes: options.JournalBytes, NoHeartbeat: options.HeartbeatTimeout < 0,
		Decode: decode[Out], Observers: options.Observers,
	}}
	if own.Requires == nil {
		own.Requires = options.Requires
	}
	if err := m.limit(own.Requires); err != nil {
		return nil, named(activityType, err)
	}
	if own.LimitKey != nil {
		if _, set := options.Limits.(limits.Limiter); set || options.Limits == nil {
			return nil, named(activityType, &retrypolicy.FieldError{Field: "LimitKey", Value: "a function", Allowed: "must be nil unless Limits is a declaration or a keyed set"})
		}
		m.spec.Limits.Key = func(args []any) string { return own.LimitKey(unpack[In](args)) }
	}
	if own.RequiresOf != nil {
		if options.Limits == nil {
			return nil, named(activityType, &retrypolicy.FieldError{Field: "RequiresOf", Value: "a function", Allowed: "must be nil without Limits"})
		}
		m.spec.Limits.RequiresOf = func(args []any) limits.Units { return own.RequiresOf(unpack[In](args)) }
	}
	for _, t := range argumentTypes[In]() {
		m.spec.CloneArgs = m.spec.CloneArgs || sharesMemory(t)
	}
	if options.ForeignWorkers && len(own.RetryUntil) > 0 {
		return nil, named(activityType, &retrypolicy.FieldError{Field: "RetryUntil", Value: fmt.Sprintf("%d validators", len(own.RetryUntil)), Allowed: "must be empty with ForeignWorkers, which would not ask them"})
	}
	for i, v := range own.RetryUntil {
		if v == nil {
			return nil, named(activityType, &retrypolicy.FieldError{Field: fmt.Sprintf("RetryUntil[%d]", i), Value: "nil", Allowed: "must be a validator"})
		}
		m.spec.Validators = append(m.spec.Validators, untyped(v))
	}
	return m, nil
}

// limit adds what every attempt requires.
func (m *method) limit(requires limits.Units) error {
	source := m.options.Limits
	if source == nil {
		if len(requires) > 0 {
			return &retrypolicy.FieldError{Field: "Requires", Value: requires, Allowed: "must be empty without Limits"}
		}
		return nil
	}
	if err := source.EngineSource(limitengine.Access{}).CheckUnits(requires); err != nil {
		return named("Requires", err)
	}
	m.spec.Limits = engine.Limits{Source: source, Requires: maps.Clone(requires)}
	return nil
}

// untyped is v for the engine, which knows results as any.
func untyped[Out any](v validation.Validator[Out]) engine.Validator {
	return func(result any, a retrypolicy.Attempt) error {
		if result == nil { // an Out that is an interface, and nil
			var none Out
			return v(none, a)
		}
		out, ok := result.(Out)
		if !ok {
			return fmt.Errorf("the result is a %T, not a %v", result, reflect.TypeFor[Out]())
		}
		return v(out, a)
	}
}

// decode is a result that the SDK's test environment has encoded already.
func decode[Out any](p *commonpb.Payloads, dc converter.DataConverter) (any, error) {
	var out Out
	err := dc.FromPayloads(p, &out)
	return out, err
}

// ready returns an error unless Temporal could run the method.
func (m *method) ready() error {
	if m.options.AttemptTimeout <= 0 && m.options.CallTimeout <= 0 {
		return fmt.Errorf("%s: AttemptTimeout and CallTimeout are both unset: Temporal needs one of them", m.activityType)
	}
	return nil
}

// engine reports whether callers count on the engine.
func (m *method) engine() bool { return m.spec.Governs() && !m.options.ForeignWorkers }

// startToClose is the timeout of one server attempt.
func (m *method) startToClose() time.Duration {
	if !m.engine() {
		if m.options.AttemptTimeout > 0 {
			return m.options.AttemptTimeout
		}
		return m.options.CallTimeout
	}
	timeout := retry.StartToClose(&m.options.Retry, m.options.AttemptTimeout, m.options.CallTimeout)
	if m.spec.Limits.Source != nil && timeout != m.options.CallTimeout { // a wait for limits in place
		timeout += retry.InPlaceWait(&m.options.Retry)
		if m.options.CallTimeout > 0 {
			timeout = min(timeout, m.options.CallTimeout)
		}
	}
	return timeout
}

// sharesMemory reports whether a copy of a t can change the original.
func sharesMemory(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface, reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return true
	case reflect.Array:
		return sharesMemory(t.Elem())
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			return false // its pointer is to an immutable location
		}
		for f := range t.Fields() {
			if sharesMemory(f.Type) {
				return true
			}
		}
	}
	return false
}
