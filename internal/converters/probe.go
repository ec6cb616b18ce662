package converters

import (
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"

	"github.com/concurry-go/concurry/internal/wire"
)

// Nature is what is found out about a converter by trying it.
type Nature struct {
	// Raw reports that raw values pass it, as Temporal asks of every
	// DataConverter, or at least documents of ours. Those written from scratch
	// need not let them: see Tolerant.
	Raw bool
	// Encodes reports that it has a codec: for encryption, or compression.
	Encodes bool
}

// NatureOf tries dc with two small values. One that fails with any value may do
// so for a moment only, as with a key service that cannot be reached; it counts
// as one that does as it should.
func NatureOf(dc converter.DataConverter) Nature {
	if _, ok := dc.(*converter.CompositeDataConverter); ok {
		return Nature{Raw: true}
	}
	probe, err := wire.Seal(wire.Journal, "probe")
	if err != nil {
		return Nature{}
	}
	encoded, back, err := passes(dc, probe)
	if err == nil && proto.Equal(probe, back) {
		return Nature{Raw: true, Encodes: !proto.Equal(probe, encoded)}
	}
	if _, other := safely(func() (*commonpb.Payload, error) { return dc.ToPayload("probe") }); other != nil {
		return Nature{Raw: true, Encodes: true}
	}
	return Nature{}
}

// passes sends a raw value through dc and back.
func passes(dc converter.DataConverter, p *commonpb.Payload) (encoded, back *commonpb.Payload, err error) {
	encoded, err = safely(func() (*commonpb.Payload, error) { return dc.ToPayload(converter.NewRawValue(p)) })
	if err != nil || encoded == nil {
		return nil, nil, err
	}
	var raw converter.RawValue
	_, err = safely(func() (*commonpb.Payload, error) { return nil, dc.FromPayload(encoded, &raw) })
	return encoded, raw.Payload(), err
}
