// Dbpool sells 50 tickets at once through 5 database connections: a limit that
// is declared with the method, and held during its attempts only.
//
//	go run ./samples/dbpool
//	go run ./samples/dbpool -postgres postgres://me@localhost/empty
//
// It uses a SQLite file, or an empty PostgreSQL database, and the Temporal
// server of the environment (TEMPORAL_ADDRESS), or else one that it starts.
//
// store.go has all that you would write yourself: the limit, the policy and the
// method. driver.go counts connections where the database sees them.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"go.temporal.io/sdk/client"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/concurry-go/concurry/samples/internal/local"
	"github.com/concurry-go/concurry/worker"
)

func main() {
	postgres := flag.String("postgres", "", "an empty PostgreSQL database, instead of a SQLite file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if _, err := run(ctx, os.Stdout, *postgres); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "dbpool:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to stop
	}
}

// run opens the database, sells, and tells.
func run(ctx context.Context, out io.Writer, postgres string) (r result, err error) {
	name, dsn := "pgx", postgres
	if postgres == "" {
		dir, err := os.MkdirTemp("", "dbpool-")
		if err != nil {
			return r, err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		name, dsn = "sqlite", sqliteFile(dir)
	}
	db, meter, err := open(name, dsn)
	if err != nil {
		return r, err
	}
	defer func() { _ = db.Close() }()
	_, _ = fmt.Fprintf(out, "%d calls at once on %d connections of %s …\n", orders, connections, name)
	if r, err = sell(ctx, db, meter); err != nil {
		return r, err
	}
	_, err = fmt.Fprintf(out, report, r.sold, orders, r.attempts, r.attempts-r.sold, r.most, connections, r.meanwhile,
		r.sales, r.tickets, r.took.Seconds())
	return r, err
}

// sqliteFile is the DSN of a SQLite database with several connections: writers
// wait for one another.
func sqliteFile(dir string) string {
	return "file:" + filepath.Join(dir, "tickets.db") + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)"
}

const (
	orders = 50
	report = `
   calls         %d of %d succeeded
   attempts      %d, of which %d met a conflict and were retried
   connections   at most %d of %d at once, counted by the driver
   meanwhile     %d attempts ran on connections whose calls waited for a retry
   database      %d sales, %d of 300 tickets are left
   took          %.1f s
`
)

// result is what has become of the orders.
type result struct {
	seen               // by the driver
	sold           int // calls that succeeded
	sales, tickets int // in the database; tickets are those left
	took           time.Duration
}

// sell calls Store.Sell for all orders at once, on a worker in this program.
func sell(ctx context.Context, db *sql.DB, meter *metered) (r result, err error) {
	for _, statement := range schema {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return r, err
		}
	}
	temporal, err := local.Start(ctx, client.Options{Plugins: []client.Plugin{worker.Plugin()}})
	if err != nil {
		return r, err
	}
	defer temporal.Stop()
	w := worker.New(temporal.Client, taskQueue, worker.Options{})
	worker.Register(w, store, &Store{DB: db})
	if err := w.Start(); err != nil {
		return r, err
	}
	defer w.Stop()

	all := make([]Order, orders)
	for i := range all {
		all[i] = Order{Number: i, Show: i % 3}
	}
	begin := time.Now()
	prices, err := Sell.SubmitMap(ctx, temporal.Client, all)
	if err != nil {
		return r, err
	}
	r = result{seen: meter.seen(), sold: len(prices), took: time.Since(begin)}
	return r, errors.Join(
		db.QueryRowContext(ctx, `SELECT count(*) FROM sales`).Scan(&r.sales),
		db.QueryRowContext(ctx, `SELECT sum(tickets) FROM shows`).Scan(&r.tickets),
	)
}
