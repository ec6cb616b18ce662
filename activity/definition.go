package activity

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/concurry-go/concurry/internal/chain"
	"github.com/concurry-go/concurry/internal/engine"
	"github.com/concurry-go/concurry/internal/registration"
	"github.com/concurry-go/concurry/limits"
)

// Definition is a named Go type with the options that all its methods share. S is
// what methods are called on: a pointer to a struct, or an interface that callers
// know and workers implement. Callers and workers share it. It is safe for concurrent
// use.
type Definition[S any] struct {
	d *definition
}

// definition is what a Definition is without its type.
type definition struct {
	name    string
	options Options

	mu      sync.Mutex
	methods []*method
}

// method is what a handle is without its types.
type method struct {
	activityType string
	options      Options // of the definition, with the method's own applied
	spec         engine.Spec
	// function makes what Temporal registers, for an implementation.
	function func(impl any) any
}

// Define declares a definition. It panics where NewDefinition returns an
// error, which suits package variables.
func Define[S any](name string, options Options) *Definition[S] {
	d, err := NewDefinition[S](name, options)
	if err != nil {
		panic(err)
	}
	return d
}

// NewDefinition declares a definition whose options are read from configuration.
// The error names every field that is wrong.
func NewDefinition[S any](name string, options Options) (*Definition[S], error) {
	if err := checkName("definition name", name); err != nil {
		return nil, err
	}
	if err := errors.Join(options.check(), checkConfigNames(options.RetryConfig, methodNames[S]())); err != nil {
		return nil, named(name, err)
	}
	return &Definition[S]{d: &definition{name: name, options: options}}, nil
}

// Name returns the definition's name.
func (d *Definition[S]) Name() string { return d.d.name }

// Limits returns where the methods' limits come from, or nil if they have none.
func (d *Definition[S]) Limits() limits.Source { return d.d.options.Limits }

// ActivityTypes returns the names under which Temporal knows the methods, sorted.
func (d *Definition[S]) ActivityTypes() []string {
	d.d.mu.Lock()
	defer d.d.mu.Unlock()
	types := make([]string, 0, len(d.d.methods))
	for _, m := range d.d.methods {
		types = append(types, m.activityType)
	}
	slices.Sort(types)
	return types
}

// named puts the name of a definition or method before each mistake.
func named(name string, err error) error {
	return chain.Each(err, func(e error) error { return fmt.Errorf("%s: %w", name, e) })
}

// checkName refuses names that Temporal reserves or that a dot would split.
func checkName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%s %q: must not be empty", what, name)
	case strings.HasPrefix(name, "__temporal_"):
		return fmt.Errorf("%s %q: must not start with __temporal_, which is Temporal's", what, name)
	case strings.ContainsAny(name, " \t\n/") || len(name) > 200:
		return fmt.Errorf("%s %q: must be at most 200 bytes without spaces or slashes", what, name)
	}
	return nil
}

// add declares m, unless its name is taken or its owner has no such method.
func (d *definition) add(m *method) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, other := range d.methods {
		if other.activityType == m.activityType {
			return fmt.Errorf("%s: declared twice; each method needs a name of its own", m.activityType)
		}
	}
	d.methods = append(d.methods, m)
	return nil
}

// checkMethod returns an error unless name is one of S's methods.
func checkMethod[S any](definition, name string) error {
	t := reflect.TypeFor[S]()
	if _, ok := t.MethodByName(name); ok {
		return nil
	}
	has := "it has none that is exported"
	if names := methodNames[S](); len(names) > 0 {
		has = "it has " + strings.Join(names, ", ")
	}
	return fmt.Errorf("%s: method name %q: %v has no such method; %s", definition, name, t, has)
}

// methodNames are the names of S's methods.
func methodNames[S any]() []string {
	t := reflect.TypeFor[S]()
	names := make([]string, 0, t.NumMethod())
	for m := range t.Methods() {
		names = append(names, m.Name)
	}
	return names
}

// bind joins the definition and an implementation of it.
func (d *Definition[S]) bind(impl any) *registration.Registration {
	r := &registration.Registration{Name: d.d.name, Impl: impl, Methods: d.d.hosted}
	if v := reflect.ValueOf(impl); !v.IsValid() || isNilable(v.Kind()) && v.IsNil() {
		r.Err = fmt.Errorf("%s: its implementation is nil; want a %v", d.d.name, reflect.TypeFor[S]())
	}
	return r
}

func (d *definition) hosted() []*registration.Method {
	d.mu.Lock()
	defer d.mu.Unlock()
	methods := make([]*registration.Method, 0, len(d.methods))
	for _, m := range d.methods {
		methods = append(methods, m.hosted())
	}
	return methods
}

func (m *method) hosted() *registration.Method {
	return &registration.Method{Spec: &m.spec, Function: m.function, Err: m.ready()}
}

func isNilable(k reflect.Kind) bool {
	switch k {
	case reflect.Pointer, reflect.Interface, reflect.Map, reflect.Slice, reflect.Func, reflect.Chan:
		return true
	default:
		return false
	}
}

// policySpec returns what the engine needs of options for an activity that exists
// already.
func policySpec(activityType string, options Options) (*engine.Spec, error) {
	if err := checkName("activity type", activityType); err != nil {
		return nil, err
	}
	if err := errors.Join(options.checkForeignCaller(), checkConfigNames(options.RetryConfig, []string{activityType})); err != nil {
		return nil, named(activityType, err)
	}
	m, err := newMethod(activityType, activityType, options, MethodOptions[any, any]{})
	if err != nil {
		return nil, err
	}
	m.spec.CloneArgs, m.spec.Decode = true, nil // types are not known here
	m.spec.Foreign = true
	return &m.spec, nil
}
