package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// event is what a line of the ledger tells.
type event string

const (
	evBegin   event = "begin"
	evEnd     event = "end" // of what the body holds
	evMisread event = "misread"
)

// line is one line of the ledger.
type line struct {
	Time          time.Time `json:"time"`
	PID           int       `json:"pid"`
	Event         event     `json:"event"`
	Call          string    `json:"call"`
	N             int       `json:"n"` // the attempt's number
	ServerAttempt int32     `json:"server_attempt"`
	Act           act       `json:"act"`
	Shape         string    `json:"shape"`
	Scope         string    `json:"scope,omitempty"`
	Key           string    `json:"key,omitempty"`
	Units         int       `json:"units,omitempty"`
	Note          string    `json:"note,omitempty"`
}

// ledger is the file that outlives every process. Processes append to it line
// by line, each in one write.
type ledger struct{ file *os.File }

func openLedger(path string) (*ledger, error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &ledger{file: f}, nil
}

// write appends a line. A body that cannot be counted must not run.
func (l *ledger) write(entry line) {
	entry.Time, entry.PID = time.Now(), os.Getpid()
	text, err := json.Marshal(entry)
	if err == nil {
		_, err = l.file.Write(append(text, '\n'))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos: the ledger:", err)
		os.Exit(exitBroken)
	}
}

// readLedger reads all lines. A file that is not there has none.
func readLedger(path string) ([]line, error) {
	content, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	var all []line
	for i, text := range bytes.Split(bytes.TrimSpace(content), []byte("\n")) {
		if len(text) == 0 {
			continue
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			return nil, fmt.Errorf("line %d of the ledger: %w", i+1, err)
		}
		all = append(all, l)
	}
	return all, nil
}
