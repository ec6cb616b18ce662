// Package server runs a complete Temporal server (frontend, history, matching,
// worker, optionally the web UI) in this process, on SQLite and on loopback.
package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	uiserver "github.com/temporalio/ui-server/v2/server"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	uioptions "github.com/temporalio/ui-server/v2/server/server_options"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/metrics"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/primitives"
	sqliteschema "go.temporal.io/server/schema/sqlite"
	"go.temporal.io/server/temporal"
)

const (
	clusterName = "active"
	disabled    = "disabled"
)

// Options says what the server serves, and where. The zero value is not
// usable: IP, Port and Namespaces are required.
type Options struct {
	// IP is the loopback address every port binds to.
	IP string
	// Port is the gRPC frontend's port.
	Port int
	// HTTPPort serves Temporal's HTTP API; 0 takes a free port.
	HTTPPort int
	// MetricsPort serves Prometheus metrics; 0 takes a free port.
	MetricsPort int
	// UIPort serves the web UI; 0 means no web UI.
	UIPort int
	// UIIP is the loopback address of the web UI; empty means IP.
	UIIP string
	// UIPublicPath is the URL path prefix the UI is served under.
	UIPublicPath string
	// UICodecEndpoint is the remote codec the UI decodes payloads with.
	UICodecEndpoint string
	// DBFilename is the SQLite file; empty keeps everything in memory.
	DBFilename string
	// Pragmas are SQLite pragmas; a file database defaults to
	// journal_mode=wal and synchronous=normal.
	Pragmas map[string]string
	// Namespaces are registered before the server answers.
	Namespaces []string
	// SearchAttributes are registered in every namespace above.
	SearchAttributes map[string]enumspb.IndexedValueType
	// DynamicConfig overrides the server's dynamic configuration.
	DynamicConfig map[string]any
	// Log receives the server's log.
	Log *Logger
}

// Server is a running Temporal server.
type Server struct {
	temporal temporal.Server
	ui       *uiserver.Server
	log      *Logger
}

// Start brings the server up and returns once its services have started; the
// frontend may need some more milliseconds before it answers.
func Start(o Options) (*Server, error) {
	cfg, err := o.config()
	if err != nil {
		return nil, err
	}
	sqlConfig := cfg.Persistence.DataStores[sqlite.PluginName].SQL
	if err := o.setUpDatabase(sqlConfig); err != nil {
		return nil, err
	}
	dynamic := dynamicconfig.StaticClient{}
	for key, value := range o.DynamicConfig {
		dynamic[dynamicconfig.MakeKey(key)] = value
	}
	authorizer, err := authorization.GetAuthorizerFromConfig(&cfg.Global.Authorization)
	if err != nil {
		return nil, fmt.Errorf("authorizer: %w", err)
	}
	claims, err := authorization.GetClaimMapperFromConfig(&cfg.Global.Authorization, o.Log)
	if err != nil {
		return nil, fmt.Errorf("claim mapper: %w", err)
	}
	srv, err := temporal.NewServer(
		temporal.WithConfig(cfg),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithLogger(o.Log),
		temporal.WithAuthorizer(authorizer),
		temporal.WithClaimMapper(func(*config.Config) authorization.ClaimMapper { return claims }),
		temporal.WithDynamicConfigClient(dynamic),
		temporal.WithStaticHosts(hosts(o.IP, cfg)),
	)
	if err != nil {
		return nil, fmt.Errorf("temporal server: %w", err)
	}
	if err := srv.Start(); err != nil {
		return nil, fmt.Errorf("temporal server: %w", err)
	}
	s := &Server{temporal: srv, log: o.Log}
	if o.UIPort != 0 {
		if err := s.startUI(o); err != nil {
			_ = s.Stop()
			return nil, err
		}
	}
	return s, nil
}

// Stop shuts everything down. The server logs errors of its own while its
// services leave in turn; those are kept quiet.
func (s *Server) Stop() error {
	s.log.Silence()
	if s.ui != nil {
		s.ui.Stop()
	}
	return s.temporal.Stop()
}

func (s *Server) startUI(o Options) error {
	ip := o.UIIP
	if ip == "" {
		ip = o.IP
	}
	// The UI server ends the whole process when its port is taken, so the
	// port is tried here first, where the mistake can be named.
	probe, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", net.JoinHostPort(ip, strconv.Itoa(o.UIPort)))
	if err != nil {
		return fmt.Errorf("--ui-port %d: %w", o.UIPort, err)
	}
	_ = probe.Close()
	s.ui = uiserver.NewServer(uioptions.WithConfigProvider(&uiconfig.Config{
		TemporalGRPCAddress: net.JoinHostPort(o.IP, strconv.Itoa(o.Port)),
		Host:                ip,
		Port:                o.UIPort,
		PublicPath:          o.UIPublicPath,
		EnableUI:            true,
		CORS:                uiconfig.CORS{CookieInsecure: true},
		Codec:               uiconfig.Codec{Endpoint: o.UICodecEndpoint},
		DisableNewsFetch:    true,
		HideLogs:            true,
	}))
	go func() {
		if err := s.ui.Start(); err != nil && !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintln(os.Stderr, "temporal-devserver: web UI:", err)
		}
	}()
	return nil
}

