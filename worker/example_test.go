package worker_test

import (
	"context"
	"fmt"
	"log"
	"testing"
	"time"

	sdkactivity "go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	sdkworker "go.temporal.io/sdk/worker"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/worker"
)

// Printer is a service of its own.
type Printer struct{ address string }

// Print is what it does.
func (p *Printer) Print(_ context.Context, text string) (string, error) {
	return text + " on " + p.address, nil
}

var (
	printer = activity.Define[*Printer]("Printer", activity.Options{
		Retry: retrypolicy.Policy{NumRetries: 5}, CallTimeout: time.Minute, TaskQueue: "printers",
	})
	printIt = activity.Method(printer, "Print", (*Printer).Print)
)

// dial is client.Dial of the tests' server.
func dial() client.Client {
	c, err := testsuite.Server(exampleT{}).Dial(client.Options{Plugins: []client.Plugin{worker.Plugin()}})
	if err != nil {
		log.Fatal(err)
	}
	return c
}

// exampleT stands where a test would be.
type exampleT struct{ testing.TB }

func (exampleT) Helper()           {}
func (exampleT) Fatal(args ...any) { log.Fatal(args...) }

// A worker that hosts a definition. The client has the plugin too, so that calls
// from it bring their own numbers.
func ExampleNew() {
	c := dial() // client.Dial(client.Options{Plugins: []client.Plugin{worker.Plugin()}})
	defer c.Close()
	w := worker.New(c, "printers", worker.Options{})
	worker.Register(w, printer, &Printer{address: "10.0.0.7"})
	if err := w.Start(); err != nil { // or w.Run(worker.InterruptCh())
		log.Fatal(err)
	}
	defer w.Stop()

	fmt.Println(printIt.Run(context.Background(), c, "report"))
	// Output: report on 10.0.0.7 <nil>
}

// A worker of Temporal's that exists already gets policies for activities that are
// called as before, and hosts definitions.
func ExamplePlugin() {
	c := dial()
	defer c.Close()
	w := sdkworker.New(c, "print shop", sdkworker.Options{Plugins: []sdkworker.Plugin{
		worker.Plugin(
			worker.Policies{"Bind": {Retry: retrypolicy.Policy{NumRetries: 5}}},
			worker.Host(printer, &Printer{address: "10.0.0.8"}),
		),
	}})
	w.RegisterActivityWithOptions(func(context.Context, string) error { return nil }, sdkactivity.RegisterOptions{Name: "Bind"})
	if err := w.Start(); err != nil {
		log.Fatal(err)
	}
	defer w.Stop()

	here := activity.CallOptions{TaskQueue: "print shop"}
	fmt.Println(printIt.With(here).Run(context.Background(), c, "report"))
	// Output: report on 10.0.0.8 <nil>
}
