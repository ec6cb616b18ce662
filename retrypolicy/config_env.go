package retrypolicy

import (
	"encoding/json"
	"errors"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// ConfigFromEnv reads a Config from environment variables such as
//
//	LLM_POLICY_NUM_RETRIES=5
//	LLM_POLICY_RETRY_ON=network,overloaded
//
// which are the keys in upper case behind a prefix of their own: one that no
// other variables have, since those are refused as keys that are not known. The
// error names them, and does not show what they are. environ is what os.Environ
// returns. Spaces around values and names are dropped; an empty list of names is
// one; of a variable that stands twice the last one counts, as in os.Getenv.
func ConfigFromEnv(prefix string, environ []string) (Config, error) {
	if prefix == "" {
		return Config{}, &FieldError{Field: "prefix", Value: prefix, Allowed: "must not be empty"}
	}
	values := map[string]string{}
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && strings.HasPrefix(name, prefix) {
			values[name] = strings.TrimSpace(value)
		}
	}
	var c Config
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(values)) {
		i := slices.IndexFunc(configKeys(), func(key string) bool { return variable(prefix, key) == name })
		if i < 0 {
			errs = append(errs, &FieldError{Field: name, Value: hidden, Allowed: "no such variable; there are " + variables(prefix)})
			continue
		}
		key := configKeys()[i]
		err := c.set(key, envJSON(key, values[name]))
		if field, ok := errors.AsType[*FieldError](err); ok {
			field.Field, field.Value = name, values[name]
		}
		errs = append(errs, err)
	}
	if err := join(errs); err != nil {
		return Config{}, err
	}
	return c, nil
}

// variable is the name of a key's environment variable.
func variable(prefix, key string) string { return prefix + strings.ToUpper(key) }

// variables are the names of all environment variables there are.
func variables(prefix string) string {
	names := configKeys()
	for i, key := range names {
		names[i] = variable(prefix, key)
	}
	return strings.Join(names, ", ")
}

// envJSON is a variable's value as JSON of the type that its key has, or else
// as text, which the key then refuses.
func envJSON(key, value string) json.RawMessage {
	var v any = value
	switch key {
	case "retry_algorithm":
	case "retry_on", "retry_until":
		names := []string{}
		if value != "" {
			names = strings.Split(value, ",")
		}
		for i, name := range names {
			names[i] = strings.TrimSpace(name)
		}
		v = names
	case "num_retries":
		if n, err := strconv.Atoi(value); err == nil {
			v = n
		}
	default:
		if f, err := strconv.ParseFloat(value, 64); err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
			v = f
		}
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil // which no key takes
	}
	return raw
}

// Env returns c as environment variables, in the form that [ConfigFromEnv] reads.
func (c Config) Env(prefix string) []string {
	var env []string
	add := func(key, value string) { env = append(env, variable(prefix, key)+"="+value) }
	number := func(key string, value *float64) {
		if value != nil {
			add(key, strconv.FormatFloat(*value, 'g', -1, 64))
		}
	}
	if c.NumRetries != nil {
		add("num_retries", strconv.Itoa(*c.NumRetries))
	}
	if c.RetryOn != nil {
		add("retry_on", strings.Join(c.RetryOn, ","))
	}
	if c.RetryAlgorithm != "" {
		add("retry_algorithm", c.RetryAlgorithm)
	}
	number("retry_wait", c.RetryWait)
	number("retry_max_wait", c.RetryMaxWait)
	number("retry_max_elapsed", c.RetryMaxElapsed)
	number("retry_jitter", c.RetryJitter)
	if c.RetryUntil != nil {
		add("retry_until", strings.Join(c.RetryUntil, ","))
	}
	return env
}
