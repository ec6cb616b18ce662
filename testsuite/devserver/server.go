package devserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
)

const (
	// startTimeout is how long a started process may take to answer.
	startTimeout = 60 * time.Second
	// stopTimeout is how long a server may take to shut down before it is
	// killed. It usually takes one second.
	stopTimeout = 15 * time.Second
	loopback    = "127.0.0.1"
)

// Options are where and how the server runs. The zero value is a server in
// memory on free ports, without web UI, in the Fast profile.
type Options struct {
	// Profile is the server's timing; empty means Fast.
	Profile Profile
	// DBFilename is an SQLite file that survives Kill and Restart; empty
	// keeps everything in memory.
	DBFilename string
	// UI serves Temporal's web UI too.
	UI bool
	// Port and UIPort are TCP ports; 0 means free ones, kept over Restart.
	Port, UIPort int
	// Namespace is registered at the start; empty means "default".
	Namespace string
	// DynamicConfig overrides the profile, key by key. Values are what
	// encoding/json would read: string, bool, numbers.
	DynamicConfig map[string]string
	// ExtraArgs are more flags of "temporal server start-dev".
	ExtraArgs []string
	// Path is the server's program; empty means what Find finds.
	Path string
	// Output receives the server's log and Find's progress; nil means
	// os.Stderr.
	Output io.Writer
}

// Server is a running dev server. Its methods are safe for concurrent use.
type Server struct {
	options Options
	path    string

	mu      sync.Mutex
	process *process // nil while killed or stopped
}

type process struct {
	cmd   *exec.Cmd
	stdin io.Closer // closing it asks our own program to stop; nil for others
	done  chan struct{}
	err   error // of Wait; read after done
	tail  *tail
}

// Start starts a server and returns once it answers. It respects ctx while it
// waits, and not afterwards: call Stop.
func Start(ctx context.Context, o Options) (*Server, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Output == nil {
		o.Output = os.Stderr
	}
	if o.Namespace == "" {
		o.Namespace = "default"
	}
	path := o.Path
	if path == "" {
		var err error
		if path, err = Find(ctx, o.Output); err != nil {
			return nil, err
		}
	}
	s := &Server{options: o, path: path}
	if err := s.startAgain(ctx, func() { s.options.Port, s.options.UIPort = o.Port, o.UIPort }); err != nil {
		return nil, err
	}
	return s, nil
}

// startAgain starts the server, several times if it exits at once: a port that
// was free can be taken by somebody else before the server binds it.
func (s *Server) startAgain(ctx context.Context, between func()) error {
	for attempt := 1; ; attempt++ {
		err := s.start(ctx)
		if err == nil || attempt == 3 || ctx.Err() != nil || !errors.Is(err, errExited) || !errors.Is(err, errTaken) {
			return err
		}
		between()
	}
}

func (o *Options) check() error {
	if _, err := o.Profile.dynamicConfig(); err != nil {
		return err
	}
	for name, port := range map[string]int{"Port": o.Port, "UIPort": o.UIPort} {
		if port < 0 || port > 65535 {
			return fmt.Errorf("devserver: %s %d: must be from 0 (a free port) to 65535", name, port)
		}
	}
	return nil
}

// HostPort returns the frontend's address.
func (s *Server) HostPort() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return hostPort(s.options.Port)
}

// UIURL returns the web UI's address, or the empty string without a web UI.
func (s *Server) UIURL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.options.UI {
		return ""
	}
	return "http://" + hostPort(s.options.UIPort)
}

// Namespace returns the namespace that clients of Dial use.
func (s *Server) Namespace() string { return s.options.Namespace }

// Dial connects a client; HostPort and, where empty, Namespace and Logger are
// set (a logger that prints errors only). The caller closes it.
func (s *Server) Dial(o client.Options) (client.Client, error) {
	o.HostPort = s.HostPort()
	if o.Namespace == "" {
		o.Namespace = s.options.Namespace
	}
	if o.Logger == nil {
		o.Logger = errorsOnly()
	}
	return client.Dial(o)
}

// Stop shuts the server down and waits for its end, killing it after 15
// seconds. Stopping a stopped server does nothing.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.process
	if p == nil {
		return nil
	}
	s.process = nil
	if p.stdin != nil {
		_ = p.stdin.Close()
	} else if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		_ = p.cmd.Process.Kill() // there are systems without interrupts
	}
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("devserver: killed after %v: it did not stop", stopTimeout)
	}
	return nil
}

// Kill ends the server at once, as a power cut would. With a DBFilename,
// Restart goes on where it was.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.process
	if p == nil {
		return nil
	}
	s.process = nil
	if err := p.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("devserver: %w", err)
	}
	<-p.done
	return nil
}

