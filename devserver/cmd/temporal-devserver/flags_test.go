package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
)

func TestBadFlagsAreNamed(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		`--ip "0.0.0.0": must be a loopback address`:           {"--ip", "0.0.0.0"},
		`--ui-ip "10.0.0.1": must be a loopback address`:       {"--ui-ip", "10.0.0.1"},
		`--port 70000: must be from 0`:                         {"--port", "70000"},
		`--profile "turbo": allowed are "fast" and "stock"`:    {"--profile", "turbo"},
		`--dynamic-config-value "x": must be KEY=JSON`:         {"--dynamic-config-value", "x"},
		`--dynamic-config-value "x=y": the value is not JSON`:  {"--dynamic-config-value", "x=y"},
		`--search-attribute "a=Colour": type "Colour"`:         {"--search-attribute", "a=Colour"},
		`--sqlite-pragma "cache_size=1": must be journal_mode`: {"--sqlite-pragma", "cache_size=1"},
		`--log-level "loud": allowed are debug`:                {"--log-level", "loud"},
		`--log-format "xml": allowed are pretty`:               {"--log-format", "xml"},
		"unknown flag: --wings":                                {"--wings"},
	} {
		t.Run(args[0]+args[len(args)-1], func(t *testing.T) {
			t.Parallel()
			f, err := parse(append([]string{"server", "start-dev"}, args...), &bytes.Buffer{})
			if err == nil {
				_, err = f.options()
			}
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Fatalf("got %v, want %s", err, want)
			}
		})
	}
}

func TestUnknownCommandIsNamed(t *testing.T) {
	t.Parallel()
	_, err := parse([]string{"server", "stop"}, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), `unknown command "server stop"`) {
		t.Fatal(err)
	}
}

func TestHelpListsTheFlagsOfStartDev(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if _, err := parse([]string{"--help"}, &out); !errors.Is(err, errAnswered) {
		t.Fatal(err)
	}
	for _, flag := range []string{"--ip", "--port", "--http-port", "--metrics-port", "--ui-port", "--headless", "--db-filename", "--namespace", "--search-attribute", "--dynamic-config-value", "--sqlite-pragma", "--log-level", "--log-format", "--profile"} {
		if !strings.Contains(out.String(), flag) {
			t.Errorf("%s is missing", flag)
		}
	}
}

// The flags that the SDK's testsuite.StartDevServer gives.
func TestTakesWhatTheSDKGives(t *testing.T) {
	t.Parallel()
	f, err := parse([]string{
		"server", "start-dev", "--ip", "127.0.0.1", "--port", "7000", "--namespace", "mine",
		"--dynamic-config-value", "frontend.enableServerVersionCheck=false", "--log-level", "warn", "--log-format", "pretty",
		"--headless", "--db-filename", "x.db", "--search-attribute", "City=Keyword", "--profile", "fast",
		"--dynamic-config-value", "history.transferProcessorMaxPollRPS=7",
	}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	o, err := f.options()
	if err != nil {
		t.Fatal(err)
	}
	if o.Port != 7000 || o.UIPort != 0 || strings.Join(o.Namespaces, " ") != "default mine" || o.DBFilename != "x.db" {
		t.Errorf("%+v", o)
	}
	if o.SearchAttributes["City"] != enumspb.INDEXED_VALUE_TYPE_KEYWORD {
		t.Errorf("%v", o.SearchAttributes)
	}
	if o.DynamicConfig["frontend.enableServerVersionCheck"] != false || o.DynamicConfig["history.timerProcessorMaxTimeShift"] != "1ms" {
		t.Errorf("%v", o.DynamicConfig)
	}
	if o.DynamicConfig["history.transferProcessorMaxPollRPS"] != 7 {
		t.Errorf("a value must win over the profile: %v", o.DynamicConfig)
	}
}
