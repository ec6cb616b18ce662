package engine

import (
	"context"

	"github.com/concurry-go/concurry/retrypolicy"
)

type DriverKey struct{}

type (
	PreviousKey struct{}
	NumberKey   struct{}
)

// Number is the number of the attempt that ctx belongs to, 0 for none.
func Number(ctx context.Context) int {
	n, _ := ctx.Value(NumberKey{}).(int)
	return n
}

// Previous are the earlier outcomes of the call ctx belongs to.
func Previous(ctx context.Context) []retrypolicy.Outcome {
	previous, _ := ctx.Value(PreviousKey{}).([]retrypolicy.Outcome)
	return previous
}
