// Package testclock is what the engine asks of limits in a test environment. Its
// types keep those functions of package limits from everybody else.
package testclock

import "time"

// Clock is the clock of one environment, and, by its address, the environment. Its
// fields are those of limits.Clock.
type Clock struct {
	Now   func() time.Time
	Sleep func(d time.Duration, wake ...<-chan struct{}) bool
}

// Request is a request for limits: limits.Units, and a limits.Charge.
type Request struct {
	Units  map[string]int
	Charge int
}
