package server

import (
	"sync/atomic"

	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/log/tag"
)

// Logger is the server's own logger with a switch: a server that shuts down
// reports every stream its services lose, with stack traces.
type Logger struct {
	next   log.Logger
	silent atomic.Bool
}

var _ log.Logger = (*Logger)(nil)

// NewLogger writes to standard error. Levels are debug, info, warn, error,
// fatal; the format is "json" or "pretty" (console).
func NewLogger(level, format string) *Logger {
	encoding := "console"
	if format == "json" {
		encoding = "json"
	}
	return &Logger{next: log.NewZapLogger(log.BuildZapLogger(log.Config{Level: level, Format: encoding}))}
}

// Silence drops everything below fatal from now on.
func (l *Logger) Silence() { l.silent.Store(true) }

// Debug implements log.Logger.
func (l *Logger) Debug(msg string, tags ...tag.Tag) {
	if !l.silent.Load() {
		l.next.Debug(msg, tags...)
	}
}

// Info implements log.Logger.
func (l *Logger) Info(msg string, tags ...tag.Tag) {
	if !l.silent.Load() {
		l.next.Info(msg, tags...)
	}
}

// Warn implements log.Logger.
func (l *Logger) Warn(msg string, tags ...tag.Tag) {
	if !l.silent.Load() {
		l.next.Warn(msg, tags...)
	}
}

// Error implements log.Logger.
func (l *Logger) Error(msg string, tags ...tag.Tag) {
	if !l.silent.Load() {
		l.next.Error(msg, tags...)
	}
}

// DPanic implements log.Logger.
func (l *Logger) DPanic(msg string, tags ...tag.Tag) { l.next.DPanic(msg, tags...) }

// Panic implements log.Logger.
func (l *Logger) Panic(msg string, tags ...tag.Tag) { l.next.Panic(msg, tags...) }

// Fatal implements log.Logger.
func (l *Logger) Fatal(msg string, tags ...tag.Tag) { l.next.Fatal(msg, tags...) }
