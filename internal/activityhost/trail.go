package activityhost

import (
	"context"
	"maps"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"

	"github.com/concurry-go/concurry/internal/converters"
	"github.com/concurry-go/concurry/internal/engine"
	"github.com/concurry-go/concurry/internal/wire"
)

const (
	// TrailKey is where a result's metadata have the trail.
	TrailKey = "concurry-trail"
	// maxSteps and maxStepReason bound a trail to a few kilobytes.
	maxSteps, maxStepReason = 20, 200
)

// trailOf is nil for a call that has nothing to tell.
func trailOf(j *engine.Journal) *wire.CallTrail {
	if len(j.Outcomes) == 0 {
		return nil
	}
	t := &wire.CallTrail{Attempts: j.Started, LeftOut: j.LeftOut}
	over := max(len(j.Outcomes)-maxSteps, 0)
	t.LeftOut += over
	for _, o := range j.Outcomes[over:] {
		t.Outcomes = append(t.Outcomes, wire.Step{
			Attempt: o.Number, Verdict: o.Verdict, Reason: wire.Cut(o.Reason, maxStepReason),
			ErrorType: wire.Cut(o.ErrorType, maxStepReason), Wait: o.Wait,
		})
	}
	return t
}

// trail is what the call's end tells of its attempts; nil for nothing.
func (e *execution) trail() *commonpb.Payload {
	j := e.heart.view()
	t := trailOf(&j)
	if t == nil {
		return nil
	}
	p, err := wire.Seal(wire.Trail, t)
	if err != nil {
		return nil
	}
	return p
}

// accept is what a server attempt returns with an accepted result.
func (e *execution) accept(ctx context.Context, out any) (any, error) {
	if e.host.Simulated != Real && out != nil {
		// The environment would retry what a server has ended; see unencodable.
		if _, err := e.bound(ctx, serializationOf(&e.info)).ToPayloads(out); err != nil {
			return nil, e.end(ctx, err)
		}
	}
	out = e.withTrail(ctx, out)
	if ctx.Err() == nil || e.canceled(ctx) {
		return out, nil
	}
	server := e.heart.to(ctx)
	if server == nil || e.info.IsLocalActivity {
		return out, nil
	}
	// The worker has stopped: the SDK would send a failure in place of anything
	// that has payloads.
	if err := complete(ctx, server, out); err != nil {
		return out, nil //nolint:nilerr // so the SDK tries
	}
	return nil, activity.ErrResultPending
}

// complete sends an accepted result.
func complete(ctx context.Context, server *requests, out any) error {
	result, encoded := out.(*commonpb.Payloads)
	if !encoded && out != nil {
		var err error
		if result, err = server.data.ToPayloads(out); err != nil {
			return err
		}
	}
	request, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout/3)
	defer cancel()
	return server.complete(request, result)
}

// withTrail is an accepted result that tells of the attempts before it: encoded as
// the SDK would, with the trail in its metadata, under the codec. A call that
// succeeded at once has none, and its result is as it was.
func (e *execution) withTrail(ctx context.Context, out any) any {
	if out == nil || e.info.IsLocalActivity {
		return out
	}
	trail := e.trail()
	if trail == nil {
		return out
	}
	server := e.heart.to(ctx)
	if server == nil {
		return out
	}
	data := server.data
	whole, err := data.ToPayloads(out)
	if err != nil || len(whole.GetPayloads()) != 1 {
		return out // the SDK says what is wrong with it
	}
	var raw converter.RawValue
	if err := data.FromPayload(whole.GetPayloads()[0], &raw); err != nil || raw.Payload() == nil || converters.AsIs(raw.Payload()) {
		return out
	}
	metadata := maps.Clone(raw.Payload().GetMetadata())
	metadata[TrailKey] = trail.GetData()
	told, err := data.ToPayload(converter.NewRawValue(&commonpb.Payload{
		Metadata: metadata, Data: raw.Payload().GetData(), ExternalPayloads: raw.Payload().GetExternalPayloads(),
	}))
	if err != nil {
		return out
	}
	return &commonpb.Payloads{Payloads: []*commonpb.Payload{told}}
}
