package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/retrypolicy"
)

// taskQueue differs from run to run, so that two people can try this on one
// server at the same time. Yours is a constant.
var taskQueue = "dbpool-" + strings.ToLower(rand.Text()[:6])

// connections is how many the database gives this program.
const connections = 5

// store is what callers and workers share. The limit is the worker's: each
// worker has five connections of its own.
var store = activity.Define[*Store]("Store", activity.Options{
	TaskQueue:      taskQueue,
	AttemptTimeout: 10 * time.Second, // of the work: the wait for a connection comes before it
	CallTimeout:    2 * time.Minute,
	Limits:         limits.PerWorker(limits.Resource("connections", connections)),
	Retry: retrypolicy.Policy{
		NumRetries: 30,
		Wait:       10 * time.Millisecond,
		MaxWait:    200 * time.Millisecond,
		RetryOn:    []retrypolicy.Filter{retrypolicy.ErrorIs(errConflict)},
	},
})

// Sell is the method's handle. Its Requires are acquired before each attempt,
// and released when that ends: a call that waits for its next attempt has no
// connection.
var Sell = activity.Method(store, "Sell", (*Store).Sell, activity.MethodOptions[Order, int]{
	Requires: limits.Units{"connections": 1},
})

// Order is one ticket for a show.
type Order struct {
	Number int `json:"number"`
	Show   int `json:"show"`
}

// errConflict says that somebody else has sold a ticket for the show meanwhile.
var errConflict = errors.New("the show has changed since it was read")

// Store sells tickets. It uses a database as everybody does.
type Store struct{ DB *sql.DB }

// Sell sells a ticket and returns its price. It locks optimistically: what it
// has read must not have changed when it writes.
func (s *Store) Sell(ctx context.Context, o Order) (price int, err error) {
	conn, err := s.DB.Conn(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }() // back to the pool

	var version int
	if err := conn.QueryRowContext(ctx, selectShow, o.Show).Scan(&version, &price); err != nil {
		return 0, err
	}
	if err := pay(ctx); err != nil {
		return 0, err
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit

	sale, err := tx.ExecContext(ctx, insertSale, o.Number, o.Show, price)
	if err != nil {
		return 0, err
	}
	if n, err := sale.RowsAffected(); n == 0 || err != nil {
		return price, err // it was sold by an attempt whose worker has died since
	}
	show, err := tx.ExecContext(ctx, updateShow, o.Show, version)
	if err != nil {
		return 0, err
	}
	switch n, err := show.RowsAffected(); {
	case err != nil:
		return 0, err
	case n == 0:
		return 0, errConflict
	}
	return price, tx.Commit()
}

// pay stands for something slow in between, so that orders meet.
func pay(ctx context.Context) error {
	select {
	case <-time.After(50 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// The same for SQLite and PostgreSQL.
const (
	selectShow = `SELECT version, price FROM shows WHERE id = $1`
	insertSale = `INSERT INTO sales VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`
	updateShow = `UPDATE shows SET version = version + 1, tickets = tickets - 1 WHERE id = $1 AND version = $2`
)

// schema makes the tables, with shows 0, 1 and 2.
var schema = []string{
	`CREATE TABLE shows (id INTEGER PRIMARY KEY, version INTEGER NOT NULL, price INTEGER NOT NULL, tickets INTEGER NOT NULL)`,
	`CREATE TABLE sales (number INTEGER PRIMARY KEY, show INTEGER NOT NULL, price INTEGER NOT NULL)`,
	`INSERT INTO shows VALUES (0, 0, 20, 100), (1, 0, 25, 100), (2, 0, 35, 100)`,
}
