package main

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	if setup := os.Getenv(envWorker); setup != "" {
		os.Exit(workerMain(setup))
	}
	os.Exit(m.Run())
}

// The whole program, for a short time.
func TestPromisesHoldUnderFaults(t *testing.T) {
	o := options{seed: 1, length: 40 * time.Second, settle: 2 * time.Minute, calls: 100, workers: 4}
	if testing.Short() {
		o.length, o.calls, o.workers = 8*time.Second, 40, 3
	}
	violations, err := chaos(t.Context(), o, t.Output())
	require.NoError(t, err)
	if n := len(violations); n > 0 {
		t.Errorf("%d promises were broken", n)
	}
}

// Without faults it is the checks themselves that are tested.
func TestPromisesHoldInACalm(t *testing.T) {
	o := options{seed: 2, length: 5 * time.Second, settle: time.Minute, calls: 20, workers: 2, without: []string{allFaults}}
	violations, err := chaos(t.Context(), o, t.Output())
	require.NoError(t, err)
	if n := len(violations); n > 0 {
		t.Errorf("%d promises were broken", n)
	}
}
