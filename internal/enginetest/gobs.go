package enginetest

import (
	"bytes"
	"encoding/gob"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
)

// Gobs is a PayloadConverter of everything to encoding/gob, which keeps what JSON
// drops.
type Gobs struct{}

const gobEncoding = "binary/gob"

// ToPayload implements converter.PayloadConverter.
func (Gobs) ToPayload(v any) (*commonpb.Payload, error) {
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(v)
	return &commonpb.Payload{Metadata: map[string][]byte{converter.MetadataEncoding: []byte(gobEncoding)}, Data: b.Bytes()}, err
}

// FromPayload implements converter.PayloadConverter.
func (Gobs) FromPayload(p *commonpb.Payload, ptr any) error {
	return gob.NewDecoder(bytes.NewReader(p.GetData())).Decode(ptr)
}

// ToString implements converter.PayloadConverter.
func (Gobs) ToString(*commonpb.Payload) string { return "gob" }

// Encoding implements converter.PayloadConverter.
func (Gobs) Encoding() string { return gobEncoding }
