package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/concurry-go/concurry/internal/activityhost"
	"github.com/concurry-go/concurry/internal/converters"
)

// know finds out what the worker that starts has of its client. It returns an
// error where the journal could not be encoded with that.
func know(host *activityhost.Host, registry any) error {
	parts, err := converters.OfWorker(registry)
	if err != nil {
		return fmt.Errorf("worker: %w: give the client the plugin too, as one of client.Options.Plugins", err)
	}
	nature := converters.NatureOf(parts.Data)
	if !nature.Raw {
		return fmt.Errorf("worker: DataConverter %s: it does not let a converter.RawValue pass, as Temporal asks of each, so that no journal could be kept: "+
			"give the client the plugin too, as one of client.Options.Plugins, which then sees to that", converters.Name(parts.Data))
	}
	if nature.Encodes && parts.Logger != nil && converters.Readable(parts.Failure) {
		parts.Logger.Warn("The client's DataConverter encodes values, but its FailureConverter does not: refused results, and the reasons of earlier attempts, " +
			"will be readable in the errors of calls. Give the client the plugin too, as one of client.Options.Plugins, which then sees to that, or a FailureConverter with the DataConverter.")
	}
	host.Parts = parts
	return nil
}

// configureClient makes a client's converter one that lets the journal pass, and
// that refused results in the details of errors pass too.
func configureClient(_ context.Context, o client.PluginConfigureClientOptions) error {
	if dc := o.ClientOptions.DataConverter; dc != nil {
		o.ClientOptions.DataConverter = converters.Tolerant(dc)
		if o.ClientOptions.FailureConverter == nil {
			o.ClientOptions.FailureConverter = converters.Failures(o.ClientOptions.DataConverter)
		}
	}
	return nil
}

// AdoptBefore brings policies to activities that are under way: those that were
// scheduled before t, and have been run without a policy until now, get their
// whole budget from the first attempt on that the worker governs. Give the time
// of the deploy that brings the policies.
//
// Without it the policy counts one attempt for an activity that comes to the
// worker again and left no journal, since the first server attempt of a governed one
// may have been lost. It counts none if the server says that the worker did not know
// the activity or could not read its arguments.
func AdoptBefore(t time.Time) Option {
	return option(func(h *activityhost.Host) error {
		if t.IsZero() {
			return errors.New("worker: AdoptBefore: the time is zero")
		}
		h.AdoptBefore = t
		return nil
	})
}
