package retrypolicy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
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
// not known, stands twice, or has a value of the wrong type, which it shows: not
// that of a key that is not known, which may be a secret.
func (c *Config) UnmarshalJSON(data []byte) error {
	if c == nil {
		return errEmbedded
	}
	var read Config
	if err := members(data, known, read.set); err != nil {
		return err
	}
	*c = read
	return nil
}

// UnmarshalYAML reads a Config for Go's YAML libraries; see UnmarshalJSON.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	if c == nil {
		return errEmbedded
	}
	var document any // of the wrong type, the library's error would show it
	if err := unmarshal(&document); err != nil {
		return err
	}
	read, err := fromValues(document)
	if err == nil {
		*c = read
	}
	return err
}

// fromValues is the configuration of keys and values that a YAML library has
// read.
func fromValues(document any) (Config, error) {
	values, err := object(document)
	if err != nil {
		return Config{}, err
	}
	var read Config
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(values)) {
		raw, err := json.Marshal(values[key])
		switch {
		case !known(key):
			err = unknownKey(key)
		case err != nil:
			err = &FieldError{Field: key, Value: fmt.Sprint(values[key]), Allowed: "must be a finite number, text, or a list of texts"}
		default:
			err = read.set(key, raw)
		}
		errs = append(errs, err)
	}
	if err := join(errs); err != nil {
		return Config{}, err
	}
	return read, nil
}

// object is what a YAML library has read of keys and values, of whatever types it
// makes them.
func object(document any) (map[string]any, error) {
	switch values := document.(type) {
	case nil:
		return map[string]any{}, nil
	case map[string]any:
		return values, nil
	case map[any]any:
		all := make(map[string]any, len(values))
		for key, value := range values {
			all[fmt.Sprint(key)] = value
		}
		return all, nil
	}
	return nil, errNoObject
}

// UnmarshalJSON implements json.Unmarshaler. The error names every method and
// key that is wrong.
func (c *Configs) UnmarshalJSON(data []byte) error {
	read := Configs{}
	method := func(string) bool { return false } // it shows none of theirs
	err := members(data, method, func(method string, raw json.RawMessage) error {
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

// UnmarshalYAML reads Configs for Go's YAML libraries; see UnmarshalJSON.
func (c *Configs) UnmarshalYAML(unmarshal func(any) error) error {
	var document any
	if err := unmarshal(&document); err != nil {
		return err
	}
	values, err := object(document)
	if err != nil {
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
		return unknownKey(key)
	}
	if field, ok := errors.AsType[*FieldError](err); ok {
		field.Field = key
	}
	return err
}

func known(key string) bool { return slices.Contains(configKeys(), key) }

func unknownKey(key string) error {
	return &FieldError{Field: key, Value: hidden, Allowed: "no such key; there are " + strings.Join(configKeys(), ", ")}
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

// hidden stands for the value of what is not known: it may be a secret that
// stands in the wrong place.
const hidden verbatim = "(not shown)"

// errNoObject does not show what stands there, for the same reason.
var errNoObject = errors.New("must be an object of keys and values")

// readNames takes a list of names, which may be empty, or one name without a list.
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
	if slices.ContainsFunc(names, func(name string) bool { return name == "" || strings.ContainsAny(name, ", \t\n") }) {
		return nil, &FieldError{Value: shown(raw), Allowed: "must be names, none of them empty or with a comma or space in it"}
	}
	return names, nil
}

// members hands the members of a JSON object to member, in order. The error
// has all that member returns, and names members that stand twice, with the values
// of those that are known. Null is an object without members.
func members(data []byte, known func(key string) bool, member func(key string, raw json.RawMessage) error) error {
	if bytes.Equal(bytes.TrimSpace(data), []byte("null")) {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return errNoObject
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
			value := any(hidden)
			if known(key) {
				value = shown(raw)
			}
			errs = append(errs, &FieldError{Field: key, Value: value, Allowed: "must not stand twice"})
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
