package wire

import (
	"time"

	"github.com/concurry-go/concurry/retrypolicy"
)

// CallTrail is what the attempts of a call have left, as tools read it from the
// history of a call that has ended: in the metadata of its result, or in the
// details of the RetryStopped among its causes.
type CallTrail struct {
	// Attempts is how many attempts the call made.
	Attempts int `json:"attempts"`
	// LeftOut counts those at the front that are not among Outcomes.
	LeftOut int `json:"left_out,omitempty"`
	// Outcomes are the attempts that have ended without an accepted result.
	Outcomes []Step `json:"outcomes"`
}

// Step is one outcome of a Trail.
type Step struct {
	Attempt   int                 `json:"n"`
	Verdict   retrypolicy.Verdict `json:"verdict"`
	Reason    string              `json:"reason,omitempty"`
	ErrorType string              `json:"type,omitempty"`
	Wait      time.Duration       `json:"wait_ns,omitempty"`
}
