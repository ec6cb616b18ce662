package main

import (
	"log/slog"

	"go.temporal.io/sdk/log"
)

// quiet is a logger for what a benchmark provokes on purpose.
func quiet() log.Logger { return log.NewStructuredLogger(slog.New(slog.DiscardHandler)) }
