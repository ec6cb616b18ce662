package activityhost

import (
	"sync/atomic"
	"time"

	"github.com/concurry-go/concurry/internal/converters"
)

// HostClient is what a Host knows of its worker's client and options. The zero
// value is a client without any.
type HostClient struct {
	// Parts are the client's converters and names.
	Parts converters.Parts
	// DefaultHeartbeatThrottle and MaxHeartbeatThrottle are the worker's; zero is
	// the SDK's own.
	DefaultHeartbeatThrottle, MaxHeartbeatThrottle time.Duration
	// AdoptBefore is from when on activities are governed from their first server
	// attempt on: those scheduled before, and without a journal, get their whole
	// budget from now on. The zero time means that all always were.
	AdoptBefore time.Time

	blobLimit atomic.Int64 // of heartbeat details, as far as the server was asked
}

// converters are the client's, or the defaults.
func (h *HostClient) converters() converters.Parts {
	p := h.Parts
	if p.Data == nil {
		p.Data = converters.Default().Data
	}
	if p.Failure == nil {
		p.Failure = converters.Default().Failure
	}
	return p
}
