package activityhost

import (
	"context"
	"errors"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/internal/engine"
	"github.com/concurry-go/concurry/internal/wire"
)

// isVerdict reports whether err is an answer after which this server attempt is
// over.
func isVerdict(err error) bool {
	if err == nil {
		return false
	}
	return temporal.IsCanceledError(err) || errors.Is(err, activity.ErrActivityPaused) ||
		errors.Is(err, activity.ErrActivityReset) || isGone(err)
}

// relay lets the SDK hear the verdict itself: only then does it end the
// activity's context with the right cause, and report a cancellation as one. Its own
// request can get lost; then the next verdict is relayed.
func (h *heartbeat) relay(ctx context.Context, user []*commonpb.Payload, j *engine.Journal) {
	if ctx.Err() == nil {
		h.out.RecordHeartbeat(ctx, rawValues(user, j)...)
	}
}

// rawValues are the user's details and the journal for a converter.
func rawValues(user []*commonpb.Payload, j *engine.Journal) []any {
	details := make([]any, 0, len(user)+1)
	for _, p := range user {
		details = append(details, converter.NewRawValue(p))
	}
	if p, err := wire.Seal(wire.Journal, j.Document()); err == nil {
		details = append(details, converter.NewRawValue(p))
	}
	return details
}
