package retrypolicy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// configKeys are the keys of a Config, in the order of its fields.
func configKeys() []string {
	return []string{
		"num_retries", "retry_on", "retry_algorithm", "retry_wait",
		"retry_max_wait", "retry_max_elapsed", "retry_jitter", "retry_until",
	}
}

// errEmbedded is what a struct gets that embeds a *Config, for which the library
// calls the promoted method of a nil pointer.
var errEmbedded = errors.New("retrypolicy: Config: must not be embedded, but be a field with a name")

// mostErrors is how many mistakes an error names.
const mostErrors = 20

// join is errs as one error; of very many, the first ones and their number.
func join(errs []error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if more := len(errs) - mostErrors; more > 0 {
		errs = append(errs[:mostErrors], fmt.Errorf("and %d mistakes more", more))
	}
	return errors.Join(errs...)
}

// UnmarshalJSON implements json.Unmarshaler. The error names every key that is
// not known, stands twice, or has a value of the wrong type.
func (c *Config) UnmarshalJSON(data []byte) error {
	if c == nil {
		return errEmbedded
	}
	var read Config
	if err := members(data, read.set); err != nil {
		return err
	}
	*c = read
	return nil
}

// UnmarshalYAML is how Go's YAML libraries read a Config; see UnmarshalJSON.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	if c == nil {
		return errEmbedded
	}
	var values map[string]any
	if err := unmarshal(&values); err != nil {
		return err
	}
	read, err := fromValues(values)
	if err == nil {
		*c = read
	}
	return err
}

// fromValues is the configuration of keys and values that a YAML library has
// read.
func fromValues(values map[string]any) (Config, error) {
	var read Config
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(values)) {
		raw, err := json.Marshal(values[key])
		if err != nil {
			err = &FieldError{Field: key, Value: fmt.Sprint(values[key]), Allowed: "must be a finite number, text, or a list of texts"}
		} else {
			err = read.set(key, raw)
		}
		errs = append(errs, err)
	}
	if err := join(errs); err != nil {
		return Config{}, err
	}
	return read, nil
}

// UnmarshalJSON implements json.Unmarshaler. The error names every method and
// key that is wrong.
func (c *Configs) UnmarshalJSON(data []byte) error {
	read := Configs{}
	err := members(data, func(method string, raw json.RawMessage) error {
		var one Config
		if err := one.UnmarshalJSON(raw); err != nil {
			return fmt.Errorf("%q: %w", method, err)
		}
		read[method] = one
		return nil
	})
	if err != nil {
		return err
	}
	*c = read
	return nil
}

// UnmarshalYAML is how Go's YAML libraries read Configs; see UnmarshalJSON.
func (c *Configs) UnmarshalYAML(unmarshal func(any) error) error {
	var values map[string]map[string]any
	if err := unmarshal(&values); err != nil {
		return err
	}
	read := Configs{}
	var errs []error
	for _, method := range slices.Sorted(maps.Keys(values)) {
		one, err := fromValues(values[method])
		if err != nil {
			errs = append(errs, fmt.Errorf("%q: %w", method, err))
		}
		read[method] = one
	}
	if err := join(errs); err != nil {
		return err
	}
	*c = read
	return nil
}

// ConfigFromEnv reads a Config from environment variables such as
//
//	LLM_POLICY_NUM_RETRIES=5
//	LLM_POLICY_RETRY_ON=network,overloaded
//
// which are the keys in upper case behind a prefix of their own: one that no
// other variables have, since those are refused as keys that are not known.
// environ is what os.Environ returns. Spaces around values and names are
// dropped; of a variable that stands twice the last one counts, as in os.Getenv.
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
			errs = append(errs, &FieldError{Field: name, Value: values[name], Allowed: "no such variable; there are " + variables(prefix)})
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
		names := strings.Split(value, ",")
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

// Env is c as environment variables, in the form that ConfigFromEnv reads.
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

// set reads one key.
func (c *Config) set(key string, raw json.RawMessage) error {
	var err error
	switch key {
	case "num_retries":
		err = read(raw, &c.NumRetries, "must be a whole number")
	case "retry_on":
		c.RetryOn, err = readNames(raw)
	case "retry_algorithm":
		err = read(raw, &c.RetryAlgorithm, algorithmsAllowed)
	case "retry_wait":
		err = read(raw, &c.RetryWait, "must be a number of seconds")
	case "retry_max_wait":
		err = read(raw, &c.RetryMaxWait, "must be a number of seconds")
	case "retry_max_elapsed":
		err = read(raw, &c.RetryMaxElapsed, "must be a number of seconds")
	case "retry_jitter":
		err = read(raw, &c.RetryJitter, "must be a number from 0 to 1")
	case "retry_until":
		c.RetryUntil, err = readNames(raw)
	default:
		return &FieldError{Field: key, Value: shown(raw), Allowed: "no such key; there are " + strings.Join(configKeys(), ", ")}
	}
	if field, ok := errors.AsType[*FieldError](err); ok {
		field.Field = key
	}
	return err
}

func read(raw json.RawMessage, into any, allowed string) error {
	if json.Unmarshal(raw, into) != nil {
		return &FieldError{Value: shown(raw), Allowed: allowed}
	}
	return nil
}

// shown is a value in an error: a text as it is, everything else as it stands
// in the file.
func shown(raw json.RawMessage) any {
	var text string
	if json.Unmarshal(raw, &text) == nil && !bytes.Equal(raw, []byte("null")) {
		return text
	}
	return verbatim(raw)
}

// verbatim prints without quotes.
type verbatim string

// readNames takes a list of names, or one name without a list.
func readNames(raw json.RawMessage) (names []string, err error) {
	var one string
	switch {
	case bytes.Equal(raw, []byte("null")):
		return nil, nil
	case json.Unmarshal(raw, &one) == nil:
		names = []string{one}
	case json.Unmarshal(raw, &names) != nil:
		return nil, &FieldError{Value: shown(raw), Allowed: "must be a name or a list of names"}
	}
	if len(names) == 0 || slices.ContainsFunc(names, func(name string) bool { return name == "" || strings.ContainsAny(name, ", \t\n") }) {
		return nil, &FieldError{Value: shown(raw), Allowed: "must be one name or more, none of them empty or with a comma or space in it"}
	}
	return names, nil
}

// members hands the members of a JSON object to member, in order. The error
// has all that member returns, and names members that stand twice. Null is an
// object without members.
func members(data []byte, member func(key string, raw json.RawMessage) error) error {
	if bytes.Equal(bytes.TrimSpace(data), []byte("null")) {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return fmt.Errorf("%.40s: must be an object of keys and values", bytes.TrimSpace(data))
	}
	var errs []error
	seen := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return err
		}
		key, _ := token.(string)
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return err
		}
		if seen[key] {
			errs = append(errs, &FieldError{Field: key, Value: shown(raw), Allowed: "must not stand twice"})
			continue
		}
		seen[key] = true
		errs = append(errs, member(key, raw))
	}
	if _, err := d.Token(); err != nil { // the end of the object
		return err
	}
	return join(errs)
}
