package converters

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/internal/wire"
)

// Metadata of payloads that a tolerant converter makes.
const (
	// asText marks a payload whose value is the text of another payload of ours.
	asText = "concurry-text"
	// asIs marks a payload that the converter has made, on its way through as
	// a raw value.
	asIs = "concurry-as-is"
)

// Tolerant is dc such that raw values pass it. Temporal asks that of every
// DataConverter, but those that were written from scratch treat a RawValue as any
// Go value, and fail or lose it. Documents of ours then travel as a text, which
// every converter can encode; payloads of the user's travel as dc made them.
func Tolerant(dc converter.DataConverter) converter.DataConverter {
	if NatureOf(dc).Raw {
		return dc
	}
	return &tolerant{dc}
}

type tolerant struct{ dc converter.DataConverter }

// text is a payload of ours as a text.
type text struct {
	Metadata map[string][]byte `json:"metadata"`
	Data     []byte            `json:"data"`
}

// ToPayload implements converter.DataConverter.
func (t *tolerant) ToPayload(value any) (*commonpb.Payload, error) {
	raw, ok := value.(converter.RawValue)
	switch p := raw.Payload(); {
	case !ok:
		return t.dc.ToPayload(value)
	case p.GetMetadata()[asIs] != nil:
		return unmarked(p), nil
	case wire.Ours(p):
		data, err := json.Marshal(text{p.GetMetadata(), p.GetData()})
		if err != nil {
			return nil, err
		}
		encoded, err := t.dc.ToPayload(string(data))
		if err != nil || encoded == nil {
			return encoded, err
		}
		return marked(encoded, asText), nil
	default:
		return t.dc.ToPayload(value)
	}
}

// FromPayload implements converter.DataConverter.
func (t *tolerant) FromPayload(p *commonpb.Payload, ptr any) error {
	raw, ok := ptr.(*converter.RawValue)
	switch {
	case p.GetMetadata()[asIs] != nil:
		return t.FromPayload(unmarked(p), ptr)
	case p.GetMetadata()[asText] != nil && ok:
		ours, err := t.open(p)
		if err == nil {
			*raw = converter.NewRawValue(ours)
		}
		return err
	case p.GetMetadata()[asText] != nil:
		return fmt.Errorf("the payload is concurry's: %w", converter.ErrEncodingIsNotSupported)
	case ok && p != nil:
		*raw = converter.NewRawValue(marked(p, asIs))
		return nil
	default:
		return t.dc.FromPayload(p, ptr)
	}
}

// open reads a document of ours that travels as a text.
func (t *tolerant) open(p *commonpb.Payload) (*commonpb.Payload, error) {
	var s string
	if err := t.dc.FromPayload(without(p, asText), &s); err != nil {
		return nil, err
	}
	var ours text
	if err := json.Unmarshal([]byte(s), &ours); err != nil {
		return nil, err
	}
	return &commonpb.Payload{Metadata: ours.Metadata, Data: ours.Data}, nil
}

// ToPayloads implements converter.DataConverter. Values without any raw one are
// encoded as the converter encodes several.
func (t *tolerant) ToPayloads(values ...any) (*commonpb.Payloads, error) {
	for _, v := range values {
		if _, ok := v.(converter.RawValue); ok {
			return toPayloads(t, values)
		}
	}
	return t.dc.ToPayloads(values...)
}

// FromPayloads implements converter.DataConverter.
func (t *tolerant) FromPayloads(p *commonpb.Payloads, ptrs ...any) error {
	for _, ptr := range ptrs {
		if _, ok := ptr.(*converter.RawValue); ok {
			return fromPayloads(t, p, ptrs)
		}
	}
	return t.dc.FromPayloads(p, ptrs...)
}

// ToString implements converter.DataConverter.
func (t *tolerant) ToString(p *commonpb.Payload) string { return t.dc.ToString(p) }

// ToStrings implements converter.DataConverter.
func (t *tolerant) ToStrings(p *commonpb.Payloads) []string { return t.dc.ToStrings(p) }

// WithSerializationContext implements converter.DataConverterWithSerializationContext.
func (t *tolerant) WithSerializationContext(c converter.SerializationContext) converter.DataConverter {
	return &tolerant{converter.WithDataConverterSerializationContext(t.dc, c)}
}

// WithContext implements converter.ContextAware.
func (t *tolerant) WithContext(ctx context.Context) converter.DataConverter {
	if aware, ok := t.dc.(converter.ContextAware); ok {
		return &tolerant{aware.WithContext(ctx)}
	}
	return t
}

// WithWorkflowContext implements converter.ContextAware.
func (t *tolerant) WithWorkflowContext(ctx workflow.Context) converter.DataConverter {
	if aware, ok := t.dc.(converter.ContextAware); ok {
		return &tolerant{aware.WithWorkflowContext(ctx)}
	}
	return t
}

// Codec implements converter.PayloadCodecProvider.
func (t *tolerant) Codec() converter.PayloadCodec {
	if p, ok := t.dc.(converter.PayloadCodecProvider); ok {
		return p.Codec()
	}
	return nil
}

// verbatim is the plain form of a tolerant converter: payloads as it makes them,
// marked so that they pass it as raw values.
type verbatim struct{ *tolerant }

// ToPayload implements converter.DataConverter.
func (v verbatim) ToPayload(value any) (*commonpb.Payload, error) {
	p, err := v.tolerant.ToPayload(value)
	if err != nil || p == nil {
		return p, err
	}
	return marked(p, asIs), nil
}

// ToPayloads implements converter.DataConverter.
func (v verbatim) ToPayloads(values ...any) (*commonpb.Payloads, error) { return toPayloads(v, values) }

// AsIs reports whether a payload is one that a tolerant converter hands on as it
// is, encrypted perhaps: nothing can be added to it.
func AsIs(p *commonpb.Payload) bool { return p.GetMetadata()[asIs] != nil }

func marked(p *commonpb.Payload, mark string) *commonpb.Payload {
	metadata := maps.Clone(p.GetMetadata())
	if metadata == nil {
		metadata = map[string][]byte{}
	}
	metadata[mark] = []byte{1}
	return &commonpb.Payload{Metadata: metadata, Data: p.GetData(), ExternalPayloads: p.GetExternalPayloads()}
}

func unmarked(p *commonpb.Payload) *commonpb.Payload { return without(p, asIs) }

func without(p *commonpb.Payload, mark string) *commonpb.Payload {
	metadata := maps.Clone(p.GetMetadata())
	delete(metadata, mark)
	return &commonpb.Payload{Metadata: metadata, Data: p.GetData(), ExternalPayloads: p.GetExternalPayloads()}
}
