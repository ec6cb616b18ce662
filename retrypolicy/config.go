package retrypolicy

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// Config is the part of a policy that a configuration file can set, with concurry's
// keys. A nil field, or an empty RetryAlgorithm, means that the key is absent and
// nothing changes. An empty list that is not nil is present: in a [Configs] it
// replaces the list of AllMethods for that method. Times are in seconds.
//
// It reads JSON and YAML (with any of Go's YAML libraries) by itself, refusing
// keys it does not know, and ConfigFromEnv reads environment variables; what
// was read is written back unchanged, by the JSON and YAML libraries and by
// Env. Over and Policy check the values. Give it a field with a name in structs
// of your own: embedded, it would read their other keys too.
type Config struct {
	// NumRetries is retries after the first attempt; default 0.
	NumRetries *int `json:"num_retries,omitempty"`
	// RetryOn are the names of filters, which the program knows, instead of
	// those that are declared in Go. Absent, or an empty list, means those. In a
	// file, one name may stand without a list.
	RetryOn []string `json:"retry_on,omitzero"`
	// RetryAlgorithm is exponential (default), linear, fibonacci or constant.
	RetryAlgorithm string `json:"retry_algorithm,omitempty"`
	// RetryWait is the base wait in seconds, above 0; default 1.
	RetryWait *float64 `json:"retry_wait,omitempty"`
	// RetryMaxWait caps each wait, in seconds, above 0; default: a year.
	RetryMaxWait *float64 `json:"retry_max_wait,omitempty"`
	// RetryMaxElapsed bounds the time since the first attempt within which
	// retries start, in seconds, above 0; default: no bound.
	RetryMaxElapsed *float64 `json:"retry_max_elapsed,omitempty"`
	// RetryJitter is 0 for no jitter; anything up to 1 means full jitter,
	// whatever the number, as in concurry. Default 0.3, full jitter.
	RetryJitter *float64 `json:"retry_jitter,omitempty"`
	// RetryUntil are the names of validators, which the method knows, in
	// addition to those it always has. An empty list means none.
	RetryUntil []string `json:"retry_until,omitzero"`
}

// MarshalYAML writes c with Go's YAML libraries, which by themselves would leave empty
// lists out.
func (c Config) MarshalYAML() (any, error) {
	list := func(names []string) *[]string {
		if names == nil {
			return nil
		}
		return &names
	}
	return struct {
		NumRetries      *int      `yaml:"num_retries,omitempty"`
		RetryOn         *[]string `yaml:"retry_on,omitempty"`
		RetryAlgorithm  string    `yaml:"retry_algorithm,omitempty"`
		RetryWait       *float64  `yaml:"retry_wait,omitempty"`
		RetryMaxWait    *float64  `yaml:"retry_max_wait,omitempty"`
		RetryMaxElapsed *float64  `yaml:"retry_max_elapsed,omitempty"`
		RetryJitter     *float64  `yaml:"retry_jitter,omitempty"`
		RetryUntil      *[]string `yaml:"retry_until,omitempty"`
	}{
		c.NumRetries, list(c.RetryOn), c.RetryAlgorithm, c.RetryWait,
		c.RetryMaxWait, c.RetryMaxElapsed, c.RetryJitter, list(c.RetryUntil),
	}, nil
}

// Policy checks the configuration and returns the policy it describes. The
// error names every key that is wrong, each in a *FieldError. For names of
// filters use Over; validators are no part of a policy, but of a method.
func (c Config) Policy() (Policy, error) {
	p, err := c.Over(Policy{}, nil)
	if len(c.RetryUntil) > 0 {
		err = errors.Join(err, &FieldError{Field: "retry_until", Value: c.RetryUntil, Allowed: "must be absent here: validators belong to a method, see activity.Options.RetryConfig"})
	}
	if err != nil {
		return Policy{}, err
	}
	return p, nil
}

// Over returns p with what the configuration says instead, key by key, for policies
// that are declared in Go and tuned from outside. filters are those that retry_on can
// name. The error has a [FieldError] for each key that is wrong. Over does not look at
// RetryUntil, for which there is validation.Named, and leaves p's Cases as they are.
func (c Config) Over(p Policy, filters map[string]Filter) (Policy, error) {
	errs := []error{c.retriesOver(&p), c.filtersOver(&p, filters), c.algorithmOver(&p)}
	errs = append(errs,
		secondsOver(&p.Wait, "retry_wait", c.RetryWait),
		secondsOver(&p.MaxWait, "retry_max_wait", c.RetryMaxWait),
		secondsOver(&p.MaxElapsed, "retry_max_elapsed", c.RetryMaxElapsed),
		c.jitterOver(&p))
	if err := errors.Join(errs...); err != nil {
		return Policy{}, err
	}
	return p, nil
}

