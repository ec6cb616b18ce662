package enginetest

import (
	"go.temporal.io/sdk/client"
	sdkworker "go.temporal.io/sdk/worker"

	"github.com/concurry-go/concurry/worker"
)

// Maker makes a worker that governs the activity "Do".
type Maker func(c client.Client, queue string, o sdkworker.Options) sdkworker.Worker

// Ours is a Maker of concurry's own worker.
func Ours(c client.Client, queue string, o sdkworker.Options) sdkworker.Worker {
	return worker.New(c, queue, o, worker.Policies{"Do": {}})
}

// Interrupted is a Maker of one that runs by Run, which Stop interrupts.
func Interrupted(c client.Client, queue string, o sdkworker.Options) sdkworker.Worker {
	return &interrupted{Ours(c, queue, o), make(chan any), make(chan error, 1)}
}

type interrupted struct {
	sdkworker.Worker
	interrupt chan any
	over      chan error
}

// Start implements worker.Worker of Temporal's.
func (i *interrupted) Start() error {
	go func() { i.over <- i.Run(i.interrupt) }()
	return nil
}

// Stop implements worker.Worker of Temporal's. It panics with an error of Run.
func (i *interrupted) Stop() {
	var err error
	select {
	case i.interrupt <- "stop":
		err = <-i.over
	case err = <-i.over: // it has never run
	}
	if err != nil {
		panic(err)
	}
}
