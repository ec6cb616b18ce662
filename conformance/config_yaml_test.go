package conformance_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/concurry-go/concurry/retrypolicy"
)

// How a YAML library reads retrypolicy.Config, tested here so that no importer
// of the SDK gets one.

func TestConfigRefusesWhatItDoesNotKnowInYAML(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"retry_wiat: 1":                  `retry_wiat (not shown): no such key`,
		"num_retries: many":              `num_retries "many": must be a whole number`,
		"retry_wait: .inf":               `retry_wait "+Inf": must be a finite number`,
		"retry_on: {a: 1}":               `must be a name or a list of names`,
		"num_retries: 1\nnum_retries: 2": "already defined",
		"- 1":                            "must be an object of keys and values",
	} {
		var c retrypolicy.Config
		require.ErrorContains(t, yaml.Unmarshal([]byte(text), &c), want, text)
		assert.Zero(t, c, text)
	}
	var all retrypolicy.Configs
	require.ErrorContains(t, yaml.Unmarshal([]byte("Fetch: {retry_wiat: 1}\nAsk: {num_retries: many}\n"), &all), `"Fetch": retry_wiat (not shown): no such key`)
	require.ErrorContains(t, yaml.Unmarshal([]byte("Fetch: sk-secret"), &all), `"Fetch": must be an object of keys and values`)
	require.NoError(t, yaml.Unmarshal([]byte("\"*\": {num_retries: 2, retry_on: network}\nFetch: {num_retries: 9}\n"), &all))
	nine := 9
	assert.Equal(t, retrypolicy.Config{NumRetries: &nine, RetryOn: []string{"network"}}, all.For("Fetch"))
}

func TestConfigIsWrittenBackAsYAMLUnchanged(t *testing.T) {
	t.Parallel()
	document := "num_retries: 5\nretry_on:\n    - network\nretry_algorithm: fibonacci\nretry_wait: 0.5\nretry_jitter: 0\n"
	var c retrypolicy.Config
	require.NoError(t, yaml.Unmarshal([]byte(document), &c))
	data, err := yaml.Marshal(c)
	require.NoError(t, err)
	assert.Equal(t, document, string(data))

	document = "retry_on: []\nretry_until: []\n"
	c = retrypolicy.Config{}
	require.NoError(t, yaml.Unmarshal([]byte(document), &c))
	assert.Equal(t, retrypolicy.Config{RetryOn: []string{}, RetryUntil: []string{}}, c)
	data, err = yaml.Marshal(c)
	require.NoError(t, err)
	assert.Equal(t, document, string(data))

	names := rapid.OneOf(rapid.Just([]string(nil)), rapid.SliceOfN(rapid.StringMatching(`[a-zA-Z:_.*-]{1,9}`), 0, 3))
	rapid.Check(t, func(t *rapid.T) {
		c := retrypolicy.Config{
			NumRetries:  rapid.Ptr(rapid.IntRange(0, retrypolicy.MaxRetries), true).Draw(t, "num_retries"),
			RetryOn:     names.Draw(t, "retry_on"),
			RetryWait:   rapid.Ptr(rapid.Float64Range(1e-9, 3e7), true).Draw(t, "retry_wait"),
			RetryJitter: rapid.Ptr(rapid.Float64Range(0, 1), true).Draw(t, "retry_jitter"),
			RetryUntil:  names.Draw(t, "retry_until"),
		}
		data, err := yaml.Marshal(c)
		require.NoError(t, err)
		var back retrypolicy.Config
		require.NoError(t, yaml.Unmarshal(data, &back), "%s", data)
		require.Equal(t, c, back, "%s", data)
	})
}

func FuzzConfigYAML(f *testing.F) {
	f.Add([]byte("num_retries: 3\nretry_on: [a, b]\nretry_wait: 0.5\n"))
	f.Add([]byte("{retry_jitter: .nan, ? [1]: 2}"))
	f.Add([]byte("&a num_retries: 3\nretry_wait: *a\n<<: {retry_jitter: 1}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var c retrypolicy.Config
		if yaml.Unmarshal(data, &c) != nil {
			return
		}
		if p, err := c.Policy(); err == nil {
			assert.NoError(t, p.Check(), "what was read becomes a policy that works")
		}
		written, err := yaml.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var back retrypolicy.Config
		if err := yaml.Unmarshal(written, &back); err != nil {
			t.Fatalf("%s was written as %s: %v", data, written, err)
		}
		assert.Equal(t, c, back)
	})
}
