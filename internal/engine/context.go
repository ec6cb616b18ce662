package engine

import (
	"context"

	"github.com/concurry-go/concurry/retrypolicy"
)

// Keys of values in the contexts of attempts.
type (
	// DriverKey is that of the driver's own, where a driver has some.
	DriverKey struct{}
	// PreviousKey is that of the call's earlier outcomes.
	PreviousKey struct{}
	// NumberKey is that of the attempt's number.
	NumberKey struct{}
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
