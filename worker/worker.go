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
	"github.com/concurry-go/concurry/internal/registration"
)

// Options are Temporal's worker options. WorkerStopTimeout is 10 seconds where
// it is zero, so that bodies have time to finish at a deploy.
type Options = worker.Options

// temporalWorker is embedded without its name: methods that this package does
// more in are not to be passed by.
type temporalWorker = worker.Worker

// Worker is a Temporal worker that hosts definitions. Everything of Temporal's
// worker is there: it is a worker.Worker of Temporal's, with RegisterWorkflow,
// RegisterActivity and the others. Register definitions before Start; then it is
// safe for concurrent use.
type Worker struct {
	temporalWorker
	hosted *hosted

	mu            sync.Mutex
	registrations []*registration.Registration
	started       bool
}

// New returns a worker that polls taskQueue, refined by [Observe], [Policies] and the
// like. It does not fail: Start and Run return an error for invalid options or
// registrations before the worker polls.
func New(c client.Client, taskQueue string, options Options, refine ...Option) *Worker {
	w := &Worker{}
	base := &PluginSet{}
	for _, p := range options.Plugins {
		if set, ok := p.(*PluginSet); ok {
			base = set
		}
	}
	plugin, err := base.fresh(refine)
	if err != nil {
		w.add(registration.Broken(err))
		plugin = Plugin()
	}
	options.Plugins = slices.DeleteFunc(slices.Clone(options.Plugins), func(p worker.Plugin) bool {
		_, ok := p.(*PluginSet)
		return ok
	})
	options.Plugins = append(options.Plugins, plugin)
	if err := checkTaskQueue(taskQueue); err != nil {
		w.add(registration.Broken(err))
		taskQueue = "none" // it is never polled
	}
	if err := plugin.check(&options); err != nil {
		w.add(registration.Broken(err))
		options.EnableSessionWorker = false
		options.MaxConcurrentActivityExecutionSize, options.MaxConcurrentWorkflowTaskExecutionSize = 0, 0
	}
	w.temporalWorker = worker.New(c, taskQueue, options)
	w.hosted = plugin.sole()
	return w
}

// reserved begins the names of Temporal's own task queues.
const reserved = "/_sys/"

func checkTaskQueue(name string) error {
	switch {
	case name == "":
		return errors.New(`worker: New: taskQueue "": must not be empty`)
	case strings.HasPrefix(name, reserved):
		return fmt.Errorf("worker: New: taskQueue %q: must not begin with %s, as Temporal's own do", name, reserved)
	default:
		return nil
	}
}

// Register hosts a definition: impl serves the calls, all of them at once, so
// its methods must be safe for concurrent use.
func Register[S any](w *Worker, d *activity.Definition[S], impl S) {
	if d == nil {
		w.add(registration.Broken(errors.New("worker: Register: the definition is nil")))
		return
	}
	w.add(registration.Bind(d, impl))
}

// RegisterFunc hosts a function declared by activity.Func.
func RegisterFunc[In, Out any](w *Worker, h *activity.FuncHandle[In, Out]) {
	if h == nil {
		w.add(registration.Broken(errors.New("worker: RegisterFunc: the function handle is nil")))
		return
	}
	w.add(registration.Bind(h, nil))
}

func (w *Worker) add(r *registration.Registration) {
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
	return w.temporalWorker.Start()
}

// Run starts the worker, waits for interruptCh, and stops the worker. It returns the
// error with which the worker has stopped by itself, if it has.
func (w *Worker) Run(interruptCh <-chan any) error {
	if err := w.complete(); err != nil {
		return err
	}
	over, closed := make(chan struct{}), make(chan any, 1)
	defer close(over)
	go func() {
		select {
		case signal := <-interruptCh:
			w.hosted.close()
			closed <- signal
		case <-over:
		}
	}()
	return w.temporalWorker.Run(closed)
}

// Stop stops the worker, and waits until it has. It takes no new tasks, leaves
// its open polls to bring theirs, runs what has come, and gives bodies
// WorkerStopTimeout to end. Temporal's own Stop drops what a poll brings in the
// moment of its closing: the server has started that task then, notices a heartbeat
// or start-to-close timeout later that nobody runs it, and counts an attempt.
//
// A queue that has brought no task for 0.8 s is taken to be empty, and its polls
// are closed. A task that comes in the milliseconds of that is still lost, unless
// the server completes polls at a worker's shutdown itself (the namespace
// capability WorkerPollCompleteOnShutdown). Workers of Temporal's own that have
// the plugin stop in the same way, but for their workflow tasks: the SDK tells the
// server to drop the worker's sticky queue before the plugin is asked.
//
// Stop may be called more than once, and from several goroutines.
func (w *Worker) Stop() {
	w.hosted.close()
	w.temporalWorker.Stop()
}

// complete hands the registrations to Temporal, once.
func (w *Worker) complete() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.started {
		return nil
	}
	if err := registration.Apply(w.registrations, w.temporalWorker, w.hosted.host); err != nil {
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

// InterruptCh returns a channel that is closed by an interrupt or a termination
// signal.
func InterruptCh() <-chan any { return worker.InterruptCh() }
