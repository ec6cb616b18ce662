package retrypolicy

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Config is the part of a policy that configuration files hold, with the keys
// of concurry. Pointers tell a key that is absent from one that is zero.
// Times are seconds, as they are there.
type Config struct {
	// NumRetries is retries after the first attempt; default 0.
	NumRetries *int `json:"num_retries,omitempty" yaml:"num_retries,omitempty"`
	// RetryAlgorithm is exponential (default), linear, fibonacci or constant.
	RetryAlgorithm string `json:"retry_algorithm,omitempty" yaml:"retry_algorithm,omitempty"`
	// RetryWait is the base wait in seconds, above 0; default 1.
	RetryWait *float64 `json:"retry_wait,omitempty" yaml:"retry_wait,omitempty"`
	// RetryMaxWait caps each wait, in seconds, above 0; default: a year.
	RetryMaxWait *float64 `json:"retry_max_wait,omitempty" yaml:"retry_max_wait,omitempty"`
	// RetryJitter is 0 for no jitter; anything up to 1 means full jitter,
	// whatever the number, as in concurry. Default 0.3, full jitter.
	RetryJitter *float64 `json:"retry_jitter,omitempty" yaml:"retry_jitter,omitempty"`
}

// Policy checks the configuration and returns the policy it describes. The
// error names every key that is wrong.
func (c Config) Policy() (Policy, error) {
	var p Policy
	var errs []error
	bad := func(key string, value any, allowed string) {
		errs = append(errs, &FieldError{Field: key, Value: value, Allowed: allowed})
	}
	if c.NumRetries != nil {
		p.NumRetries = *c.NumRetries
		if p.NumRetries < 0 || p.NumRetries > MostRetries {
			bad("num_retries", p.NumRetries, fmt.Sprintf("must be from 0 to %d", MostRetries))
		}
	}
	algorithm, err := ParseAlgorithm(c.RetryAlgorithm)
	if err != nil {
		bad("retry_algorithm", c.RetryAlgorithm, algorithmsAllowed)
	}
	p.Backoff = algorithm
	if p.Wait, err = seconds(c.RetryWait); err != nil {
		bad("retry_wait", *c.RetryWait, err.Error())
	}
	if p.MaxWait, err = seconds(c.RetryMaxWait); err != nil {
		bad("retry_max_wait", *c.RetryMaxWait, err.Error())
	}
	if c.RetryJitter != nil {
		switch j := *c.RetryJitter; {
		case math.IsNaN(j) || j < 0 || j > 1:
			bad("retry_jitter", j, "must be from 0 (no jitter) to 1; anything above 0 means full jitter")
		case j == 0:
			p.Jitter = NoJitter
		}
	}
	if err := errors.Join(errs...); err != nil {
		return Policy{}, err
	}
	return p, nil
}

var errSeconds = fmt.Errorf("must be seconds above 0 and at most %.0f", LongestWait.Seconds())

// seconds is 0, the default, for an absent key.
func seconds(s *float64) (time.Duration, error) {
	if s == nil {
		return 0, nil
	}
	if math.IsNaN(*s) || *s <= 0 || *s > LongestWait.Seconds() {
		return 0, errSeconds
	}
	return max(time.Duration(*s*float64(time.Second)), 1), nil
}
