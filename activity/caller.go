package activity

import (
	"context"

	"go.temporal.io/sdk/client"
)

// Caller is what a program that calls a method needs to know of it. [Inline] and
// [ClientHandle] implement it; so can a test's mock.
type Caller[In, Out any] interface {
	// Call calls the method and waits for its end.
	Call(ctx context.Context, in In) (Out, error)
}

// ClientHandle is a method called through one client. It is made by [Handle.Via],
// immutable, and safe for concurrent use.
type ClientHandle[In, Out any] struct {
	handle Handle[In, Out]
	client client.Client
}

// Via binds the method to a client: the result is a [Caller].
func (h Handle[In, Out]) Via(c client.Client) *ClientHandle[In, Out] {
	return &ClientHandle[In, Out]{h, c}
}

// Call does what [Handle.Run] does, with the handle's client.
func (h *ClientHandle[In, Out]) Call(ctx context.Context, in In) (Out, error) {
	return h.handle.Run(ctx, h.client, in)
}

// Run submits a call and waits for its end: [Handle.Submit] and [Call.Get]. When
// ctx ends first it returns the context's error, and the call goes on: give it a
// CallOptions.ID to find it again with [Handle.Attach].
func (h Handle[In, Out]) Run(ctx context.Context, c client.Client, in In) (out Out, err error) {
	call, err := h.Submit(ctx, c, in)
	if err != nil {
		return out, err
	}
	return call.Get(ctx)
}
