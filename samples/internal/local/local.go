// Package local finds the Temporal server that the samples run on: the one the
// environment names, else one that it starts on this machine.
package local

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/log"

	"github.com/concurry-go/concurry/testsuite/devserver"
)

// Temporal is a connection to a server.
type Temporal struct {
	Client client.Client

	// Address and Namespace are where the client is connected to.
	Address, Namespace string
	// UI is the web UI's address; empty where it is not known, which is the
	// case for servers that Start has not started.
	UI string

	server *devserver.Server // nil for servers that Start has not started
}

// Start connects to a server, with o for everything but the address.
//
// If TEMPORAL_ADDRESS or TEMPORAL_PROFILE is set, it is the server of
// Temporal's own environment configuration: TEMPORAL_NAMESPACE,
// TEMPORAL_API_KEY, TEMPORAL_TLS_… and the configuration file, as for every
// other Temporal tool. If not, Start starts a server with web UI on free
// ports, which Stop stops; devserver.Find says which program that is.
//
// The client logs nothing unless o has a logger.
func Start(ctx context.Context, o client.Options) (*Temporal, error) {
	if o.Logger == nil {
		o.Logger = log.NewStructuredLogger(slog.New(slog.DiscardHandler))
	}
	if os.Getenv("TEMPORAL_ADDRESS") != "" || os.Getenv("TEMPORAL_PROFILE") != "" {
		return dial(ctx, o)
	}
	server, err := devserver.Start(ctx, devserver.Options{UI: true})
	if err != nil {
		return nil, err
	}
	c, err := server.Dial(o)
	if err != nil {
		_ = server.Stop()
		return nil, fmt.Errorf("%s: %w", server.HostPort(), err)
	}
	return &Temporal{Client: c, Address: server.HostPort(), Namespace: server.Namespace(), UI: server.UIURL(), server: server}, nil
}

func dial(ctx context.Context, o client.Options) (*Temporal, error) {
	found, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return nil, fmt.Errorf("environment configuration of Temporal: %w", err)
	}
	found.Logger, found.Plugins, found.Interceptors = o.Logger, o.Plugins, o.Interceptors
	if found.Namespace == "" {
		found.Namespace = client.DefaultNamespace
	}
	c, err := client.DialContext(ctx, found)
	if err != nil {
		return nil, fmt.Errorf("the Temporal server %s: %w", found.HostPort, err)
	}
	return &Temporal{Client: c, Address: found.HostPort, Namespace: found.Namespace}, nil
}

// Embedded reports whether Start started the server.
func (t *Temporal) Embedded() bool { return t.server != nil }

// Stop closes the connection, and stops the server if Start started it.
func (t *Temporal) Stop() {
	t.Client.Close()
	if t.server != nil {
		_ = t.server.Stop() // killed, at worst: it has nothing to lose
	}
}
