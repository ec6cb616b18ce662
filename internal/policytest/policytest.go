// Package policytest draws policies, for property tests.
package policytest

import (
	"time"

	"pgregory.net/rapid"

	"github.com/concurry-go/concurry/retrypolicy"
)

// Algorithms returns all algorithms.
func Algorithms() []retrypolicy.Algorithm {
	return []retrypolicy.Algorithm{retrypolicy.Exponential, retrypolicy.Linear, retrypolicy.Fibonacci, retrypolicy.Constant}
}

// Draw returns any policy that passes Check, filters left out.
func Draw(t *rapid.T) retrypolicy.Policy {
	backoffs := []retrypolicy.Backoff{nil, retrypolicy.BackoffFunc(func(wait time.Duration, n int) time.Duration {
		return (wait ^ 0x5DEECE66D) * time.Duration(n*7919) // anything, also negative
	})}
	for _, a := range Algorithms() {
		backoffs = append(backoffs, a)
	}
	return retrypolicy.Policy{
		NumRetries: rapid.IntRange(0, retrypolicy.MaxRetries).Draw(t, "NumRetries"),
		Backoff:    backoffs[rapid.IntRange(0, len(backoffs)-1).Draw(t, "Backoff")],
		Wait: rapid.OneOf(
			rapid.SampledFrom([]time.Duration{retrypolicy.NoWait, 0, 1, retrypolicy.MaxDuration}),
			rapid.Map(rapid.Int64Range(0, int64(retrypolicy.MaxDuration)), duration),
		).Draw(t, "Wait"),
		MaxWait: rapid.OneOf(
			rapid.SampledFrom([]time.Duration{0, 1, retrypolicy.MaxDuration}),
			rapid.Map(rapid.Int64Range(0, int64(retrypolicy.MaxDuration)), duration),
		).Draw(t, "MaxWait"),
		Jitter: rapid.OneOf(
			rapid.SampledFrom([]retrypolicy.Jitter{retrypolicy.FullJitter, retrypolicy.NoJitter, retrypolicy.EqualJitter}),
			rapid.Map(rapid.Float64Range(1e-9, 1), retrypolicy.Proportional),
		).Draw(t, "Jitter"),
		InPlace: rapid.Map(rapid.Int64(), duration).Draw(t, "InPlace"),
	}
}

func duration(ns int64) time.Duration { return time.Duration(ns) }
