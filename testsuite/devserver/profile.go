package devserver

import (
	"fmt"
	"slices"
)

// Profile is the server's timing.
type Profile string

const (
	// Fast lifts the delays a stock server has on one machine: a workflow
	// with one activity takes about 15 ms instead of 100, a server-side retry
	// its delay plus 5 ms instead of at least one second. The default.
	Fast Profile = "fast"
	// Stock is the server's own timing, which is what users' clusters have.
	Stock Profile = "stock"
)

// fast is devserver/internal/server/fast.conf, for programs that do not know
// our --profile; a test holds the two together.
var fast = []string{ //nolint:gochecknoglobals // a constant list
	"history.transferProcessorMaxPollRPS=1000",
	"history.timerProcessorMaxPollRPS=1000",
	"history.visibilityProcessorMaxPollRPS=200",
	`history.timerProcessorMaxTimeShift="1ms"`,
	"matching.numTaskqueueReadPartitions=1",
	"matching.numTaskqueueWritePartitions=1",
	"history.maxInFlightUpdates=0",
	"history.maxTotalUpdates=0",
	`history.longPollExpirationInterval="2s"`,
}

func (p Profile) dynamicConfig() ([]string, error) {
	switch p {
	case "", Fast:
		return slices.Clone(fast), nil
	case Stock:
		return nil, nil
	default:
		return nil, fmt.Errorf("devserver: Profile %q: must be %q or %q", p, Fast, Stock)
	}
}
