package activity

import (
	"context"
	"reflect"

	"github.com/concurry-go/concurry/internal/activityhost"
)

// None is the input of methods without arguments, and the output of methods
// that return an error only.
type None struct{}

// Args2 is the input of methods with two arguments beside their context.
type Args2[A, B any] struct {
	A A
	B B
}

// Args3 is the input of methods with three arguments beside their context.
type Args3[A, B, C any] struct {
	A A
	B B
	C C
}

// NoInput adapts a method without arguments:
//
//	activity.Method(llm, "Ping", activity.NoInput((*LLM).Ping), …)
func NoInput[S, Out any](fn func(S, context.Context) (Out, error)) func(S, context.Context, None) (Out, error) {
	return func(s S, ctx context.Context, _ None) (Out, error) { return fn(s, ctx) }
}

// NoOutput adapts a method that returns an error only.
func NoOutput[S, In any](fn func(S, context.Context, In) error) func(S, context.Context, In) (None, error) {
	return func(s S, ctx context.Context, in In) (None, error) { return None{}, fn(s, ctx, in) }
}

// ErrorOnly adapts a method without arguments that returns an error only.
func ErrorOnly[S any](fn func(S, context.Context) error) func(S, context.Context, None) (None, error) {
	return func(s S, ctx context.Context, _ None) (None, error) { return None{}, fn(s, ctx) }
}

// Two adapts a method with two arguments. Temporal sees two, callers give an
// Args2.
func Two[S, A, B, Out any](fn func(S, context.Context, A, B) (Out, error)) func(S, context.Context, Args2[A, B]) (Out, error) {
	return func(s S, ctx context.Context, in Args2[A, B]) (Out, error) { return fn(s, ctx, in.A, in.B) }
}

// Three adapts a method with three arguments.
func Three[S, A, B, C, Out any](fn func(S, context.Context, A, B, C) (Out, error)) func(S, context.Context, Args3[A, B, C]) (Out, error) {
	return func(s S, ctx context.Context, in Args3[A, B, C]) (Out, error) { return fn(s, ctx, in.A, in.B, in.C) }
}

// NoInputFunc adapts a function without arguments, for [Func].
func NoInputFunc[Out any](fn func(context.Context) (Out, error)) func(context.Context, None) (Out, error) {
	return func(ctx context.Context, _ None) (Out, error) { return fn(ctx) }
}

// NoOutputFunc adapts a function that returns an error only.
func NoOutputFunc[In any](fn func(context.Context, In) error) func(context.Context, In) (None, error) {
	return func(ctx context.Context, in In) (None, error) { return None{}, fn(ctx, in) }
}

// ErrorOnlyFunc adapts a function without arguments that returns an error only.
func ErrorOnlyFunc(fn func(context.Context) error) func(context.Context, None) (None, error) {
	return func(ctx context.Context, _ None) (None, error) { return None{}, fn(ctx) }
}

// TwoFunc adapts a function with two arguments. Temporal sees two, callers give an
// Args2.
func TwoFunc[A, B, Out any](fn func(context.Context, A, B) (Out, error)) func(context.Context, Args2[A, B]) (Out, error) {
	return func(ctx context.Context, in Args2[A, B]) (Out, error) { return fn(ctx, in.A, in.B) }
}

// ThreeFunc adapts a function with three arguments.
func ThreeFunc[A, B, C, Out any](fn func(context.Context, A, B, C) (Out, error)) func(context.Context, Args3[A, B, C]) (Out, error) {
	return func(ctx context.Context, in Args3[A, B, C]) (Out, error) { return fn(ctx, in.A, in.B, in.C) }
}

// several is implemented by the inputs above, which are not one argument.
type several interface {
	pack() []any
	// unpack is pack's reverse.
	unpack(args []any) any
	types() []reflect.Type
	// function makes what Temporal registers, with one parameter per argument.
	function(call func(context.Context, any) (any, error)) any
}

func (None) pack() []any           { return nil }
func (None) unpack([]any) any      { return None{} }
func (None) types() []reflect.Type { return nil }
func (None) function(call func(context.Context, any) (any, error)) any {
	return func(ctx context.Context) (any, error) { return call(ctx, None{}) }
}

func (a Args2[A, B]) pack() []any { return []any{a.A, a.B} }
func (Args2[A, B]) unpack(args []any) any {
	return Args2[A, B]{argument[A](args, 0), argument[B](args, 1)}
}

func (Args2[A, B]) types() []reflect.Type {
	return []reflect.Type{reflect.TypeFor[A](), reflect.TypeFor[B]()}
}

func (Args2[A, B]) function(call func(context.Context, any) (any, error)) any {
	return func(ctx context.Context, a A, b B) (any, error) { return call(ctx, Args2[A, B]{a, b}) }
}

func (a Args3[A, B, C]) pack() []any { return []any{a.A, a.B, a.C} }
func (Args3[A, B, C]) unpack(args []any) any {
	return Args3[A, B, C]{argument[A](args, 0), argument[B](args, 1), argument[C](args, 2)}
}

func (Args3[A, B, C]) types() []reflect.Type {
	return []reflect.Type{reflect.TypeFor[A](), reflect.TypeFor[B](), reflect.TypeFor[C]()}
}

func (Args3[A, B, C]) function(call func(context.Context, any) (any, error)) any {
	return func(ctx context.Context, a A, b B, c C) (any, error) {
		return call(ctx, Args3[A, B, C]{a, b, c})
	}
}

// pack is in as Temporal's list of arguments.
func pack[In any](in In) []any {
	if s, ok := any(in).(several); ok {
		return s.pack()
	}
	return []any{in}
}

// unpack is the input of which pack made args.
func unpack[In any](args []any) In {
	var in In
	if s, ok := any(in).(several); ok {
		in, _ = s.unpack(args).(In)
		return in
	}
	return argument[In](args, 0)
}

func argument[T any](args []any, i int) (v T) {
	if i < len(args) {
		v, _ = args[i].(T)
	}
	return v
}

// argumentTypes are the types behind pack.
func argumentTypes[In any]() []reflect.Type {
	var in In
	if s, ok := any(in).(several); ok {
		return s.types()
	}
	return []reflect.Type{reflect.TypeFor[In]()}
}

// registered is fn with the signature that Temporal calls. Where no engine is in
// its path, its errors are made fit for the server here.
func registered[In, Out any](fn func(context.Context, In) (Out, error)) any {
	answering := func(ctx context.Context, in In) (Out, error) {
		out, err := fn(ctx, in)
		if err != nil {
			err = activityhost.Answer(ctx, err)
		}
		return out, err
	}
	var in In
	if s, ok := any(in).(several); ok {
		return s.function(func(ctx context.Context, args any) (any, error) {
			in, _ := args.(In) // function calls with what it is a method of
			return answering(ctx, in)
		})
	}
	return answering
}
