package worker_test

import (
	"context"
	"log"
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"
	sdkworker "go.temporal.io/sdk/worker"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/worker"
)

// Printer is a service of its own.
type Printer struct{ address string }

// Print is what it does.
func (*Printer) Print(context.Context, string) (int, error) { return 1, nil }

func exampleDefinition() (*activity.Definition[*Printer], *activity.MethodHandle[*Printer, string, int]) {
	printer := activity.Define[*Printer]("Printer", activity.Options{
		Retry: retrypolicy.Policy{NumRetries: 5}, CallTimeout: time.Minute, TaskQueue: "printers",
	})
	return printer, activity.Method(printer, "Print", (*Printer).Print)
}

// A worker that hosts a definition. The client has the plugin too, so that calls
// from it bring their own numbers.
func ExampleNew() { //nolint:testableexamples // it needs a server
	printer, _ := exampleDefinition()
	c, err := client.Dial(client.Options{Plugins: []client.Plugin{worker.Plugin()}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	w := worker.New(c, "printers", worker.Options{}, worker.Observe(retrypolicy.LogTo(slog.Default())))
	worker.Register(w, printer, &Printer{address: "10.0.0.7"})
	if err := w.Run(worker.InterruptCh()); err != nil {
		log.Print(err)
	}
}

// A worker of Temporal's that exists already, and activities that are called as
// before.
func ExamplePlugin() { //nolint:testableexamples // it needs a server
	c, err := client.Dial(client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	w := sdkworker.New(c, "payments", sdkworker.Options{Plugins: []sdkworker.Plugin{
		worker.Plugin(worker.Policies{"Print": {Retry: retrypolicy.Policy{NumRetries: 5}}}),
	}})
	w.RegisterActivity(&Printer{})
	if err := w.Run(sdkworker.InterruptCh()); err != nil {
		log.Print(err)
	}
}
