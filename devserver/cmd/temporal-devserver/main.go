// Command temporal-devserver is a complete Temporal server for local work and
// tests: a drop-in for "temporal server start-dev" that is built from Go
// modules alone.
//
//	temporal-devserver server start-dev --port 7233 --db-filename my.db
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/concurry-go/concurry/devserver/internal/server"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "temporal-devserver:", err)
		os.Exit(1)
	}
}

func run(args []string, stdin io.Reader, stdout io.Writer) error {
	// Before anything else: a client can connect, and its owner can ask for
	// the end, while Start has not returned yet.
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)

	f, err := parse(args, stdout)
	if errors.Is(err, errAnswered) {
		return nil
	}
	if err != nil {
		return err
	}
	options, err := f.options()
	if err != nil {
		return err
	}
	parentGone := make(chan struct{})
	if f.exitWithParent {
		go func() {
			defer close(parentGone)
			_, _ = io.Copy(io.Discard, stdin)
		}()
	}
	srv, err := server.Start(options)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "Server:  %s:%d\n", options.IP, options.Port)
	if options.UIPort != 0 {
		fmt.Fprintf(stdout, "UI:      http://%s:%d%s\n", options.IP, options.UIPort, options.UIPublicPath)
	}
	fmt.Fprintf(stdout, "Metrics: http://%s:%d/metrics\n", options.IP, options.MetricsPort)
	select {
	case <-stop:
	case <-parentGone:
	}
	return srv.Stop()
}
