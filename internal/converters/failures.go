package converters

import (
	"context"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/proto"

	"github.com/concurry-go/concurry/internal/wire"
)

// Failures is Temporal's default failure converter, such that what concurry puts
// into the details of an error passes dc, codec and all: refused results, and what
// earlier attempts left. The default would leave them readable. Messages, and the
// details of other errors, are as the default makes them.
func Failures(dc converter.DataConverter) converter.FailureConverter {
	return temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{DataConverter: &details{converter.GetDefaultDataConverter(), dc}})
}

// Readable reports whether what concurry puts into the details of an error stays
// readable with f.
func Readable(f converter.FailureConverter) bool {
	probe, err := wire.Seal(wire.Refusals, "probe")
	if err != nil {
		return false
	}
	sent, err := safely(func() (*commonpb.Payload, error) {
		failure := f.ErrorToFailure(temporal.NewApplicationError("", "", converter.NewRawValue(probe)))
		payloads := failure.GetApplicationFailureInfo().GetDetails().GetPayloads()
		if len(payloads) != 1 {
			return nil, nil //nolint:nilnil // it is gone
		}
		return payloads[0], nil
	})
	return err == nil && proto.Equal(probe, sent)
}

// details is Temporal's converter for the details of errors, and users for what is
// concurry's among them, or not Temporal's at all.
type details struct {
	converter.DataConverter
	users converter.DataConverter
}

// ToPayload implements converter.DataConverter.
func (d *details) ToPayload(value any) (*commonpb.Payload, error) {
	raw, ok := value.(converter.RawValue)
	if !ok || raw.Payload() == nil || !wire.Ours(raw.Payload()) && wire.Known(raw.Payload().GetMetadata()) {
		return d.DataConverter.ToPayload(value)
	}
	// The SDK panics on an error, after which nobody is told of the activity's end.
	for try := 1; ; try++ {
		p, err := safely(func() (*commonpb.Payload, error) { return d.users.ToPayload(value) })
		if err == nil {
			return p, nil
		}
		if try == encodeTries {
			return d.DataConverter.ToPayload("not encoded: " + wire.Cut(err.Error(), wire.MaxReason))
		}
		time.Sleep(encodePause)
	}
}

const (
	encodeTries = 3
	encodePause = 100 * time.Millisecond
)

// FromPayload implements converter.DataConverter.
func (d *details) FromPayload(p *commonpb.Payload, ptr any) error {
	if p == nil || wire.Known(p.GetMetadata()) && !wire.Ours(p) {
		return d.DataConverter.FromPayload(p, ptr)
	}
	_, err := safely(func() (*commonpb.Payload, error) { return nil, d.users.FromPayload(p, ptr) })
	if err != nil && wire.Ours(p) { // of a worker that encodes nothing
		return d.DataConverter.FromPayload(p, ptr)
	}
	return err
}

// ToPayloads implements converter.DataConverter.
func (d *details) ToPayloads(values ...any) (*commonpb.Payloads, error) { return toPayloads(d, values) }

// FromPayloads implements converter.DataConverter.
func (d *details) FromPayloads(p *commonpb.Payloads, ptrs ...any) error {
	return fromPayloads(d, p, ptrs)
}

// WithSerializationContext implements converter.DataConverterWithSerializationContext.
func (d *details) WithSerializationContext(c converter.SerializationContext) converter.DataConverter {
	return &details{d.DataConverter, converter.WithDataConverterSerializationContext(d.users, c)}
}

// WithContext implements converter.ContextAware.
func (d *details) WithContext(ctx context.Context) converter.DataConverter {
	if aware, ok := d.users.(converter.ContextAware); ok {
		return &details{d.DataConverter, aware.WithContext(ctx)}
	}
	return d
}

// WithWorkflowContext implements converter.ContextAware.
func (d *details) WithWorkflowContext(ctx workflow.Context) converter.DataConverter {
	if aware, ok := d.users.(converter.ContextAware); ok {
		return &details{d.DataConverter, aware.WithWorkflowContext(ctx)}
	}
	return d
}
