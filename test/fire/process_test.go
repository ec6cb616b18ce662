package fire

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"
)

// process is a worker process.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// spawn starts a worker process that ends with the test at the latest.
func (s setup) spawn(t *testing.T) *process {
	t.Helper()
	encoded, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(self), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), envWorker+"="+string(encoded))
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
	})
	return p
}

// over reports whether the process has ended.
func (p *process) over() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// signal sends sig; a process that has ended is not an error.
func (p *process) signal(sig os.Signal) { _ = p.cmd.Process.Signal(sig) }
