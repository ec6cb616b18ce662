package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
)

// Result is an encoded result. JSON stays readable inside the document;
// everything else (protobuf, bytes) is kept as its payload's parts.
type Result struct {
	JSON     json.RawMessage   `json:"json,omitempty"`
	Metadata map[string][]byte `json:"metadata,omitempty"`
	Data     []byte            `json:"data,omitempty"`
	// Text stands for a value that could not be encoded, or was too large.
	Text string `json:"text,omitempty"`
}

// ErrNotKept is returned for a result of which only a description is left.
var ErrNotKept = errors.New("the result was not kept")

// Encode never fails: what cannot be encoded becomes text.
func Encode(v any) *Result {
	p, err := toPayload(v)
	switch {
	case err != nil:
		return &Result{Text: Cut(fmt.Sprintf("%T that cannot be encoded: %v", v, err), MaxReason)}
	case isJSON(p) && json.Valid(p.GetData()):
		return &Result{JSON: p.GetData()}
	default:
		return &Result{Metadata: p.GetMetadata(), Data: p.GetData()}
	}
}

// Describe is v if it can be encoded in at most limit bytes, else a text that
// says what it was.
func Describe(v any, limit int) any {
	p, err := toPayload(v)
	if err != nil {
		return Cut(fmt.Sprintf("%T that cannot be encoded: %v", v, err), MaxReason)
	}
	if len(p.GetData()) > limit {
		return fmt.Sprintf("%T of %d bytes, left out", v, len(p.GetData()))
	}
	return v
}

// toPayload survives values whose marshalers panic.
func toPayload(v any) (p *commonpb.Payload, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return converter.GetDefaultDataConverter().ToPayload(v)
}

func isJSON(p *commonpb.Payload) bool {
	return len(p.GetMetadata()) == 1 && bytes.Equal(p.GetMetadata()[converter.MetadataEncoding], []byte(converter.MetadataEncodingJSON))
}

// Size is about how many bytes r takes in a document.
func (r *Result) Size() int {
	n := len(r.JSON) + len(r.Data)*4/3 + len(r.Text)
	for k, v := range r.Metadata {
		n += len(k) + len(v)*4/3
	}
	return n
}

// Digest stands for a result that is too large to keep.
func (r *Result) Digest() *Result {
	h := fnv.New64a()
	_, _ = h.Write(r.JSON)
	_, _ = h.Write(r.Data)
	return &Result{Text: fmt.Sprintf("%d bytes, fnv64a %016x", len(r.JSON)+len(r.Data), h.Sum64())}
}

// Kept tells whether the value itself is there.
func (r *Result) Kept() bool { return r != nil && r.Text == "" }

// Get implements retrypolicy.Value.
func (r *Result) Get(ptr any) (err error) {
	if r.Text != "" {
		return fmt.Errorf("%w: %s", ErrNotKept, r.Text)
	}
	p := &commonpb.Payload{Metadata: r.Metadata, Data: r.Data}
	if r.JSON != nil {
		p = &commonpb.Payload{
			Metadata: map[string][]byte{converter.MetadataEncoding: []byte(converter.MetadataEncodingJSON)},
			Data:     r.JSON,
		}
	}
	defer func() {
		if rec := recover(); rec != nil {
			err = fmt.Errorf("panic: %v", rec)
		}
	}()
	return converter.GetDefaultDataConverter().FromPayload(p, ptr)
}
