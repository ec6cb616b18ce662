package fire

import (
	"errors"
	"os"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
)

// The worker's codec fails for a while, as one does whose key service is down.
const (
	decodeFails event = "codec fails to decode"
	encodeFails event = "codec fails to encode"
	codecFails  event = "codec fails"
	keyFails    event = "codec fails to decode what workers have encoded"
)

// codecDown is how long it does.
const codecDown = 1500 * time.Millisecond

// codecCells are calls that go on when the codec does, as an activity without a
// policy of ours would: a server attempt that started no body does not count.
func codecCells(retries int) []cell {
	var all []cell
	for _, e := range []event{decodeFails, encodeFails, codecFails} {
		for _, p := range []phase{beforeFirst, whileBodyRuns, whileWaitingHere, whileWaitingServer} {
			waits := p == whileWaitingHere || p == whileWaitingServer
			if waits && retries == 0 || p == beforeFirst && e == encodeFails {
				continue
			}
			all = append(all, cell{event: e, phase: p, retries: retries, bodies: retries + 1, ending: endsBurnt})
		}
	}
	if retries > 0 { // arguments can be read, and the journal cannot
		all = append(all, cell{event: keyFails, phase: whileWaitingServer, retries: retries, bodies: retries + 1, ending: endsBurnt})
	}
	return all
}

func codecScripts() map[event]script {
	one := func(fault codecFault) script {
		return script{
			prepare: func(c *cell, s *setup) { prepareCodec(c, s, fault) },
			arm: func(f *field) {
				if f.phase == beforeFirst {
					touch(f.setup.Broken)
				}
			},
			strike: (*field).breakCodec,
		}
	}
	return map[event]script{decodeFails: one(failsDecode), encodeFails: one(failsEncode), codecFails: one(failsBoth), keyFails: one(failsOwn)}
}

// prepareCodec makes waits that leave server attempts for a codec that is well
// again: Temporal counts those that could not read their arguments.
func prepareCodec(c *cell, s *setup, fault codecFault) {
	s.Codec, s.Body, s.Wait = fault, bodyFails, 400*time.Millisecond
	switch c.phase {
	case whileBodyRuns:
		s.Body = bodyGated
	case whileWaitingServer:
		s.InPlace = -1
	}
}

// breakCodec breaks the codec in the cell's phase, and mends it.
func (f *field) breakCodec() {
	if f.phase != beforeFirst {
		f.seen(f.setup.Ledger, "the first body never started")
		touch(f.setup.Broken)
	}
	f.free() // what waits for it must end while the codec is broken
	time.Sleep(codecDown)
	require.NoError(f, os.Remove(f.setup.Broken))
}

// codecFault is what a codec cannot do while it fails.
type codecFault string

const (
	failsDecode codecFault = "decode"
	failsEncode codecFault = "encode"
	failsBoth   codecFault = "both"
	failsOwn    codecFault = "own" // to decode what workers have encoded
)

// converter is the setup's data converter, as of a client with a key service.
func (s *setup) converter() converter.DataConverter {
	if s.Codec == "" {
		return nil
	}
	return converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), &codec{setup: s})
}

// codec hides payloads in others of its own encoding.
type codec struct{ setup *setup }

const (
	encodingKey = "encoding"
	hidden      = "binary/fire"
	byKey       = "by"
	byWorker    = "worker"
)

var errKeys = errors.New("keys: connection refused")

// Encode implements converter.PayloadCodec.
func (c *codec) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	if c.fails(failsEncode) {
		return nil, errKeys
	}
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		data, err := p.Marshal()
		if err != nil {
			return nil, err
		}
		out[i] = &commonpb.Payload{Metadata: map[string][]byte{encodingKey: []byte(hidden)}, Data: data}
		if inWorker() {
			out[i].Metadata[byKey] = []byte(byWorker)
		}
	}
	return out, nil
}

// Decode implements converter.PayloadCodec.
func (c *codec) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	if c.fails(failsDecode) {
		return nil, errKeys
	}
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		out[i] = p
		if string(p.GetMetadata()[encodingKey]) != hidden {
			continue
		}
		if string(p.GetMetadata()[byKey]) == byWorker && c.fails(failsOwn) {
			return nil, errKeys
		}
		out[i] = &commonpb.Payload{}
		if err := out[i].Unmarshal(p.GetData()); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// fails reports whether it does, in a worker. The caller's keys are always there.
func (c *codec) fails(what codecFault) bool {
	return inWorker() && (c.setup.Codec == what || c.setup.Codec == failsBoth) && exists(c.setup.Broken)
}

func inWorker() bool { return os.Getenv(envWorker) != "" }
