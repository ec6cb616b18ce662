package fire

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/worker"
)

// unit is what attempts require of the limit.
const unit = "room"

// room is the limit of a worker process that takes its one unit itself, so that
// the call waits: from the start if the call has no retries, else from the end
// of its first body on.
type room struct {
	setup *setup
	sets  limits.Sets
}

func newRoom(w *worker.Worker, d definition, s *setup) (*room, error) {
	sets, err := worker.Limits(w, d.Definition)
	if err != nil {
		return nil, err
	}
	r := &room{setup: s, sets: sets}
	if s.Retries == 0 {
		lease, err := r.take()
		if err != nil {
			return nil, err
		}
		go r.hold(lease)
	}
	return r, nil
}

func (r *room) take() (limits.Lease, error) {
	return r.sets.For("").Acquire(context.Background(), limits.Units{unit: 1})
}

// takeNext queues for the unit that the running body holds, and has it when
// the body has ended, before the call can queue again.
func (r *room) takeNext() {
	go func() {
		if lease, err := r.take(); err == nil {
			r.hold(lease)
		}
	}()
	for !r.waiting() {
		time.Sleep(time.Millisecond)
	}
}

func (r *room) waiting() bool { return r.sets.Snapshots()[""].Waiting > 0 }

// hold tells when the call waits, and releases the unit when it is to.
func (r *room) hold(lease limits.Lease) {
	for told := r.setup.HandedBack; !exists(r.setup.Free); time.Sleep(5 * time.Millisecond) {
		if !told && r.waiting() {
			touch(r.setup.Waits)
			told = true
		}
	}
	lease.Release()
}

// metrics tells of hand-backs for the limit.
type metrics struct{ setup *setup }

// WithTags implements client.MetricsHandler.
func (m *metrics) WithTags(map[string]string) client.MetricsHandler { return m }

// Timer implements client.MetricsHandler.
func (*metrics) Timer(string) client.MetricsTimer { return client.MetricsNopHandler.Timer("") }

// Gauge implements client.MetricsHandler.
func (*metrics) Gauge(string) client.MetricsGauge { return client.MetricsNopHandler.Gauge("") }

// Counter implements client.MetricsHandler.
func (m *metrics) Counter(name string) client.MetricsCounter {
	if m.setup.HandedBack && name == "concurry_limit_hand_backs" {
		return m
	}
	return client.MetricsNopHandler.Counter("")
}

// Inc implements client.MetricsCounter.
func (m *metrics) Inc(int64) { touch(m.setup.Waits) }

func exists(file string) bool {
	_, err := os.Stat(file)
	return !errors.Is(err, fs.ErrNotExist)
}

func touch(file string) { _ = os.WriteFile(file, nil, 0o600) }
