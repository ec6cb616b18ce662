package engine

import (
	"bytes"
	"fmt"
	"sync/atomic"

	commonpb "go.temporal.io/api/common/v1"

	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/retrypolicy"
)

// HeaderKey is the Temporal header field a caller tells its numbers in.
const HeaderKey = "concurry"

// Header is s for the way from caller to worker.
func (s *Spec) Header() (*commonpb.Payload, error) { return wire.Seal(wire.Header, s.Numbers()) }

func (s *Spec) Numbers() wire.CallNumbers {
	n := wire.CallNumbers{
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

// WithHeader is the worker's spec with the caller's numbers.
func (s *Spec) WithHeader(p *commonpb.Payload) (*Spec, error) {
	var n wire.CallNumbers
	if err := wire.Open(wire.Header, p, &n); err != nil {
		return nil, fmt.Errorf("header %q: %w", HeaderKey, err)
	}
	merged, err := s.WithNumbers(n)
	if err != nil {
		return nil, fmt.Errorf("header %q: %w", HeaderKey, err)
	}
	return merged, nil
}

func (s *Spec) WithNumbers(n wire.CallNumbers) (*Spec, error) {
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

// SpecCache is a spec as a worker keeps it, with the last header it was merged
// with: callers of a method send the same bytes over and over.
type SpecCache struct {
	Spec *Spec
	last atomic.Pointer[merge]
}

type merge struct {
	mark, header []byte
	spec         *Spec
}

func (h *SpecCache) ForHeader(p *commonpb.Payload) (*Spec, error) {
	if p == nil {
		return h.Spec, nil
	}
	mark := p.GetMetadata()[wire.MarkKey]
	if m := h.last.Load(); m != nil && bytes.Equal(m.mark, mark) && bytes.Equal(m.header, p.GetData()) {
		return m.spec, nil
	}
	spec, err := h.Spec.WithHeader(p)
	if err != nil {
		return nil, err
	}
	h.last.Store(&merge{mark: bytes.Clone(mark), header: bytes.Clone(p.GetData()), spec: spec})
	return spec, nil
}
