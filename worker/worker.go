package worker

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/internal/chain"
	"github.com/concurry-go/concurry/internal/hosting"
)

// Options are Temporal's worker options. WorkerStopTimeout is 10 seconds where
// it is zero, so that bodies have time to finish at a deploy.
type Options = worker.Options

// Worker is a Temporal worker that hosts definitions. Everything of Temporal's
// worker is there: RegisterWorkflow, RegisterActivity and the others. Register
// definitions before Start; then it is safe for concurrent use.
type Worker struct {
	worker.Worker
	plugin *PluginSet

	mu            sync.Mutex
	registrations []*hosting.Registration
	started       bool
}

// New makes a worker that polls taskQueue, refined by Observe, Policies and
// the like. Mistakes in these and in registrations are told by Start and Run,
// before anything is polled.
func New(c client.Client, taskQueue string, options Options, refine ...Option) *Worker {
	w := &Worker{}
	base := &PluginSet{}
	for _, p := range options.Plugins {
		if set, ok := p.(*PluginSet); ok {
			base = set
		}
	}
	var err error
	if w.plugin, err = base.fresh(refine); err != nil {
		w.add(hosting.Broken(err))
		w.plugin = Plugin()
	}
	options.Plugins = slices.DeleteFunc(slices.Clone(options.Plugins), func(p worker.Plugin) bool {
		_, ok := p.(*PluginSet)
		return ok
	})
	options.Plugins = append(options.Plugins, w.plugin)
	if err := checkOptions(&options, w.plugin.host); err != nil {
		w.add(hosting.Broken(err))
		options.EnableSessionWorker, options.MaxConcurrentActivityExecutionSize = false, 0
	}
	w.Worker = worker.New(c, taskQueue, options)
	return w
}

// Register hosts a definition: impl serves the calls, all of them at once, so
// its methods must be safe for concurrent use.
func Register[S any](w *Worker, d *activity.Definition[S], impl S) {
	if d == nil {
		w.add(hosting.Broken(errors.New("worker: Register: the definition is nil")))
		return
	}
	w.add(d.Bind(impl))
}

// RegisterFunc hosts a function declared by activity.Func.
func RegisterFunc[In, Out any](w *Worker, h *activity.FuncHandle[In, Out]) {
	if h == nil {
		w.add(hosting.Broken(errors.New("worker: RegisterFunc: the function handle is nil")))
		return
	}
	w.add(h.Bind())
}

func (w *Worker) add(r *hosting.Registration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.started {
		panic(fmt.Sprintf("worker: %s is registered after Start", r.Name))
	}
	w.registrations = append(w.registrations, r)
}

// Start starts polling. It returns an error that names every registration
// that is incomplete or wrong, and then polls nothing.
func (w *Worker) Start() error {
	if err := w.complete(); err != nil {
		return err
	}
	return w.Worker.Start()
}

// Run is Start, waiting for interruptCh, and Stop.
func (w *Worker) Run(interruptCh <-chan any) error {
	if err := w.complete(); err != nil {
		return err
	}
	return w.Worker.Run(interruptCh)
}

// complete hands the registrations to Temporal, once.
func (w *Worker) complete() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.started {
		return nil
	}
	if err := hosting.Apply(w.registrations, w.Worker, w.plugin.host); err != nil {
		return chain.Each(err, prefixed)
	}
	w.started = true
	return nil
}

// prefixed is err with this package's name, once.
func prefixed(err error) error {
	if strings.HasPrefix(err.Error(), "worker: ") {
		return err
	}
	return fmt.Errorf("worker: %w", err)
}

// InterruptCh is closed by an interrupt or a termination signal.
func InterruptCh() <-chan any { return worker.InterruptCh() }