func (o Options) config() (*config.Config, error) {
	ports, err := freePorts(o.IP, 10)
	if err != nil {
		return nil, err
	}
	next := func() int { p := ports[0]; ports = ports[1:]; return p }
	orNext := func(port int) int {
		if port != 0 {
			return port
		}
		return next()
	}
	frontend := net.JoinHostPort(o.IP, strconv.Itoa(o.Port))
	rpc := func(port int) config.Service {
		return config.Service{RPC: config.RPC{GRPCPort: port, MembershipPort: next(), BindOnIP: o.IP}}
	}
	front := rpc(o.Port)
	front.RPC.HTTPPort = orNext(o.HTTPPort)

	cfg := &config.Config{}
	cfg.Global.Membership = config.Membership{MaxJoinDuration: 30 * time.Second, BroadcastAddress: o.IP}
	cfg.Global.Metrics = &metrics.Config{Prometheus: &metrics.PrometheusConfig{
		ListenAddress: net.JoinHostPort(o.IP, strconv.Itoa(orNext(o.MetricsPort))),
		HandlerPath:   "/metrics",
	}}
	cfg.Persistence = config.Persistence{
		DefaultStore:     sqlite.PluginName,
		VisibilityStore:  sqlite.PluginName,
		NumHistoryShards: 1,
		DataStores:       map[string]config.DataStore{sqlite.PluginName: {SQL: o.sql()}},
	}
	cfg.ClusterMetadata = &cluster.Config{
		FailoverVersionIncrement: 10,
		MasterClusterName:        clusterName,
		CurrentClusterName:       clusterName,
		ClusterInformation: map[string]cluster.ClusterInformation{
			clusterName: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: frontend},
		},
	}
	cfg.DCRedirectionPolicy = config.DCRedirectionPolicy{Policy: "noop"}
	cfg.Services = map[string]config.Service{
		"frontend": front,
		"history":  rpc(next()),
		"matching": rpc(next()),
		"worker":   rpc(next()),
	}
	cfg.Archival = config.Archival{
		History:    config.HistoryArchival{State: disabled},
		Visibility: config.VisibilityArchival{State: disabled},
	}
	cfg.NamespaceDefaults.Archival = config.ArchivalNamespaceDefaults{
		History:    config.HistoryArchivalNamespaceDefaults{State: disabled},
		Visibility: config.VisibilityArchivalNamespaceDefaults{State: disabled},
	}
	cfg.PublicClient = config.PublicClient{HostPort: frontend}
	return cfg, nil
}

// hosts replaces the gossip between services: after a restart on the same file
// it would look for the killed ones for up to a minute.
func hosts(ip string, cfg *config.Config) map[primitives.ServiceName]static.Hosts {
	all := map[primitives.ServiceName]static.Hosts{}
	for name, service := range cfg.Services {
		self := net.JoinHostPort(ip, strconv.Itoa(service.RPC.GRPCPort))
		all[primitives.ServiceName(name)] = static.SingleLocalHost(self)
	}
	return all
}

func (o Options) sql() *config.SQL {
	sql := &config.SQL{PluginName: sqlite.PluginName, ConnectAttributes: map[string]string{}}
	if o.DBFilename == "" {
		sql.ConnectAttributes["mode"] = "memory"
		sql.ConnectAttributes["cache"] = "shared"
		sql.DatabaseName = fmt.Sprintf("devserver-%d-%d", os.Getpid(), o.Port)
	} else {
		sql.ConnectAttributes["mode"] = "rwc"
		sql.DatabaseName = o.DBFilename
		// Measured twice as fast as SQLite's defaults, and no less safe when
		// the process is killed (only a power cut can lose the last commits).
		sql.ConnectAttributes["journal_mode"] = "wal"
		sql.ConnectAttributes["synchronous"] = "normal"
	}
	maps.Copy(sql.ConnectAttributes, o.Pragmas)
	return sql
}

func (o Options) setUpDatabase(sql *config.SQL) error {
	if o.DBFilename != "" {
		if _, err := os.Stat(filepath.Dir(o.DBFilename)); err != nil {
			return fmt.Errorf("--db-filename %q: its directory: %w", o.DBFilename, err)
		}
		if _, err := os.Stat(o.DBFilename); errors.Is(err, os.ErrNotExist) {
			if err := sqliteschema.SetupSchema(sql); err != nil {
				return fmt.Errorf("--db-filename %q: %w", o.DBFilename, err)
			}
		}
	}
	namespaces := make([]*sqliteschema.NamespaceConfig, 0, len(o.Namespaces))
	for _, name := range o.Namespaces {
		ns, err := sqliteschema.NewNamespaceConfig(clusterName, name, false, o.SearchAttributes)
		if err != nil {
			return fmt.Errorf("--namespace %q: %w", name, err)
		}
		namespaces = append(namespaces, ns)
	}
	if err := sqliteschema.CreateNamespaces(sql, namespaces...); err != nil {
		return fmt.Errorf("namespaces: %w", err)
	}
	return nil
}

// freePorts finds n distinct free ports, below those that systems give to
// outgoing connections. All are held until all are known, so none is given
// twice.
func freePorts(ip string, n int) ([]int, error) {
	ports := make([]int, 0, n)
	var last error
	for range 100 * n {
		if len(ports) == n {
			return ports, nil
		}
		port := 10_000 + rand.IntN(20_000) //nolint:gosec // not a secret
		l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", net.JoinHostPort(ip, strconv.Itoa(port)))
		if err != nil {
			last = err
			continue
		}
		defer func() { _ = l.Close() }()
		ports = append(ports, port)
	}
	return nil, fmt.Errorf("free port on %s: %w", ip, last)
}

// FreePort returns one free TCP port on ip.
func FreePort(ip string) (int, error) {
	ports, err := freePorts(ip, 1)
	if err != nil {
		return 0, err
	}
	return ports[0], nil
}
