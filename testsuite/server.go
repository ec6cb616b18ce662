package testsuite

import (
	"context"
	"os"
	"sync"
	"testing"

	"go.temporal.io/sdk/client"

	"github.com/concurry-go/concurry/testsuite/devserver"
	"github.com/concurry-go/concurry/worker"
)

var (
	serversMu sync.Mutex                                                  //nolint:gochecknoglobals // one server for a test process
	servers   = map[devserver.Profile]func() (*devserver.Server, error){} //nolint:gochecknoglobals // see above
)

// Server returns a real Temporal server with the Fast profile, in memory. It needs
// a server program: see devserver.Find for where it comes from. The tests
// of a package share one; it ends with the test process. Use a task queue,
// and workflow IDs, of your own in each test.
func Server(t testing.TB) *devserver.Server {
	t.Helper()
	return shared(t, devserver.Fast)
}

// StockServer returns a server like [Server], with Temporal's own timing, where no
// timer takes less than a second.
func StockServer(t testing.TB) *devserver.Server {
	t.Helper()
	return shared(t, devserver.Stock)
}

func shared(t testing.TB, profile devserver.Profile) *devserver.Server {
	t.Helper()
	serversMu.Lock()
	start, ok := servers[profile]
	if !ok {
		start = sync.OnceValues(func() (*devserver.Server, error) {
			return devserver.Start(context.Background(), devserver.Options{Profile: profile, Output: os.Stderr})
		})
		servers[profile] = start
	}
	serversMu.Unlock()
	srv, err := start()
	if err != nil {
		t.Fatal(err)
	}
	return srv
}

// Client returns a client of [Server], with concurry's plugin, closed when t ends.
func Client(t testing.TB) client.Client {
	t.Helper()
	return Dial(t, Server(t), client.Options{Plugins: []client.Plugin{worker.Plugin()}})
}

// Dial returns a client of any dev server, closed when t ends.
func Dial(t testing.TB, srv *devserver.Server, o client.Options) client.Client {
	t.Helper()
	c, err := srv.Dial(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
