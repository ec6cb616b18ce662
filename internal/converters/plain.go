package converters

import (
	"reflect"
	"strings"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
)

// Plain returns dc without its codec, for values that pass the codec later, as a
// part of something else or as a raw value.
func Plain(dc converter.DataConverter) converter.DataConverter {
	if inner := strip(dc); inner != nil {
		return stripped{inner, roundTrip{dc}}
	}
	return roundTrip{dc}
}

// strip is the converter inside the SDK's layers around it, of which codecs are
// one; nil where it is not the SDK's own.
func strip(dc converter.DataConverter) converter.DataConverter {
	for {
		switch inner := dc.(type) {
		case *converter.CompositeDataConverter:
			return inner
		case *tolerant:
			return verbatim{inner}
		}
		v := reflect.ValueOf(dc)
		if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct || !strings.HasPrefix(v.Type().Elem().PkgPath(), "go.temporal.io/sdk/") {
			return nil
		}
		parent, ok := field[converter.DataConverter](v.Elem())
		if !ok {
			return nil
		}
		dc = parent
	}
}

// Name is the type of the user's own converter, behind the SDK's layers.
func Name(dc converter.DataConverter) string {
	for {
		v := reflect.ValueOf(dc)
		if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct || !strings.HasPrefix(v.Type().Elem().PkgPath(), "go.temporal.io/sdk/") {
			return v.Type().String()
		}
		inner, ok := field[converter.DataConverter](v.Elem())
		if !ok {
			return v.Type().String()
		}
		dc = inner
	}
}

// stripped is the converter inside, but for types with a transfer type, which a
// layer around it converts.
type stripped struct {
	converter.DataConverter
	whole converter.DataConverter
}

// ToPayload implements converter.DataConverter.
func (s stripped) ToPayload(value any) (*commonpb.Payload, error) {
	if _, ok := value.(converter.ValueWithTransferTypeConverter); ok {
		return s.whole.ToPayload(value)
	}
	return s.DataConverter.ToPayload(value)
}

// FromPayload implements converter.DataConverter.
func (s stripped) FromPayload(p *commonpb.Payload, ptr any) error {
	if _, ok := ptr.(converter.ValueWithTransferTypeConverter); ok {
		return s.whole.FromPayload(p, ptr)
	}
	return s.DataConverter.FromPayload(p, ptr)
}

// ToPayloads implements converter.DataConverter.
func (s stripped) ToPayloads(values ...any) (*commonpb.Payloads, error) { return toPayloads(s, values) }

// FromPayloads implements converter.DataConverter.
func (s stripped) FromPayloads(p *commonpb.Payloads, ptrs ...any) error {
	return fromPayloads(s, p, ptrs)
}

// roundTrip is a converter's own part, found by encoding with its codec and
// decoding again.
type roundTrip struct{ converter.DataConverter }

// ToPayload implements converter.DataConverter.
func (r roundTrip) ToPayload(value any) (*commonpb.Payload, error) {
	p, err := r.DataConverter.ToPayload(value)
	if err != nil || p == nil {
		return p, err
	}
	var raw converter.RawValue
	if err := r.DataConverter.FromPayload(p, &raw); err != nil {
		return nil, err
	}
	return raw.Payload(), nil
}

// FromPayload implements converter.DataConverter.
func (r roundTrip) FromPayload(p *commonpb.Payload, ptr any) error {
	encoded, err := r.DataConverter.ToPayload(converter.NewRawValue(p))
	if err != nil {
		return err
	}
	return r.DataConverter.FromPayload(encoded, ptr)
}

// ToPayloads implements converter.DataConverter.
func (r roundTrip) ToPayloads(values ...any) (*commonpb.Payloads, error) {
	return toPayloads(r, values)
}

// FromPayloads implements converter.DataConverter.
func (r roundTrip) FromPayloads(p *commonpb.Payloads, ptrs ...any) error {
	return fromPayloads(r, p, ptrs)
}

// toPayloads is ToPayloads by means of ToPayload.
func toPayloads(dc converter.DataConverter, values []any) (*commonpb.Payloads, error) {
	if len(values) == 0 {
		return nil, nil //nolint:nilnil // as the SDK's own converters do
	}
	all := &commonpb.Payloads{Payloads: make([]*commonpb.Payload, len(values))}
	for i, v := range values {
		var err error
		if all.Payloads[i], err = dc.ToPayload(v); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// fromPayloads is FromPayloads by means of FromPayload.
func fromPayloads(dc converter.DataConverter, p *commonpb.Payloads, ptrs []any) error {
	for i, payload := range p.GetPayloads()[:min(len(p.GetPayloads()), len(ptrs))] {
		if err := dc.FromPayload(payload, ptrs[i]); err != nil {
			return err
		}
	}
	return nil
}
