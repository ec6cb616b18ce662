package main

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/concurry-go/concurry/test/internal/faultproxy"
	"github.com/concurry-go/concurry/testsuite/devserver"
)

// storm makes faults happen.
type storm struct {
	fleet  *fleet
	server *devserver.Server
	caller *caller
	log    *diary

	power sync.Mutex // of the server: one at a time kills and restarts it
	wait  sync.WaitGroup

	mu   sync.Mutex
	done map[fault]int // faults that happened, by kind
	hits map[fault]int // requests that they happened to
	err  error         // that ends the run
}

// rage makes all strikes happen at their moments, and returns when the last one
// is over and all is mended, or ctx has ended.
func (s *storm) rage(ctx context.Context, strikes []strike) error {
	start := time.Now()
	for _, one := range strikes {
		if !pause(ctx, time.Until(start.Add(one.At))) {
			break
		}
		s.wait.Go(func() { s.strike(ctx, one) })
	}
	s.wait.Wait()
	s.mend()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// pause waits and reports whether ctx has not ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *storm) strike(ctx context.Context, one strike) {
	slot := s.fleet.slots[one.Worker]
	s.log.notef("%s of worker %d for %v %s", one.Fault, one.Worker, one.For, one.about())
	did := true
	switch one.Fault {
	case kills, shutsDown, freezes:
		did = s.signal(ctx, slot, one)
	case cuts:
		slot.proxy.Cut()
		pause(ctx, one.For)
		slot.proxy.Mend()
	case stalls:
		slot.proxy.Stall()
		pause(ctx, one.For)
		slot.proxy.Resume()
	case killServer, stopServer:
		did = s.hitServer(ctx, one)
	case pauses:
		did = s.caller.pauseOne(ctx, one)
	case resets:
		did = s.caller.resetOne(ctx, one)
	default:
		did = s.hurt(ctx, slot, one)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if did {
		s.done[one.Fault]++
	}
}

// about is what a strike's requests are; empty for strikes of nothing smaller
// than a connection.
func (s *strike) about() string {
	switch s.Fault {
	case drops, dropsReply, holds, duplicates, reorders:
		sees := map[faultproxy.Sight]string{faultproxy.CutOff: "is cut off", faultproxy.Silence: "hears nothing", faultproxy.Answer: "hears the answer"}
		return fmt.Sprintf("(%d × %q, the client %s)", s.Times, s.Method, sees[s.rule().Fault.Client])
	default:
		return ""
	}
}

// signal sends a worker's process a signal.
func (s *storm) signal(ctx context.Context, slot *slot, one strike) bool {
	p := slot.running()
	if p == nil {
		return false
	}
	switch one.Fault {
	case kills:
		p.end(syscall.SIGKILL, one.For)
	case shutsDown:
		p.end(syscall.SIGTERM, one.For)
		select {
		case <-p.done:
		case <-time.After(20 * time.Second): // it is frozen, or its requests hang
			p.end(syscall.SIGKILL, one.For)
		}
	default:
		_ = p.cmd.Process.Signal(syscall.SIGSTOP)
		pause(ctx, one.For)
		_ = p.cmd.Process.Signal(syscall.SIGCONT)
	}
	return true
}

// hurt makes requests of a worker go wrong.
func (s *storm) hurt(ctx context.Context, slot *slot, one strike) bool {
	applied := slot.proxy.Apply(one.rule())
	pause(ctx, one.For)
	applied.Lift()
	applied.Release()
	n := applied.Hits()
	s.mu.Lock()
	s.hits[one.Fault] += n
	s.mu.Unlock()
	if n == 0 || one.Kill == 0 {
		return n > 0
	}
	pause(ctx, one.Kill)
	if p := slot.running(); p != nil {
		s.log.notef("kill of worker %d, behind what was held", slot.index)
		p.end(syscall.SIGKILL, 100*time.Millisecond)
		s.mu.Lock()
		s.done[kills]++
		s.mu.Unlock()
	}
	return true
}

// hitServer kills and restarts the server, or freezes it.
func (s *storm) hitServer(ctx context.Context, one strike) bool {
	s.power.Lock()
	defer s.power.Unlock()
	p := s.server.Process()
	if p == nil {
		return false
	}
	if one.Fault == stopServer {
		_ = p.Signal(syscall.SIGSTOP)
		pause(ctx, one.For)
		_ = p.Signal(syscall.SIGCONT)
		return true
	}
	err := s.server.Kill()
	pause(ctx, one.For)
	if err == nil {
		err = s.server.Restart(context.WithoutCancel(ctx))
	}
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.err = err
	}
	return true
}

// mend ends what overlapping faults may have left.
func (s *storm) mend() {
	for _, slot := range s.fleet.slots {
		slot.proxy.Mend()
		slot.proxy.Resume()
		if p := slot.running(); p != nil {
			_ = p.cmd.Process.Signal(syscall.SIGCONT)
		}
	}
	if p := s.server.Process(); p != nil {
		_ = p.Signal(syscall.SIGCONT)
	}
	s.log.notef("all is mended")
}
