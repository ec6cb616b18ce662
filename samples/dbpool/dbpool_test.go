package main

import (
	"bytes"
	"database/sql"
	"errors"
	"os"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/concurry-go/concurry/testsuite"
)

// onTestServer makes the sample use the server that tests share, and leave
// nothing behind.
func onTestServer(t *testing.T) {
	t.Helper()
	srv := testsuite.Server(t)
	t.Setenv("TEMPORAL_ADDRESS", srv.HostPort())
	t.Setenv("TEMPORAL_NAMESPACE", srv.Namespace())
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

// pool is a pool of connections that ends with the test.
func pool(t *testing.T, name, dsn string) (*sql.DB, *metered) {
	t.Helper()
	db, meter, err := open(name, dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db, meter
}

func assertSold(t *testing.T, r result) {
	t.Helper()
	assert.Equal(t, orders, r.sold, "calls that succeeded")
	assert.Equal(t, orders, r.sales, "rows of sales")
	assert.Equal(t, 300-orders, r.tickets, "tickets left")
	assert.LessOrEqual(t, r.most, 5, "connections at once")
	assert.Greater(t, r.most, 1, "connections at once: there was nothing to limit")
	assert.Greater(t, r.attempts, r.sold, "no attempt had to be retried")
	assert.Positive(t, r.meanwhile, "connections were kept between attempts")
}

func TestFiftyCallsSucceedOnFiveConnectionsToSQLite(t *testing.T) {
	onTestServer(t)
	var out bytes.Buffer
	r, err := run(t.Context(), &out, "")
	require.NoError(t, err)
	assertSold(t, r)
	assert.Contains(t, out.String(), "50 of 50 succeeded")
}

// The database of this DSN is a role's of its own, which PostgreSQL allows five
// connections: see make test-postgres.
const postgresDSN = "CONCURRY_POSTGRES_DSN"

func TestFiftyCallsSucceedOnFiveConnectionsToPostgreSQL(t *testing.T) {
	dsn := os.Getenv(postgresDSN)
	if dsn == "" {
		t.Skip(postgresDSN + " is not set: make test-postgres starts a PostgreSQL and sets it")
	}
	onTestServer(t)
	db, meter := pool(t, "pgx", dsn)
	r, err := sell(t.Context(), db, meter)
	require.NoError(t, err)
	assertSold(t, r)

	// The server counts too: it has refused nobody, and refuses a sixth.
	var counted int
	require.NoError(t, db.QueryRowContext(t.Context(),
		`SELECT count(*) FROM pg_stat_activity WHERE usename = current_user`).Scan(&counted))
	assert.Equal(t, r.most, counted)
	for n := 1; n <= 6; n++ {
		conn, err := db.Conn(t.Context())
		if n <= 5 {
			require.NoError(t, err, "connection %d", n)
			defer func() { _ = conn.Close() }()
			continue
		}
		refused, ok := errors.AsType[*pgconn.PgError](err)
		require.True(t, ok, "connection 6: %v", err)
		assert.Equal(t, "53300", refused.Code, "too_many_connections")
	}
}

func TestTheMeterSeesASixthConnection(t *testing.T) {
	db, meter := pool(t, "sqlite", sqliteFile(t.TempDir()))
	for range 6 {
		conn, err := db.Conn(t.Context())
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
	}
	assert.Equal(t, 6, meter.seen().most)
}

func TestTheMeterSeesWhoUsesAConnectionMeanwhile(t *testing.T) {
	first := attempt{"a", 1}
	meter := &metered{uses: []use{
		{first, 1},
		{attempt{"b", 1}, 2}, // on another connection
		{first, 1},
		{attempt{"b", 2}, 1}, // between the attempts of a
		{attempt{"a", 2}, 3},
		{attempt{"c", 1}, 3}, // a does not come back
	}}
	assert.Equal(t, seen{attempts: 5, meanwhile: 1}, meter.seen())
}
