package wire

import (
	"time"

	"github.com/concurry-go/concurry/retrypolicy"
)

// CallNumbers are what the caller decides: they win over the worker's. Filters,
// cases and validators are the worker's.
type CallNumbers struct {
	NumRetries     int                   `json:"num_retries"`
	Algorithm      retrypolicy.Algorithm `json:"algorithm,omitempty"` // empty: the worker's own
	Wait           time.Duration         `json:"wait_ns,omitempty"`
	MaxWait        time.Duration         `json:"max_wait_ns,omitempty"`
	MaxElapsed     time.Duration         `json:"max_elapsed_ns,omitempty"`
	Jitter         retrypolicy.Jitter    `json:"jitter,omitempty"`
	InPlace        time.Duration         `json:"in_place_ns,omitempty"`
	AttemptTimeout time.Duration         `json:"attempt_timeout_ns,omitempty"`
}
