package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/concurry-go/concurry/devserver/internal/server"
)

const usage = `temporal-devserver runs a complete Temporal server on this machine.

  temporal-devserver server start-dev [flags]
  temporal-devserver version

Flags:
`

// flags are those of "temporal server start-dev", plus --profile and
// --exit-with-parent.
type flags struct {
	ip, uiIP              string
	port, httpPort        int
	metricsPort, uiPort   int
	headless              bool
	dbFilename            string
	namespaces            []string
	searchAttributes      []string
	dynamicConfig         []string
	pragmas               []string
	uiPublicPath, uiCodec string
	logLevel, logFormat   string
	profile               string
	exitWithParent, help  bool
	logConfig             bool
	color                 string
}

// errAnswered is returned where the command line asked for text only.
var errAnswered = errors.New("answered")

func parse(args []string, stdout io.Writer) (*flags, error) {
	f := &flags{}
	set := pflag.NewFlagSet("temporal-devserver", pflag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.SortFlags = false
	set.StringVar(&f.ip, "ip", "localhost", "loopback address of the frontend")
	set.IntVarP(&f.port, "port", "p", 7233, "port of the gRPC frontend")
	set.IntVar(&f.httpPort, "http-port", 0, "port of the HTTP API (default: a free port)")
	set.IntVar(&f.metricsPort, "metrics-port", 0, "port of the Prometheus metrics (default: a free port)")
	set.IntVar(&f.uiPort, "ui-port", 0, "port of the web UI (default: port + 1000)")
	set.StringVar(&f.uiIP, "ui-ip", "", "loopback address of the web UI (default: ip)")
	set.StringVar(&f.uiPublicPath, "ui-public-path", "", "URL path prefix of the web UI")
	set.StringVar(&f.uiCodec, "ui-codec-endpoint", "", "remote codec of the web UI")
	set.BoolVar(&f.headless, "headless", false, "no web UI")
	set.StringVarP(&f.dbFilename, "db-filename", "f", "", "SQLite file (default: in memory, gone at exit)")
	set.StringArrayVarP(&f.namespaces, "namespace", "n", nil, `namespace to register beside "default"; repeatable`)
	set.StringArrayVar(&f.searchAttributes, "search-attribute", nil, "search attribute as NAME=Type; repeatable")
	set.StringArrayVar(&f.dynamicConfig, "dynamic-config-value", nil, "dynamic configuration as KEY=JSON; repeatable, wins over --profile")
	set.StringArrayVar(&f.pragmas, "sqlite-pragma", nil, "SQLite pragma as NAME=VALUE: journal_mode, synchronous; repeatable")
	set.StringVar(&f.profile, "profile", string(server.Stock), "stock: the server's own defaults; fast: no stock delays")
	set.StringVar(&f.logLevel, "log-level", "warn", "debug, info, warn, error, never")
	set.StringVar(&f.logFormat, "log-format", "pretty", "pretty, text or json")
	set.BoolVar(&f.exitWithParent, "exit-with-parent", false, "stop when standard input closes")
	set.StringVar(&f.color, "color", "auto", "accepted and ignored: the log is never coloured")
	set.BoolVar(&f.logConfig, "log-config", false, "accepted and ignored")
	set.BoolVarP(&f.help, "help", "h", false, "print this")
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	words := set.Args()
	switch {
	case f.help || len(words) == 0:
		fmt.Fprint(stdout, usage, set.FlagUsages())
		return nil, errAnswered
	case slices.Equal(words, []string{"version"}):
		fmt.Fprintln(stdout, "temporal-devserver", version())
		return nil, errAnswered
	case !slices.Equal(words, []string{"server", "start-dev"}):
		return nil, fmt.Errorf("unknown command %q; the commands are \"server start-dev\" and \"version\"", strings.Join(words, " "))
	}
	return f, nil
}

func (f *flags) options() (server.Options, error) {
	ip, err := loopback("--ip", f.ip)
	if err != nil {
		return server.Options{}, err
	}
	o := server.Options{
		IP: ip, Port: f.port, HTTPPort: f.httpPort, MetricsPort: f.metricsPort,
		UIPublicPath: f.uiPublicPath, UICodecEndpoint: f.uiCodec,
		DBFilename: f.dbFilename,
		Namespaces: []string{"default"},
		Pragmas:    map[string]string{},
	}
	for _, ns := range f.namespaces {
		if !slices.Contains(o.Namespaces, ns) {
			o.Namespaces = append(o.Namespaces, ns)
		}
	}
	for name, port := range map[string]int{
		"--port": f.port, "--http-port": f.httpPort, "--metrics-port": f.metricsPort, "--ui-port": f.uiPort,
	} {
		if port < 0 || port > 65535 {
			return o, fmt.Errorf("%s %d: must be from 0 (a free port) to 65535", name, port)
		}
	}
	if o.Port == 0 {
		if o.Port, err = server.FreePort(ip); err != nil {
			return o, err
		}
	}
	if o.MetricsPort == 0 {
		if o.MetricsPort, err = server.FreePort(ip); err != nil {
			return o, err
		}
	}
	if !f.headless {
		o.UIPort = f.uiPort
		if o.UIPort == 0 {
			o.UIPort = o.Port + 1000
		}
		if o.UIPort > 65535 {
			if o.UIPort, err = server.FreePort(ip); err != nil {
				return o, err
			}
		}
		if f.uiIP != "" {
			if o.UIIP, err = loopback("--ui-ip", f.uiIP); err != nil {
				return o, err
			}
		}
	}
	if o.SearchAttributes, err = searchAttributes(f.searchAttributes); err != nil {
		return o, err
	}
	for _, p := range f.pragmas {
		name, value, ok := strings.Cut(p, "=")
		if name = strings.ToLower(name); !ok || (name != "journal_mode" && name != "synchronous") {
			return o, fmt.Errorf("--sqlite-pragma %q: must be journal_mode=VALUE or synchronous=VALUE", p)
		}
		o.Pragmas[name] = value
	}
	if o.DynamicConfig, err = server.Profile(f.profile).Values(); err != nil {
		return o, err
	}
	for _, setting := range f.dynamicConfig {
		if err := server.AddDynamicConfig(o.DynamicConfig, setting); err != nil {
			return o, err
		}
	}
	o.Log, err = f.logger()
	return o, err
}

func (f *flags) logger() (*server.Logger, error) {
	level := f.logLevel
	switch level {
	case "debug", "info", "warn", "error", "fatal":
	case "never":
		level = "fatal"
	default:
		return nil, fmt.Errorf("--log-level %q: allowed are debug, info, warn, error, never", f.logLevel)
	}
	switch f.logFormat {
	case "pretty", "text", "json":
	default:
		return nil, fmt.Errorf("--log-format %q: allowed are pretty, text, json", f.logFormat)
	}
	return server.NewLogger(level, f.logFormat), nil
}

// loopback refuses addresses that other machines could reach: this server has
// no authentication.
func loopback(flag, address string) (string, error) {
	if address == "localhost" {
		return "127.0.0.1", nil
	}
	if ip := net.ParseIP(address); ip == nil || !ip.IsLoopback() {
		return "", fmt.Errorf("%s %q: must be a loopback address such as 127.0.0.1; this server has no authentication", flag, address)
	}
	return address, nil
}

func searchAttributes(settings []string) (map[string]enumspb.IndexedValueType, error) {
	attributes := map[string]enumspb.IndexedValueType{}
	for _, setting := range settings {
		name, typeName, ok := strings.Cut(setting, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--search-attribute %q: must be NAME=Type", setting)
		}
		t, err := enumspb.IndexedValueTypeFromString(typeName)
		if err != nil || t == enumspb.INDEXED_VALUE_TYPE_UNSPECIFIED {
			return nil, fmt.Errorf("--search-attribute %q: type %q; allowed are Text, Keyword, Int, Double, Bool, Datetime, KeywordList", setting, typeName)
		}
		attributes[name] = t
	}
	return attributes, nil
}

// version names the module's own version and that of the server inside.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	temporal := ""
	for _, dep := range info.Deps {
		if dep.Path == "go.temporal.io/server" {
			temporal = " (Temporal server " + strings.TrimPrefix(dep.Version, "v") + ")"
		}
	}
	return info.Main.Version + temporal
}