func (c *Config) retriesOver(p *Policy) error {
	if c.NumRetries == nil {
		return nil
	}
	p.NumRetries = *c.NumRetries
	if p.NumRetries < 0 || p.NumRetries > MaxRetries {
		return &FieldError{Field: "num_retries", Value: p.NumRetries, Allowed: fmt.Sprintf("must be from 0 to %d", MaxRetries)}
	}
	return nil
}

func (c *Config) filtersOver(p *Policy, filters map[string]Filter) error {
	if len(c.RetryOn) == 0 {
		return nil
	}
	p.RetryOn = nil
	known := slices.Sorted(maps.Keys(filters))
	var errs []error
	for _, name := range c.RetryOn {
		if filters[name] == nil {
			errs = append(errs, &FieldError{Field: "retry_on", Value: name, Allowed: namesAllowed("filter", known)})
		}
		p.RetryOn = append(p.RetryOn, filters[name])
	}
	return errors.Join(errs...)
}

func (c *Config) algorithmOver(p *Policy) error {
	if c.RetryAlgorithm == "" {
		return nil
	}
	algorithm, err := ParseAlgorithm(c.RetryAlgorithm)
	p.Backoff = algorithm
	return err
}

func secondsOver(field *time.Duration, key string, seconds *float64) error {
	if seconds == nil {
		return nil
	}
	if math.IsNaN(*seconds) || *seconds <= 0 || *seconds > MaxDuration.Seconds() {
		return &FieldError{Field: key, Value: *seconds, Allowed: fmt.Sprintf("must be seconds above 0 and at most %.0f", MaxDuration.Seconds())}
	}
	*field = max(time.Duration(*seconds*float64(time.Second)), 1)
	return nil
}

func (c *Config) jitterOver(p *Policy) error {
	if c.RetryJitter == nil {
		return nil
	}
	switch j := *c.RetryJitter; {
	case math.IsNaN(j) || j < 0 || j > 1:
		return &FieldError{Field: "retry_jitter", Value: j, Allowed: "must be from 0 (no jitter) to 1; anything above 0 means full jitter"}
	case j == 0:
		p.Jitter = NoJitter
	default:
		p.Jitter = FullJitter
	}
	return nil
}

// namesAllowed says which names there are.
func namesAllowed(what string, known []string) string {
	if len(known) == 0 {
		return "must be the name of a " + what + " that the program knows; it has none"
	}
	return "must be the name of a " + what + " that the program knows: " + strings.Join(known, ", ")
}

// merge is c with the keys that over has.
func (c Config) merge(over Config) Config {
	if over.NumRetries != nil {
		c.NumRetries = over.NumRetries
	}
	if over.RetryOn != nil {
		c.RetryOn = over.RetryOn
	}
	if over.RetryAlgorithm != "" {
		c.RetryAlgorithm = over.RetryAlgorithm
	}
	if over.RetryWait != nil {
		c.RetryWait = over.RetryWait
	}
	if over.RetryMaxWait != nil {
		c.RetryMaxWait = over.RetryMaxWait
	}
	if over.RetryMaxElapsed != nil {
		c.RetryMaxElapsed = over.RetryMaxElapsed
	}
	if over.RetryJitter != nil {
		c.RetryJitter = over.RetryJitter
	}
	if over.RetryUntil != nil {
		c.RetryUntil = over.RetryUntil
	}
	return c
}

// AllMethods is the key in Configs that stands for every method.
const AllMethods = "*"

// Configs are the configurations of several methods by their names; AllMethods
// stands for all of them. It reads and is written as Config is:
//
//	{"*": {"num_retries": 3, "retry_on": "network"},
//	 "Generate": {"num_retries": 7, "retry_max_wait": 30, "retry_on": []}}
//
// There Generate has its own number of retries, and its own filters, as declared
// in Go.
type Configs map[string]Config

// For returns the configuration of one method: what stands under its name, and what
// that leaves open from AllMethods.
func (c Configs) For(method string) Config { return c[AllMethods].merge(c[method]) }
