package server

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
)

// Profile is a named set of dynamic configuration.
type Profile string

const (
	// Stock changes nothing: the server's own defaults, which is what users'
	// clusters run. Every timer and every retry takes at least a second.
	Stock Profile = "stock"
	// Fast removes the stock delays; see fast.conf.
	Fast Profile = "fast"
)

//go:embed fast.conf
var fastConf string

// Values returns the profile's dynamic configuration.
func (p Profile) Values() (map[string]any, error) {
	switch p {
	case Stock:
		return map[string]any{}, nil
	case Fast:
		values := map[string]any{}
		for line := range strings.Lines(fastConf) {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			if err := AddDynamicConfig(values, line); err != nil {
				return nil, err
			}
		}
		return values, nil
	default:
		return nil, fmt.Errorf("--profile %q: allowed are %q and %q", p, Fast, Stock)
	}
}

// AddDynamicConfig adds one KEY=JSON setting.
func AddDynamicConfig(values map[string]any, setting string) error {
	key, text, ok := strings.Cut(setting, "=")
	if !ok || key == "" {
		return fmt.Errorf("--dynamic-config-value %q: must be KEY=JSON, as in matching.rps=1000", setting)
	}
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		return fmt.Errorf("--dynamic-config-value %q: the value is not JSON (a string needs its quotes): %w", setting, err)
	}
	// Whole numbers must arrive as int: the server refuses float64 there.
	if f, isFloat := value.(float64); isFloat && f == float64(int(f)) {
		value = int(f)
	}
	values[key] = value
	return nil
}
