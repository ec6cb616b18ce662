package retrypolicy_test

import (
	"math"

	"pgregory.net/rapid"
)

func drawAttempt(t *rapid.T, label string) int {
	return rapid.OneOf(rapid.IntRange(1, 120), rapid.IntRange(1, math.MaxInt)).Draw(t, label)
}

// drawSource is a source at one end of its range, or in the middle.
func drawSource(t *rapid.T) func(n int64) int64 {
	switch rapid.IntRange(0, 2).Draw(t, "source") {
	case 0:
		return func(int64) int64 { return 0 }
	case 1:
		return func(n int64) int64 { return n - 1 }
	default:
		return func(n int64) int64 { return rapid.Int64Range(0, n-1).Draw(t, "random") }
	}
}
