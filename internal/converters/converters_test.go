package converters_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"

	"github.com/concurry-go/concurry/internal/converters"
	"github.com/concurry-go/concurry/internal/wire"
)

// scratch is a converter written from scratch: it knows no raw values.
type scratch struct {
	marshal   func(any) ([]byte, error)
	unmarshal func([]byte, any) error
	secret    byte
}

func (s scratch) ToPayload(v any) (*commonpb.Payload, error) {
	data, err := s.marshal(v)
	for i := range data {
		data[i] ^= s.secret
	}
	return &commonpb.Payload{Metadata: map[string][]byte{"encoding": []byte("own")}, Data: data}, err
}

func (s scratch) FromPayload(p *commonpb.Payload, ptr any) error {
	data := bytes.Clone(p.GetData())
	for i := range data {
		data[i] ^= s.secret
	}
	return s.unmarshal(data, ptr)
}

func (s scratch) ToPayloads(all ...any) (*commonpb.Payloads, error) {
	payloads := &commonpb.Payloads{}
	for _, v := range all {
		p, err := s.ToPayload(v)
		if err != nil {
			return nil, err
		}
		payloads.Payloads = append(payloads.Payloads, p)
	}
	return payloads, nil
}

func (s scratch) FromPayloads(p *commonpb.Payloads, ptrs ...any) error {
	for i := range min(len(p.GetPayloads()), len(ptrs)) {
		if err := s.FromPayload(p.GetPayloads()[i], ptrs[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s scratch) ToString(p *commonpb.Payload) string     { return string(p.GetData()) }
func (s scratch) ToStrings(p *commonpb.Payloads) []string { return nil }

// lossy encodes a raw value as nothing, without an error.
func lossy(v any) ([]byte, error) {
	if _, ok := v.(converter.RawValue); ok {
		return []byte("{}"), nil
	}
	return json.Marshal(v)
}

func gobs() (func(any) ([]byte, error), func([]byte, any) error) {
	return func(v any) ([]byte, error) {
			var b bytes.Buffer
			err := gob.NewEncoder(&b).Encode(v)
			return b.Bytes(), err
		}, func(data []byte, ptr any) error {
			return gob.NewDecoder(bytes.NewReader(data)).Decode(ptr)
		}
}

// xor is a codec that is its own inverse.
type xor struct{ fails *error }

func (x xor) Encode(all []*commonpb.Payload) ([]*commonpb.Payload, error) {
	if x.fails != nil && *x.fails != nil {
		return nil, *x.fails
	}
	out := make([]*commonpb.Payload, len(all))
	for i, p := range all {
		data, err := proto.Marshal(p)
		if err != nil {
			return nil, err
		}
		for i := range data {
			data[i] ^= 0x5a
		}
		out[i] = &commonpb.Payload{Metadata: map[string][]byte{"encoding": []byte("binary/xor")}, Data: data}
	}
	return out, nil
}

func (x xor) Decode(all []*commonpb.Payload) ([]*commonpb.Payload, error) {
	if x.fails != nil && *x.fails != nil {
		return nil, *x.fails
	}
	out := make([]*commonpb.Payload, len(all))
	for i, p := range all {
		if string(p.GetMetadata()["encoding"]) != "binary/xor" {
			out[i] = p
			continue
		}
		data := bytes.Clone(p.GetData())
		for i := range data {
			data[i] ^= 0x5a
		}
		out[i] = &commonpb.Payload{}
		if err := proto.Unmarshal(data, out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func all() map[string]converter.DataConverter {
	marshal, unmarshal := gobs()
	return map[string]converter.DataConverter{
		"default":              converter.GetDefaultDataConverter(),
		"codec":                converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), xor{}),
		"two codecs":           converter.NewCodecDataConverter(converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), xor{}), converter.NewZlibCodec(converter.ZlibCodecOptions{AlwaysEncode: true})),
		"embedded":             struct{ converter.DataConverter }{converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), xor{})},
		"scratch, JSON":        scratch{json.Marshal, json.Unmarshal, 0},
		"scratch, gob":         scratch{marshal, unmarshal, 0},
		"scratch, lossy":       scratch{lossy, json.Unmarshal, 0},
		"scratch, encrypted":   scratch{json.Marshal, json.Unmarshal, 0x33},
		"scratch, in a codec":  converter.NewCodecDataConverter(scratch{json.Marshal, json.Unmarshal, 0}, xor{}),
		"scratch with pointer": &scratch{json.Marshal, json.Unmarshal, 0},
	}
}

