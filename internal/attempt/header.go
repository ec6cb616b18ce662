package attempt

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"time"

	commonpb "go.temporal.io/api/common/v1"

	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/retrypolicy"
)

// HeaderKey is the Temporal header field a caller tells its numbers in.
const HeaderKey = "concurry"

// numbers are what the caller decides: they win over the worker's. Filters,
// cases and validators are the worker's.
type numbers struct {
	NumRetries     int                   `json:"num_retries"`
	Algorithm      retrypolicy.Algorithm `json:"algorithm,omitempty"` // empty: the worker's own
	Wait           time.Duration         `json:"wait_ns,omitempty"`
	MaxWait        time.Duration         `json:"max_wait_ns,omitempty"`
	MaxElapsed     time.Duration         `json:"max_elapsed_ns,omitempty"`
	Jitter         retrypolicy.Jitter    `json:"jitter,omitempty"`
	InPlace        time.Duration         `json:"in_place_ns,omitempty"`
	AttemptTimeout time.Duration         `json:"attempt_timeout_ns,omitempty"`
}

// Header is s for the way from caller to worker.
func (s *Spec) Header() (*commonpb.Payload, error) { return wire.Seal(wire.Header, s.numbers()) }

func (s *Spec) numbers() numbers {
	n := numbers{
		NumRetries: s.Retry.NumRetries, Wait: s.Retry.Wait, MaxWait: s.Retry.MaxWait, MaxElapsed: s.Retry.MaxElapsed,
		Jitter: s.Retry.Jitter, InPlace: s.Retry.InPlace, AttemptTimeout: s.AttemptTimeout,
	}
	switch b := s.Retry.Backoff.(type) {
	case nil:
		n.Algorithm = retrypolicy.Exponential
	case retrypolicy.Algorithm:
		n.Algorithm = b
	}
	return n
}

// withHeader is the worker's spec with the caller's numbers.
func (s *Spec) withHeader(p *commonpb.Payload) (*Spec, error) {
	var n numbers
	if err := wire.Open(wire.Header, p, &n); err != nil {
		return nil, fmt.Errorf("header %q: %w", HeaderKey, err)
	}
	merged, err := s.withNumbers(n)
	if err != nil {
		return nil, fmt.Errorf("header %q: %w", HeaderKey, err)
	}
	return merged, nil
}

func (s *Spec) withNumbers(n numbers) (*Spec, error) {
	merged := *s
	r := &merged.Retry
	r.NumRetries, r.Wait, r.MaxWait, r.Jitter, r.InPlace = n.NumRetries, n.Wait, n.MaxWait, n.Jitter, n.InPlace
	r.MaxElapsed = n.MaxElapsed
	if n.Algorithm != "" {
		r.Backoff = n.Algorithm
	}
	merged.AttemptTimeout = n.AttemptTimeout
	if n.AttemptTimeout < 0 {
		return nil, &retrypolicy.FieldError{Field: "AttemptTimeout", Value: n.AttemptTimeout, Allowed: "must be positive, or 0 for no bound"}
	}
	if err := r.Check(); err != nil {
		return nil, err
	}
	return &merged, nil
}

// hosted is a spec as a worker keeps it, with the last header it was merged
// with: callers of a method send the same bytes over and over.
type hosted struct {
	spec *Spec
	last atomic.Pointer[merge]
}

type merge struct {
	mark, header []byte
	spec         *Spec
}

func (h *hosted) forHeader(p *commonpb.Payload) (*Spec, error) {
	if p == nil {
		return h.spec, nil
	}
	mark := p.GetMetadata()[wire.MarkKey]
	if m := h.last.Load(); m != nil && bytes.Equal(m.mark, mark) && bytes.Equal(m.header, p.GetData()) {
		return m.spec, nil
	}
	spec, err := h.spec.withHeader(p)
	if err != nil {
		return nil, err
	}
	h.last.Store(&merge{mark: bytes.Clone(mark), header: bytes.Clone(p.GetData()), spec: spec})
	return spec, nil
}
