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
	// Detail is which detail of the error the result is, from 1; 0 is none. A
	// result that the default converter cannot decode travels as a detail of its
	// own, so that the FailureConverter of whoever reads it does.
	Detail int `json:"detail,omitempty"`

	dc  converter.DataConverter // nil is the default one
	get func(ptr any) error     // reads Detail
}

// ErrNotKept is returned for a result of which only a description is left.
var ErrNotKept = errors.New("the result was not kept")

// Encode is EncodeBy with the default converter.
func Encode(v any) *Result { return EncodeBy(nil, v) }

// EncodeBy never fails: what dc cannot encode becomes text. Nil is the default
// converter.
func EncodeBy(dc converter.DataConverter, v any) *Result {
	p, err := toPayload(v, dc)
	switch {
	case err != nil:
		return &Result{Text: Cut(fmt.Sprintf("%T that cannot be encoded: %v", v, err), MaxReason)}
	case p == nil:
		return &Result{Text: fmt.Sprintf("%T that the converter drops", v)}
	case isJSON(p) && json.Valid(p.GetData()):
		return &Result{JSON: p.GetData(), dc: dc}
	default:
		return &Result{Metadata: p.GetMetadata(), Data: p.GetData(), dc: dc}
	}
}

// Decoded returns r such that dc decodes it.
func (r *Result) Decoded(dc converter.DataConverter) *Result {
	if dc == nil || r.Text != "" {
		return r
	}
	bound := *r
	bound.dc = dc
	return &bound
}

// Apart returns r's payload where only the user's own converter can decode it,
// for a detail of its own; else nil.
func (r *Result) Apart() *commonpb.Payload {
	if r == nil || r.Text != "" || r.JSON != nil || r.Detail > 0 {
		return nil
	}
	if Known(r.Metadata) {
		return nil
	}
	return r.payload()
}

// Known reports whether Temporal's default converter decodes a payload with this
// metadata.
func Known(metadata map[string][]byte) bool {
	switch string(metadata[converter.MetadataEncoding]) {
	case converter.MetadataEncodingNil, converter.MetadataEncodingBinary, converter.MetadataEncodingJSON,
		converter.MetadataEncodingProto, converter.MetadataEncodingProtoJSON:
		return true
	default:
		return false
	}
}

// InDetail returns the result that is detail n of an error, which get reads.
func InDetail(n int, get func(ptr any) error) *Result { return &Result{Detail: n, get: get} }

// Describe is v if it can be encoded in at most limit bytes, else a text that
// says what it was.
func Describe(v any, limit int) any {
	p, err := toPayload(v, nil)
	if err != nil {
		return Cut(fmt.Sprintf("%T that cannot be encoded: %v", v, err), MaxReason)
	}
	if len(p.GetData()) > limit {
		return fmt.Sprintf("%T of %d bytes, left out", v, len(p.GetData()))
	}
	return v
}

// toPayload survives values whose marshalers panic.
func toPayload(v any, dc converter.DataConverter) (p *commonpb.Payload, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return orDefault(dc).ToPayload(v)
}

func orDefault(dc converter.DataConverter) converter.DataConverter {
	if dc == nil {
		return converter.GetDefaultDataConverter()
	}
	return dc
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

// Kept reports whether the value itself is there.
func (r *Result) Kept() bool { return r != nil && r.Text == "" }

func (r *Result) payload() *commonpb.Payload {
	if r.JSON != nil {
		return &commonpb.Payload{
			Metadata: map[string][]byte{converter.MetadataEncoding: []byte(converter.MetadataEncodingJSON)},
			Data:     r.JSON,
		}
	}
	return &commonpb.Payload{Metadata: r.Metadata, Data: r.Data}
}

// Get implements retrypolicy.Value.
func (r *Result) Get(ptr any) (err error) {
	if r.Text != "" {
		return fmt.Errorf("%w: %s", ErrNotKept, r.Text)
	}
	defer func() {
		if rec := recover(); rec != nil {
			err = fmt.Errorf("panic: %v", rec)
		}
	}()
	switch {
	case r.get != nil:
		return r.get(ptr)
	case r.Detail > 0:
		return fmt.Errorf("%w: it was a detail of an error", ErrNotKept)
	default:
		return orDefault(r.dc).FromPayload(r.payload(), ptr)
	}
}