type order struct {
	ID   string
	Tags []string
}

// What a heartbeat carries, on its way to the server and back: the user's
// details and a document of ours, each as a raw value.
func TestEveryConverterCarriesDocumentsAndTheUsersOwn(t *testing.T) {
	t.Parallel()
	for name, dc := range all() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dc := converters.Tolerant(dc)
			sent := order{"7", []string{"a"}}
			user, err := converters.Plain(dc).ToPayload(sent)
			require.NoError(t, err)
			ours, err := wire.Seal(wire.Journal, map[string]int{"started": 3})
			require.NoError(t, err)

			for range 3 { // again and again, as heartbeats do
				onTheWire, err := dc.ToPayloads(converter.NewRawValue(user), converter.NewRawValue(ours))
				require.NoError(t, err)
				var got order
				require.NoError(t, dc.FromPayloads(onTheWire, &got), "a raw reader sees his own")
				assert.Equal(t, sent, got)

				var first, second converter.RawValue
				require.NoError(t, dc.FromPayloads(onTheWire, &first, &second))
				user, ours = first.Payload(), second.Payload()
				require.True(t, wire.Is(wire.Journal, ours))
				require.False(t, wire.Ours(user))
				var journal map[string]int
				require.NoError(t, wire.Open(wire.Journal, ours, &journal))
				assert.Equal(t, 3, journal["started"])
				got = order{}
				require.NoError(t, converters.Plain(dc).FromPayload(user, &got))
				assert.Equal(t, sent, got)
			}
		})
	}
}

func TestDocumentsAreNobodyElsesValues(t *testing.T) {
	t.Parallel()
	ours, err := wire.Seal(wire.Journal, map[string]int{"Done": 3})
	require.NoError(t, err)
	for name, dc := range all() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dc := converters.Tolerant(dc)
			p, err := dc.ToPayload(converter.NewRawValue(ours))
			require.NoError(t, err)
			var progress struct{ Done int }
			require.Error(t, dc.FromPayload(p, &progress))
			assert.Zero(t, progress)
		})
	}
}

func TestDocumentsPassTheCodecOfAConverterFromScratch(t *testing.T) {
	t.Parallel()
	dc := converters.Tolerant(scratch{json.Marshal, json.Unmarshal, 0x33})
	ours, err := wire.Seal(wire.Journal, "secret")
	require.NoError(t, err)
	p, err := dc.ToPayload(converter.NewRawValue(ours))
	require.NoError(t, err)
	assert.NotContains(t, string(p.GetData()), "secret")
}

func TestPlainValuesHaveNoCodec(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"default", "codec", "two codecs", "embedded"} {
		p, err := converters.Plain(all()[name]).ToPayload("x")
		require.NoError(t, err)
		assert.Equal(t, `"x"`, string(p.GetData()), name)
	}
}

func TestConvertersThatDoAsTheyShouldStayAsTheyAre(t *testing.T) {
	t.Parallel()
	down := errors.New("kms: connection refused")
	for name, dc := range map[string]converter.DataConverter{
		"default":               converter.GetDefaultDataConverter(),
		"codec":                 all()["codec"],
		"fails for the moment":  converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), xor{&down}),
		"embeds one that is ok": all()["embedded"],
	} {
		assert.Equal(t, dc, converters.Tolerant(dc), name)
	}
	n := converters.NatureOf(all()["codec"])
	assert.Equal(t, converters.Nature{Raw: true, Encodes: true}, n)
	assert.Equal(t, converters.Nature{Raw: true}, converters.NatureOf(converter.GetDefaultDataConverter()))
	assert.Zero(t, converters.NatureOf(all()["scratch, lossy"]))
	assert.True(t, converters.NatureOf(converters.Tolerant(all()["scratch, lossy"])).Raw)
	assert.Zero(t, converters.NatureOf(scratch{func(v any) ([]byte, error) {
		if _, ok := v.(converter.RawValue); ok {
			panic("not mine")
		}
		return []byte(fmt.Sprint(v)), nil
	}, json.Unmarshal, 0}))
}
