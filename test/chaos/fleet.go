package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/concurry-go/concurry/test/internal/faultproxy"
)

// fleet is the worker processes.
type fleet struct {
	setup setup
	log   *diary
	slots []*slot

	mu      sync.Mutex
	ending  bool
	deaths  []string // of processes on their own account
	died    int      // processes that a body has ended
	spawned int
	watch   sync.WaitGroup
}

// slot is the place of one worker process, which others follow.
type slot struct {
	fleet *fleet
	index int
	proxy *faultproxy.Proxy

	mu      sync.Mutex
	process *process // nil between two
}

// process is one worker process.
type process struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	reports chan report
	errors  *tail
	done    chan struct{}

	mu       sync.Mutex
	expected bool          // that it ends
	respawn  time.Duration // after its end
}

// launch brings all worker processes up.
func launch(s setup, server string, workers int, log *diary) (*fleet, error) {
	f := &fleet{setup: s, log: log}
	for i := range workers {
		p, err := faultproxy.Start(server)
		if err != nil {
			return f, err
		}
		f.slots = append(f.slots, &slot{fleet: f, index: i, proxy: p})
	}
	for _, s := range f.slots {
		if err := s.spawn(); err != nil {
			return f, err
		}
	}
	return f, nil
}

// spawn starts the slot's next process.
func (s *slot) spawn() error {
	setup := s.fleet.setup
	setup.Address = s.proxy.Address()
	encoded, err := json.Marshal(setup)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	p := &process{cmd: exec.Command(self), reports: make(chan report, 8), errors: &tail{}, done: make(chan struct{}), respawn: 100 * time.Millisecond}
	p.cmd.Env = append(os.Environ(), envWorker+"="+string(encoded))
	p.cmd.Stderr = p.errors
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return err
	}
	s.fleet.mu.Lock()
	defer s.fleet.mu.Unlock()
	if s.fleet.ending {
		return nil
	}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("worker %d: %w", s.index, err)
	}
	s.fleet.spawned++
	s.mu.Lock()
	s.process = p
	s.mu.Unlock()
	s.fleet.log.notef("worker %d is process %d", s.index, p.cmd.Process.Pid)
	s.fleet.watch.Go(func() { s.attend(p, out) })
	return nil
}

// attend reads what a process tells, and starts the next one when it has ended.
func (s *slot) attend(p *process, out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var r report
		if json.Unmarshal(lines.Bytes(), &r) == nil {
			select {
			case p.reports <- r:
			default: // nobody asks any more
			}
		}
	}
	err := p.cmd.Wait()
	close(p.done)
	s.mu.Lock()
	s.process = nil
	s.mu.Unlock()
	p.mu.Lock()
	expected, pause := p.expected, p.respawn
	p.mu.Unlock()
	s.fleet.buried(s, p, expected, err)
	time.Sleep(pause) // its machine comes back
	if err := s.spawn(); err != nil {
		s.fleet.note(err.Error())
	}
}

// buried notes the end of a process.
func (f *fleet) buried(s *slot, p *process, expected bool, err error) {
	f.log.notef("worker %d, process %d, has ended: %v", s.index, p.cmd.Process.Pid, err)
	var exit *exec.ExitError
	byBody := errors.As(err, &exit) && signaled(exit.ProcessState) == syscall.SIGKILL
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case expected || f.ending:
	case byBody:
		f.died++
	default:
		f.deaths = append(f.deaths, fmt.Sprintf("worker %d, process %d: %v\n%s", s.index, p.cmd.Process.Pid, err, p.errors))
	}
}

func (f *fleet) note(death string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.deaths = append(f.deaths, death)
}

// signaled is the signal that has ended a process; 0 is none.
func signaled(s *os.ProcessState) syscall.Signal {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return w.Signal()
	}
	return 0
}

// running is the slot's process; nil if there is none.
func (s *slot) running() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process
}

// end makes a process end by a signal; the next one comes after pause.
func (p *process) end(signal syscall.Signal, pause time.Duration) {
	p.mu.Lock()
	p.expected, p.respawn = true, pause
	p.mu.Unlock()
	_ = p.cmd.Process.Signal(signal)
}

// report asks a process what it holds.
func (p *process) report(ctx context.Context) (report, error) {
	if _, err := fmt.Fprintln(p.in, askReport); err != nil {
		return report{}, err
	}
	select {
	case r := <-p.reports:
		return r, nil
	case <-p.done:
		return report{}, errors.New("the process has ended")
	case <-ctx.Done():
		return report{}, ctx.Err()
	}
}

// stop ends all processes and proxies.
func (f *fleet) stop() {
	f.mu.Lock()
	f.ending = true
	f.mu.Unlock()
	for _, s := range f.slots {
		if p := s.running(); p != nil {
			p.end(syscall.SIGKILL, 0)
		}
	}
	f.watch.Wait()
	for _, s := range f.slots {
		s.proxy.Close()
	}
}

// tail keeps the end of what a process says.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailBytes = 16 << 10

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if over := len(t.buf) - tailBytes; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(b), nil
}

// String is what was kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.buf))
}
