package worker

import (
	"context"

	"go.temporal.io/sdk/worker"
)

// StopWorker implements Temporal's plugin: bodies in sessions get
// WorkerStopTimeout before the worker is stopped, and the others after that.
func (p *PluginSet) StopWorker(ctx context.Context, o worker.PluginStopWorkerOptions, next func(context.Context, worker.PluginStopWorkerOptions)) {
	defer p.host.FinishSessions()()
	p.SimplePlugin.StopWorker(ctx, o, next)
}