// Restart starts a killed or stopped server again, on the same ports and, if
// it has one, the same file, and returns once it answers. Clients reconnect by
// themselves.
func (s *Server) Restart(ctx context.Context) error {
	s.mu.Lock()
	running := s.process != nil
	s.mu.Unlock()
	if running {
		return errors.New("devserver: Restart of a running server: call Stop or Kill first")
	}
	return s.startAgain(ctx, func() {})
}

// Process returns the server's process, for signals, or nil while it is stopped.
func (s *Server) Process() *os.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return nil
	}
	return s.process.cmd.Process
}

var (
	errExited = errors.New("the server exited")
	errTaken  = errors.New("a port is taken")
)

func (s *Server) start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.options.Port == 0 {
		port, err := freePort(ctx)
		if err != nil {
			return err
		}
		s.options.Port = port
	}
	if s.options.UI && s.options.UIPort == 0 {
		port, err := freePort(ctx)
		if err != nil {
			return err
		}
		s.options.UIPort = port
	}
	p, err := s.launch()
	if err != nil {
		return err
	}
	if err := s.awaitAnswer(ctx, p); err != nil {
		_ = p.cmd.Process.Kill()
		<-p.done
		return err
	}
	s.process = p
	return nil
}

func (s *Server) launch() (*process, error) {
	args, err := s.args()
	if err != nil {
		return nil, err
	}
	p := &process{
		cmd:  exec.Command(s.path, args...), //nolint:noctx // the server outlives the context of Start
		done: make(chan struct{}),
		tail: &tail{},
	}
	out := io.MultiWriter(s.options.Output, p.tail)
	p.cmd.Stdout, p.cmd.Stderr = p.tail, out
	if isOwn(s.path) {
		if p.stdin, err = p.cmd.StdinPipe(); err != nil {
			return nil, fmt.Errorf("devserver: %w", err)
		}
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("devserver: %w", err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (s *Server) args() ([]string, error) {
	o := &s.options
	args := []string{
		"server", "start-dev",
		"--ip", loopback, "--port", strconv.Itoa(o.Port),
		"--namespace", o.Namespace,
		"--log-level", "never", // a server that loses a client reports an error with its stack
	}
	if isOwn(s.path) {
		args = append(args, "--exit-with-parent")
	}
	if o.UI {
		args = append(args, "--ui-port", strconv.Itoa(o.UIPort))
	} else {
		args = append(args, "--headless")
	}
	if o.DBFilename != "" {
		args = append(args, "--db-filename", o.DBFilename)
		if !isOwn(s.path) {
			args = append(args, "--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=normal")
		}
	}
	settings, err := o.Profile.dynamicConfig()
	if err != nil {
		return nil, err
	}
	for key, value := range o.DynamicConfig {
		settings = append(settings, key+"="+value)
	}
	for _, setting := range settings {
		args = append(args, "--dynamic-config-value", setting)
	}
	return append(args, o.ExtraArgs...), nil
}

// awaitAnswer returns once the namespace can be described: the frontend
// listens before the rest of the server is there.
func (s *Server) awaitAnswer(ctx context.Context, p *process) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := s.ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			err := fmt.Errorf("devserver: %w: %w\n%s", errExited, cmpErr(p.err), p.tail)
			if strings.Contains(p.tail.String(), "address already in use") {
				err = fmt.Errorf("%w: %w", errTaken, err)
			}
			return err
		case <-ctx.Done():
			return fmt.Errorf("devserver: no answer from %s: %w (last: %w)\n%s", hostPort(s.options.Port), ctx.Err(), err, p.tail)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *Server) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := client.DialContext(ctx, client.Options{
		HostPort: hostPort(s.options.Port), Namespace: s.options.Namespace, Logger: errorsOnly(),
	})
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: s.options.Namespace})
	if err != nil || !s.options.UI {
		return err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", hostPort(s.options.UIPort))
	if err != nil {
		return err
	}
	return conn.Close()
}

func cmpErr(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

func hostPort(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }

// freePort finds a port below those that systems give to outgoing connections,
// one of which could take it while a server is restarted.
func freePort(ctx context.Context) (int, error) {
	var last error
	for range 100 {
		port := 10_000 + rand.IntN(20_000) //nolint:gosec // not a secret
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", hostPort(port))
		if err == nil {
			return port, l.Close()
		}
		last = err
	}
	return 0, fmt.Errorf("devserver: free port: %w", last)
}

// errorsOnly is a Temporal logger for clients that dial while a server comes
// up, which is nothing to warn about.
func errorsOnly() log.Logger { return log.NewStructuredLogger(errorLogger()) }
