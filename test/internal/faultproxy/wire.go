package faultproxy

import (
	"net"
	"sync"
)

// wire is a listener whose connections can be cut, and whose bytes can be made
// to stand still.
type wire struct {
	net.Listener

	mu    sync.Mutex
	cut   bool
	flows chan struct{} // closed while bytes flow
	conns map[*conn]struct{}
}

func newWire(l net.Listener) *wire {
	w := &wire{Listener: l, flows: make(chan struct{}), conns: map[*conn]struct{}{}}
	close(w.flows)
	return w
}

// Accept implements net.Listener.
func (w *wire) Accept() (net.Conn, error) {
	for {
		c, err := w.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if out := w.admit(c); out != nil {
			return out, nil
		}
		_ = c.Close()
	}
}

func (w *wire) admit(in net.Conn) net.Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut {
		return nil
	}
	c := &conn{Conn: in, wire: w, closed: newSignal()}
	w.conns[c] = struct{}{}
	return c
}

// Cut closes every connection and refuses new ones until Mend. Bytes that stand
// still are lost.
func (p *Proxy) Cut() {
	w := p.wire
	w.mu.Lock()
	w.cut = true
	open := make([]*conn, 0, len(w.conns))
	for c := range w.conns {
		open = append(open, c)
	}
	w.mu.Unlock()
	for _, c := range open {
		_ = c.Close()
	}
}

// Mend lets connections through again.
func (p *Proxy) Mend() {
	p.wire.mu.Lock()
	defer p.wire.mu.Unlock()
	p.wire.cut = false
}

// Stall makes all bytes stand still, in both directions, without closing
// anything: an outage that nobody is told of. New connections open, and stand
// still too.
func (p *Proxy) Stall() {
	p.wire.mu.Lock()
	defer p.wire.mu.Unlock()
	if p.wire.flowing() {
		p.wire.flows = make(chan struct{})
	}
}

// Resume lets bytes flow again, in the order in which they were sent.
func (p *Proxy) Resume() {
	p.wire.mu.Lock()
	defer p.wire.mu.Unlock()
	if !p.wire.flowing() {
		close(p.wire.flows)
	}
}

// flowing reports whether bytes flow; the mutex is held.
func (w *wire) flowing() bool {
	select {
	case <-w.flows:
		return true
	default:
		return false
	}
}

// conn is one client's connection.
type conn struct {
	net.Conn
	wire   *wire
	closed signal
}

// Read implements net.Conn. Bytes, and ends, that come while everything stands
// still are seen when it flows again.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if !c.pass() {
		return 0, net.ErrClosed
	}
	return n, err
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	if !c.pass() {
		return 0, net.ErrClosed
	}
	return c.Conn.Write(b)
}

// pass waits until bytes flow and reports whether the connection is open then.
func (c *conn) pass() bool {
	c.wire.mu.Lock()
	flows := c.wire.flows
	c.wire.mu.Unlock()
	select {
	case <-flows:
		return !c.closed.fired()
	case <-c.closed.c:
		return false
	}
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.closed.fire()
	c.wire.mu.Lock()
	delete(c.wire.conns, c)
	c.wire.mu.Unlock()
	return c.Conn.Close()
}
