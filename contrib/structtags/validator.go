package structtags

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"time"

	"github.com/go-playground/validator/v10"

	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

// Option refines New and Must: With.
type Option interface {
	apply(o *options) error
}

type options struct {
	validate *validator.Validate
	own      bool
}

type option func(o *options) error

func (f option) apply(o *options) error { return f(o) }

// With validates by v, which has validations, aliases, or rules for types
// without tags that the library's own does not. It must read the tag
// "validate", and be complete when it is handed over. Paths are as v names
// fields: RegisterTagNameFunc makes them JSON's.
func With(v *validator.Validate) Option {
	return option(func(o *options) error {
		if v == nil {
			return errors.New("With: the validator is nil")
		}
		if v.Struct(tagged{}) == nil {
			return errors.New(`With: the validator reads another tag: must read "validate"`)
		}
		o.validate, o.own = v, false
		return nil
	})
}

// tagged is refused by whoever reads the tag.
type tagged struct {
	Field int `validate:"required"`
}

// New makes a validator of the tags that T has. The error names every tag that
// is wrong; a T that cannot have tags, or has none, is an error too. The
// validator is safe for concurrent use.
func New[T any](refine ...Option) (validation.Validator[T], error) {
	o := options{validate: newValidate(), own: true}
	for i, option := range refine {
		if option == nil {
			return nil, fmt.Errorf("structtags: option %d is nil", i)
		}
		if err := option.apply(&o); err != nil {
			return nil, fmt.Errorf("structtags: %w", err)
		}
	}
	if err := check(reflect.TypeFor[T](), &o); err != nil {
		return nil, fmt.Errorf("structtags: %w", err)
	}
	return func(result T, _ retrypolicy.Attempt) error {
		return judge(o.validate, reflect.ValueOf(&result).Elem())
	}, nil
}

// Must does what [New] does, for package variables: it panics where New returns an
// error.
func Must[T any](refine ...Option) validation.Validator[T] {
	v, err := New[T](refine...)
	if err != nil {
		panic(err)
	}
	return v
}

func newValidate() *validator.Validate {
	v := validator.New(validator.WithRequiredStructEnabled(), validator.WithTagNameFuncBlankOmit())
	v.RegisterTagNameFunc(jsonName)
	return v
}

// jsonName is the field's name as encoding/json has it: none for a struct whose
// fields become its owner's. One that is not in the JSON keeps its own.
func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	switch {
	case name != "" && name != "-":
		return name
	case name == "" && f.Anonymous && nested(deref(f.Type)):
		return ""
	default:
		return f.Name
	}
}

func judge(v *validator.Validate, result reflect.Value) error {
	j := judgement{validate: v}
	j.walk(result, "")
	if len(j.fields) == 0 {
		return nil
	}
	return &refusal{reason: reasonOf(j.fields), all: j.all}
}

// judgement is what is found in one result.
type judgement struct {
	validate *validator.Validate
	fields   []field
	all      validator.ValidationErrors
}

func (j *judgement) walk(v reflect.Value, at string) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			j.fields = append(j.fields, field{path: at, what: "must not be null"})
			return
		}
		j.walk(v.Elem(), at)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			j.walk(v.Index(i), fmt.Sprintf("%s[%d]", at, i))
		}
	case reflect.Map:
		for key, value := range v.Seq2() {
			j.walk(value, fmt.Sprintf("%s[%v]", at, key))
		}
	default: // a struct, see check
		j.one(v, at)
	}
}

func (j *judgement) one(v reflect.Value, at string) {
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		if bug, ok := r.(runtime.Error); ok {
			panic(bug) // a validation's own, and its stack tells where
		}
		j.fields = append(j.fields, field{path: at, what: fmt.Sprintf("cannot be validated: %v", r)})
	}()
	if v.CanAddr() {
		v = v.Addr()
	}
	failed, _ := errors.AsType[validator.ValidationErrors](j.validate.Struct(v.Interface()))
	for _, f := range failed {
		j.fields = append(j.fields, field{path: pathOf(f, at, deref(v.Type())), what: describe(f)})
	}
	j.all = append(j.all, failed...)
}

// refusal is a reason of bounded length, and all there is behind it.
type refusal struct {
	reason string
	all    validator.ValidationErrors
}

func (e *refusal) Error() string { return e.reason }

func (e *refusal) Unwrap() error {
	if len(e.all) == 0 {
		return nil
	}
	return e.all
}

func deref(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// nested reports whether the library looks into the type's fields.
func nested(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && !t.ConvertibleTo(reflect.TypeFor[time.Time]())
}
