package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"sync"

	"github.com/concurry-go/concurry/activity"
)

// metered is a database driver that counts its connections and notes who uses
// which: it stands where the database sees them, below database/sql's pool and
// below everything that limits calls.
type metered struct {
	base driver.Driver
	dsn  string

	mu     sync.Mutex
	open   int
	opened int   // in all, which is the number of the last one
	most   int   // open at once
	uses   []use // in the order of time
}

// use is a statement of an attempt on a connection.
type use struct {
	attempt
	conn int
}

// attempt is one attempt of a call.
type attempt struct {
	call   string
	number int
}

// open is a pool of connections of the driver of that name, and their meter.
// The pool keeps as many as the limit allows. It has no limit of its own:
// database/sql's SetMaxOpenConns would make attempts wait that have begun, whose
// time is running.
func open(name, dsn string) (*sql.DB, *metered, error) {
	plain, err := sql.Open(name, dsn) // connects to nothing
	if err != nil {
		return nil, nil, err
	}
	m := &metered{base: plain.Driver(), dsn: dsn}
	db := sql.OpenDB(m)
	db.SetMaxIdleConns(connections)
	return db, m, plain.Close()
}

// Driver implements driver.Connector.
func (m *metered) Driver() driver.Driver { return m.base }

// Connect implements driver.Connector.
func (m *metered) Connect(context.Context) (driver.Conn, error) {
	m.mu.Lock()
	m.open++
	m.opened++
	m.most = max(m.most, m.open)
	number := m.opened
	m.mu.Unlock()
	conn, err := m.base.Open(m.dsn)
	if err != nil {
		m.closed()
		return nil, err
	}
	return &meteredConn{Conn: conn, meter: m, number: number}, nil
}

func (m *metered) closed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open--
}

func (m *metered) used(ctx context.Context, conn int) {
	if !activity.IsActivity(ctx) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	call := attempt{activity.GetInfo(ctx).ActivityID, activity.AttemptNumber(ctx)}
	m.uses = append(m.uses, use{call, conn})
}

// meteredConn is a connection. Of the interfaces that a driver may offer it has
// the one through which every statement passes.
type meteredConn struct {
	driver.Conn
	meter  *metered
	number int
}

// PrepareContext implements driver.ConnPrepareContext.
func (c *meteredConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	c.meter.used(ctx, c.number)
	preparer, ok := c.Conn.(driver.ConnPrepareContext)
	if !ok {
		return nil, fmt.Errorf("a %T cannot prepare statements with a context", c.Conn)
	}
	return preparer.PrepareContext(ctx, query)
}

// Close implements driver.Conn.
func (c *meteredConn) Close() error {
	defer c.meter.closed()
	return c.Conn.Close()
}

// seen is what there was to see.
type seen struct {
	most      int // connections open at once
	attempts  int // that used one
	meanwhile int // attempts on connections whose calls waited for a retry
}

func (m *metered) seen() seen {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[attempt]bool{}
	for _, u := range m.uses {
		all[u.attempt] = true
	}
	return seen{most: m.most, attempts: len(all), meanwhile: m.meanwhile()}
}

// meanwhile is how many attempts of other calls used a connection between two
// attempts of the call that had it: none, if calls kept theirs.
func (m *metered) meanwhile() int {
	served := map[attempt]bool{}
	for i, had := range m.uses {
		var others []attempt
		for _, u := range m.uses[i+1:] {
			if u.call == had.call { // its next statement, or its next attempt
				for _, o := range others {
					served[o] = true
				}
				break
			}
			if u.conn == had.conn {
				others = append(others, u.attempt)
			}
		}
	}
	return len(served)
}
