package engine

import (
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"

	"github.com/concurry-go/concurry/retrypolicy"
)

const (
	// DefaultHeartbeat is the heartbeat timeout of activities the engine
	// runs.
	DefaultHeartbeat = 10 * time.Second
	// DefaultJournalBytes bounds the results a call carries along.
	DefaultJournalBytes = 64 << 10
	// MaxJournalBytes is the most of them: a failure must stay well below what
	// the server takes.
	MaxJournalBytes = 512 << 10
	// MaxOutcomes bounds how many outcomes a call carries along.
	MaxOutcomes = 100
	// AbandonAfter is how long a body may go on once its context has ended.
	AbandonAfter = time.Second
)

// Validator judges a result of any type.
type Validator func(result any, a retrypolicy.Attempt) error

// Spec is what the engine knows about a method. It is read-only once in use.
type Spec struct {
	// Method is the activity type.
	Method string
	Retry  retrypolicy.Policy
	// Validators judge results; nil entries are not allowed.
	Validators []Validator
	// AttemptTimeout and CallTimeout are unlimited when 0.
	AttemptTimeout, CallTimeout time.Duration
	// JournalBytes bounds the results a call carries along; 0 means
	// DefaultJournalBytes.
	JournalBytes int
	// CloneArgs tells that the arguments' types hold pointers, maps or
	// slices, so that a body could change them for the next attempt.
	CloneArgs bool
	// NoHeartbeat switches automatic heartbeats off.
	NoHeartbeat bool
	// Decode decodes results for validators: in the SDK's test environment,
	// local activities and mocks return theirs encoded. It may be nil.
	Decode func(p *commonpb.Payloads, dc converter.DataConverter) (any, error)
	// Observers are told of every attempt that ends.
	Observers []retrypolicy.Observer
	// Limits are acquired before each attempt.
	Limits Limits
	// Session is the Temporal session that the call runs in; empty for none.
	Session string
	// Foreign tells that calls come with retry policies that are not ours,
	// which would retry what this one does not.
	Foreign bool
}

// Governs reports whether the engine has anything to do for the method. If not,
// it stays out of the path.
func (s *Spec) Governs() bool {
	return s.Retry.NumRetries > 0 || len(s.Retry.Cases) > 0 || len(s.Validators) > 0 || s.Limits.Source != nil || s.Foreign
}

// NeedsClock reports whether anything may ask for the elapsed time.
func (s *Spec) NeedsClock() bool {
	return len(s.Retry.RetryOn) > 0 || len(s.Retry.Cases) > 0 || s.Retry.MaxElapsed > 0 || len(s.Validators) > 0 || len(s.Observers) > 0
}

// Plain tells that a call that succeeds at once needs nothing before its body,
// and nothing after.
func (s *Spec) Plain() bool {
	return !s.NeedsClock() && s.Retry.Budget == nil && s.Limits.Source == nil && s.AttemptTimeout == 0 && s.CallTimeout == 0
}

func (s *Spec) journalBytes() int {
	if s.JournalBytes > 0 {
		return s.JournalBytes
	}
	return DefaultJournalBytes
}
