package conformance_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

func TestRetryConfig(t *testing.T) {
	under(t, "RetryConfig")
	block(t, "`retrypolicy.Policy`, and `retrypolicy.Config` in files", Example_retryConfig)
	want := retrypolicy.Policy{NumRetries: 3, Backoff: retrypolicy.Linear, Wait: 500 * time.Millisecond, MaxWait: 9 * time.Second}
	row(t, "from JSON, with the guide's keys", "`retrypolicy.Config`", func(t *testing.T) {
		var c retrypolicy.Config
		require.NoError(t, json.Unmarshal([]byte(`{"num_retries": 3, "retry_algorithm": "linear", "retry_wait": 0.5, "retry_jitter": 0.3, "retry_max_wait": 9}`), &c))
		p, err := c.Policy()
		require.NoError(t, err)
		assert.Equal(t, want, p)
	})
	row(t, "from YAML", "`retrypolicy.Config`, with any YAML library", func(t *testing.T) {
		var c retrypolicy.Config
		require.NoError(t, yaml.Unmarshal([]byte("num_retries: 3\nretry_algorithm: linear\nretry_wait: 0.5\nretry_jitter: 0.3\nretry_max_wait: 9\n"), &c))
		p, err := c.Policy()
		require.NoError(t, err)
		assert.Equal(t, want, p)
	})
	row(t, "from the environment", "`retrypolicy.ConfigFromEnv`", func(t *testing.T) {
		c, err := retrypolicy.ConfigFromEnv("LLM_", []string{
			"LLM_NUM_RETRIES=3", "LLM_RETRY_ALGORITHM=linear", "LLM_RETRY_WAIT=0.5", "LLM_RETRY_JITTER=0.3", "LLM_RETRY_MAX_WAIT=9",
		})
		require.NoError(t, err)
		p, err := c.Policy()
		require.NoError(t, err)
		assert.Equal(t, want, p)
	})
	row(t, "retry_on and retry_until name filters and validators", "`Config.Over`, `validation.Named`, `Options.RetryConfig`", func(t *testing.T) {
		var c retrypolicy.Config
		require.NoError(t, json.Unmarshal([]byte(`{"retry_on": ["connection", "timeout"], "retry_until": "confident"}`), &c))
		p, err := c.Over(retrypolicy.Policy{}, map[string]retrypolicy.Filter{
			"connection": retrypolicy.ErrorIs(errConnection), "timeout": retrypolicy.ErrorIs(errTimeout),
		})
		require.NoError(t, err)
		assert.Len(t, p.RetryOn, 2)
		v, err := validation.Named(c.RetryUntil, map[string]validation.Validator[Reply]{"confident": confident})
		require.NoError(t, err)
		assert.Len(t, v, 1)
	})
	row(t, "unknown keys are refused", "an error that names the key, and those there are", func(t *testing.T) {
		var c retrypolicy.Config
		require.ErrorContains(t, json.Unmarshal([]byte(`{"num_retrys": 3}`), &c), `num_retrys (not shown): no such key; there are num_retries, retry_on, `)
		require.ErrorContains(t, yaml.Unmarshal([]byte("num_retrys: 3"), &c), `num_retrys (not shown): no such key; there are num_retries, retry_on, `)
		_, err := retrypolicy.ConfigFromEnv("LLM_", []string{"LLM_NUM_RETRYS=3"})
		require.ErrorContains(t, err, `LLM_NUM_RETRYS (not shown): no such variable; there are LLM_NUM_RETRIES, LLM_RETRY_ON, `)
	})
	row(t, "written back unchanged", "`json.Marshal`, `yaml.Marshal`, `Config.Env`", func(t *testing.T) {
		const document = `{"num_retries":3,"retry_on":["a"],"retry_algorithm":"linear","retry_wait":0.5,"retry_jitter":0.3,"retry_until":["b"]}`
		var c, fromYAML retrypolicy.Config
		require.NoError(t, json.Unmarshal([]byte(document), &c))
		data, err := json.Marshal(c)
		require.NoError(t, err)
		assert.Equal(t, document, string(data)) //nolint:testifylint // byte for byte
		data, err = yaml.Marshal(c)
		require.NoError(t, err)
		require.NoError(t, yaml.Unmarshal(data, &fromYAML))
		assert.Equal(t, c, fromYAML)
		fromEnv, err := retrypolicy.ConfigFromEnv("X_", c.Env("X_"))
		require.NoError(t, err)
		assert.Equal(t, c, fromEnv)
	})
}

func TestRetryValidationErrorFields(t *testing.T) {
	under(t, "RetryValidationError (fields)")
	block(t, "`validation.RetryValidationError`", Example_retryValidationErrorFields)
	everywhere(t, "attempts, all_results, validation_errors, method_name", "`Attempts`, `validation.Results`, `ValidationErrors`, `MethodName`", func(t *testing.T, e Engine) {
		rve := call{policy: retrypolicy.Policy{NumRetries: 1}, until: until(hasText), body: says(Reply{Confidence: 1})}.run(t, e).refused(t)
		assert.Equal(t, 2, rve.Attempts)
		assert.Equal(t, "Model.Ask", rve.MethodName)
		assert.Equal(t, []string{errNoData.Error(), errNoData.Error()}, rve.ValidationErrors)
		all, err := validation.Results[Reply](rve)
		require.NoError(t, err)
		assert.Equal(t, []Reply{{Confidence: 1}, {Confidence: 1}}, all)
		assert.Equal(t, "Model.Ask: no valid result in 2 attempt(s): the reply has no data", rve.Error())
	})
}

func TestRetryAlgorithmConstants(t *testing.T) {
	under(t, "Retry Algorithms (constants)")
	block(t, "`retrypolicy.Exponential`, `Linear`, `Fibonacci`", Example_algorithms)
	row(t, "by name", "`retrypolicy.ParseAlgorithm`", func(t *testing.T) {
		for name, want := range map[string]retrypolicy.Algorithm{
			"": retrypolicy.Exponential, "exponential": retrypolicy.Exponential, "linear": retrypolicy.Linear, "fibonacci": retrypolicy.Fibonacci,
		} {
			got, err := retrypolicy.ParseAlgorithm(name)
			require.NoError(t, err)
			assert.Equal(t, want, got)
		}
		_, err := retrypolicy.ParseAlgorithm("cubic")
		require.EqualError(t, err, `retry_algorithm "cubic": must be "exponential", "linear", "fibonacci" or "constant"`)
	})
}
