package retrypolicy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/concurry-go/concurry/internal/retry"
	"github.com/concurry-go/concurry/retrypolicy"
)

const everyKey = `{
	"num_retries": 5, "retry_on": ["network", "overloaded"], "retry_algorithm": "linear", "retry_wait": 0.25,
	"retry_max_wait": 30, "retry_max_elapsed": 120.5, "retry_jitter": 0.3, "retry_until": ["complete"]
}`

func configs() *rapid.Generator[retrypolicy.Config] {
	seconds := rapid.Ptr(rapid.Float64Range(1e-9, 3e7), true)
	names := rapid.OneOf(rapid.Just([]string(nil)), rapid.SliceOfN(rapid.StringMatching(`[a-zA-Z:_.*-]{1,9}`), 0, 3))
	return rapid.Custom(func(t *rapid.T) retrypolicy.Config {
		return retrypolicy.Config{
			NumRetries:      rapid.Ptr(rapid.IntRange(0, retrypolicy.MaxRetries), true).Draw(t, "num_retries"),
			RetryOn:         names.Draw(t, "retry_on"),
			RetryAlgorithm:  rapid.SampledFrom([]string{"", "exponential", "linear", "fibonacci", "constant"}).Draw(t, "retry_algorithm"),
			RetryWait:       seconds.Draw(t, "retry_wait"),
			RetryMaxWait:    seconds.Draw(t, "retry_max_wait"),
			RetryMaxElapsed: seconds.Draw(t, "retry_max_elapsed"),
			RetryJitter:     rapid.Ptr(rapid.Float64Range(0, 1), true).Draw(t, "retry_jitter"),
			RetryUntil:      names.Draw(t, "retry_until"),
		}
	})
}

func TestConfigIsWrittenBackUnchanged(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := configs().Draw(t, "config")
		data, err := json.Marshal(c)
		require.NoError(t, err)
		var fromJSON retrypolicy.Config
		require.NoError(t, json.Unmarshal(data, &fromJSON))
		require.Equal(t, c, fromJSON)

		fromEnv, err := retrypolicy.ConfigFromEnv("P_", c.Env("P_"))
		require.NoError(t, err)
		require.Equal(t, c, fromEnv)

		many := retrypolicy.Configs{retrypolicy.AllMethods: c, "Other": {}}
		data, err = json.Marshal(many)
		require.NoError(t, err)
		var back retrypolicy.Configs
		require.NoError(t, json.Unmarshal(data, &back))
		require.Equal(t, many, back)
	})
}

func TestConfigDocumentsAreWrittenBackByteForByte(t *testing.T) {
	t.Parallel()
	var compact strings.Builder
	for _, line := range strings.Split(everyKey, "\n") {
		compact.WriteString(strings.TrimSpace(line))
	}
	want := strings.ReplaceAll(strings.ReplaceAll(compact.String(), ": ", ":"), ", ", ",")
	data, err := json.Marshal(decode(t, everyKey))
	require.NoError(t, err)
	assert.Equal(t, want, string(data))

	environ := []string{"P_NUM_RETRIES=5", "P_RETRY_ON=network,overloaded", "P_RETRY_ALGORITHM=linear", "P_RETRY_WAIT=0.25"}
	c, err := retrypolicy.ConfigFromEnv("P_", environ)
	require.NoError(t, err)
	assert.Equal(t, environ, c.Env("P_"))
}

func TestConfigRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	const keys = "no such key; there are num_retries, retry_on, retry_algorithm, retry_wait, retry_max_wait, retry_max_elapsed, retry_jitter, retry_until"
	for text, want := range map[string]string{
		`{"retry_wiat": 1}`:                        `retry_wiat (not shown): ` + keys,
		`{"Num_Retries": 1}`:                       `Num_Retries (not shown): ` + keys,
		`{"num_retries": 1, "num_retries": 2}`:     `num_retries 2: must not stand twice`,
		`{"num_retries": 1.5}`:                     `num_retries 1.5: must be a whole number`,
		`{"num_retries": "3"}`:                     `num_retries "3": must be a whole number`,
		`{"num_retries": 99999999999999999999999}`: `num_retries 99999999999999999999999: must be a whole number`,
		`{"retry_algorithm": 2}`:                   `retry_algorithm 2: must be "exponential", "linear", "fibonacci" or "constant"`,
		`{"retry_wait": "1s"}`:                     `retry_wait "1s": must be a number of seconds`,
		`{"retry_jitter": true}`:                   `retry_jitter true: must be a number from 0 to 1`,
		`{"retry_on": ""}`:                         `retry_on "": must be names, none of them empty`,
		`{"retry_on": ["a", null]}`:                `retry_on ["a", null]: must be names, none of them empty`,
		`{"retry_until": "a,b"}`:                   `retry_until "a,b": must be names, none of them empty`,
		`{"retry_until": {"a": 1}}`:                `retry_until {"a": 1}: must be a name or a list of names`,
		`[1]`:                                      `must be an object of keys and values`,
		`3`:                                        `must be an object of keys and values`,
	} {
		var c retrypolicy.Config
		require.ErrorContains(t, json.Unmarshal([]byte(text), &c), want, text)
		assert.Zero(t, c, text)
		var all retrypolicy.Configs
		require.ErrorContains(t, json.Unmarshal([]byte(`{"Fetch": `+text+`}`), &all), want, text)
	}
	var all retrypolicy.Configs
	require.ErrorContains(t, json.Unmarshal([]byte(`{"A": {}, "A": {}}`), &all), `A (not shown): must not stand twice`)
	require.ErrorContains(t, json.Unmarshal([]byte(`{"A": {"x": 1}, "B": {"y": 1}}`), &all), `"A": x (not shown): no such key`)
	require.ErrorContains(t, json.Unmarshal([]byte(`{"A": {"x": 1}, "B": {"y": 1}}`), &all), `"B": y (not shown): no such key`)
}

func TestConfigFromEnvRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for entry, want := range map[string]string{
		"P_RETRY_WIAT=1":     `P_RETRY_WIAT (not shown): no such variable; there are P_NUM_RETRIES, P_RETRY_ON, P_RETRY_ALGORITHM, P_RETRY_WAIT, P_RETRY_MAX_WAIT, P_RETRY_MAX_ELAPSED, P_RETRY_JITTER, P_RETRY_UNTIL`,
		"P_num_retries=1":    `P_num_retries (not shown): no such variable`,
		"P_=1":               `P_ (not shown): no such variable`,
		"P_NUM_RETRIES=":     `P_NUM_RETRIES "": must be a whole number`,
		"P_NUM_RETRIES=1e1":  `P_NUM_RETRIES "1e1": must be a whole number`,
		"P_RETRY_WAIT=NaN":   `P_RETRY_WAIT "NaN": must be a number of seconds`,
		"P_RETRY_WAIT=inf":   `P_RETRY_WAIT "inf": must be a number of seconds`,
		"P_RETRY_ON=a,,b":    `P_RETRY_ON "a,,b": must be names, none of them empty`,
		"P_RETRY_JITTER=yes": `P_RETRY_JITTER "yes": must be a number from 0 to 1`,
	} {
		c, err := retrypolicy.ConfigFromEnv("P_", []string{"HOME=/", entry, "PATH=/bin"})
		require.ErrorContains(t, err, want)
		assert.Zero(t, c)
	}
	_, err := retrypolicy.ConfigFromEnv("", nil)
	require.EqualError(t, err, `prefix "": must not be empty`)
	c, err := retrypolicy.ConfigFromEnv("P_", []string{"P_NUM_RETRIES=1", "NUM_RETRIES=7", "P_NUM_RETRIES= 2 ", "P_RETRY_ON= a , b "})
	require.NoError(t, err)
	assert.Equal(t, 2, *c.NumRetries)
	assert.Equal(t, []string{"a", "b"}, c.RetryOn)
}

func TestConfigTunesAPolicyKeyByKey(t *testing.T) {
	t.Parallel()
	declared := retrypolicy.Policy{NumRetries: 2, Backoff: retrypolicy.Fibonacci, Jitter: retrypolicy.NoJitter, RetryOn: []retrypolicy.Filter{retrypolicy.ErrorIs(io.EOF)}}
	filters := map[string]retrypolicy.Filter{"none": func(error, retrypolicy.Attempt) bool { return false }}

	p, err := decode(t, `{"num_retries": 7}`).Over(declared, filters)
	require.NoError(t, err)
	assert.Equal(t, 7, p.NumRetries)
	assert.Equal(t, retrypolicy.Fibonacci, p.Backoff)
	assert.Equal(t, retrypolicy.NoJitter, p.Jitter)
	yes, _ := retry.Wanted(&p, io.EOF, retrypolicy.Attempt{})
	assert.True(t, yes, "the filters are those that were declared")

	p, err = decode(t, `{"retry_on": "none", "retry_jitter": 0.5}`).Over(declared, filters)
	require.NoError(t, err)
	assert.Equal(t, retrypolicy.FullJitter, p.Jitter)
	yes, _ = retry.Wanted(&p, io.EOF, retrypolicy.Attempt{})
	assert.False(t, yes)
	assert.Len(t, declared.RetryOn, 1)

	_, err = decode(t, `{"retry_on": ["none", "network"]}`).Over(declared, filters)
	require.EqualError(t, err, `retry_on "network": must be the name of a filter that the program knows: none`)
	_, err = decode(t, `{"retry_on": "network", "retry_until": "complete"}`).Policy()
	require.ErrorContains(t, err, `retry_on "network": must be the name of a filter that the program knows; it has none`)
	require.ErrorContains(t, err, `retry_until [complete]: must be absent here: validators belong to a method`)
}

// An empty list is none from the configuration: the method's own filters hold, also
// against those of all methods.
func TestEmptyListOfAMethodStandsForItsOwn(t *testing.T) {
	t.Parallel()
	declared := retrypolicy.Policy{RetryOn: []retrypolicy.Filter{retrypolicy.ErrorIs(io.EOF)}}
	filters := map[string]retrypolicy.Filter{"network": retrypolicy.ErrorIs(io.ErrUnexpectedEOF)}
	var all retrypolicy.Configs
	require.NoError(t, json.Unmarshal([]byte(`{
		"*": {"num_retries": 3, "retry_on": "network", "retry_until": ["complete"]},
		"A": {"retry_on": [], "retry_until": []},
		"B": {"retry_on": null}
	}`), &all))
	retries := func(method string, err error) bool {
		p, wrong := all.For(method).Over(declared, filters)
		require.NoError(t, wrong)
		assert.Equal(t, 3, p.NumRetries, method)
		yes, _ := retry.Wanted(&p, err, retrypolicy.Attempt{})
		return yes
	}
	assert.True(t, retries("A", io.EOF))
	assert.False(t, retries("A", io.ErrUnexpectedEOF))
	assert.Equal(t, []string{}, all.For("A").RetryUntil)
	for _, method := range []string{"B", "C"} { // an absent key changes nothing
		assert.False(t, retries(method, io.EOF), method)
		assert.True(t, retries(method, io.ErrUnexpectedEOF), method)
		assert.Equal(t, []string{"complete"}, all.For(method).RetryUntil)
	}

	fromEnv, err := retrypolicy.ConfigFromEnv("X_", []string{"X_RETRY_ON=", "X_RETRY_UNTIL= "})
	require.NoError(t, err)
	assert.Equal(t, all["A"], fromEnv)
	assert.Equal(t, []string{"X_RETRY_ON=", "X_RETRY_UNTIL="}, fromEnv.Env("X_"))
	data, err := json.Marshal(all["A"])
	require.NoError(t, err)
	assert.JSONEq(t, `{"retry_on": [], "retry_until": []}`, string(data))
	p, err := fromEnv.Policy()
	require.NoError(t, err)
	assert.Equal(t, retrypolicy.Policy{}, p)
}

// What stands under a key that is not known may be a secret in the wrong place.
func TestConfigShowsNoValueOfWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	const secret = "sk-secret"
	read := map[string]func(text string) error{
		"Config": func(text string) error {
			var c retrypolicy.Config
			return json.Unmarshal([]byte(text), &c)
		},
		"Configs": func(text string) error {
			var c retrypolicy.Configs
			return json.Unmarshal([]byte(text), &c)
		},
		"Config under a method": func(text string) error {
			var c retrypolicy.Configs
			return json.Unmarshal([]byte(`{"*": `+text+`}`), &c)
		},
		"Config as a YAML library reads it": func(text string) error {
			var c retrypolicy.Config
			return c.UnmarshalYAML(func(v any) error { return json.Unmarshal([]byte(text), v) })
		},
		"Configs as a YAML library reads them": func(text string) error {
			var c retrypolicy.Configs
			return c.UnmarshalYAML(func(v any) error { return json.Unmarshal([]byte(text), v) })
		},
	}
	for name, read := range read {
		for _, text := range []string{
			`{"API_KEY": "sk-secret"}`, `{"API_KEY": ["sk-secret"]}`, `{"API_KEY": {"key": "sk-secret"}}`,
			`{"API_KEY": 1, "API_KEY": "sk-secret", "x": 1}`, `{"sk": {"num_retries": 1, "token": "sk-secret"}, "x": 1}`,
			`"sk-secret"`, `["sk-secret"]`, `{"A": "sk-secret", "A": ["sk-secret"]}`, `{"num_retries": 1, "x": "sk-secret"}`,
		} {
			err := read(text)
			require.Error(t, err, "%s: %s", name, text)
			assert.NotContains(t, err.Error(), secret, "%s: %s", name, text)
			for _, f := range fieldErrors(err) {
				assert.NotContains(t, fmt.Sprint(f.Value), secret, "%s: %s", name, text)
			}
		}
	}
	_, err := retrypolicy.ConfigFromEnv("LLM_", []string{"LLM_NUM_RETRIES=3", "LLM_API_KEY=sk-secret"})
	require.ErrorContains(t, err, "LLM_API_KEY (not shown): no such variable; there are LLM_NUM_RETRIES, ")
	assert.NotContains(t, err.Error(), secret)
	_, err = retrypolicy.ConfigFromEnv("LLM_", []string{"LLM_NUM_RETRIES=many"})
	require.ErrorContains(t, err, `LLM_NUM_RETRIES "many": must be a whole number`)

	// As some YAML libraries make them; the keys may be of any type, and some
	// values cannot be written as JSON.
	var c retrypolicy.Config
	err = c.UnmarshalYAML(func(v any) error {
		*v.(*any) = map[any]any{"API_KEY": math.Inf(1), 7: map[any]any{"sk-secret": "sk-secret"}, "num_retries": math.NaN()}
		return nil
	})
	require.ErrorContains(t, err, "7 (not shown): no such key")
	require.ErrorContains(t, err, "API_KEY (not shown): no such key")
	require.ErrorContains(t, err, `num_retries "NaN": must be a finite number`)
	assert.NotContains(t, err.Error(), secret)
}

func TestConfigOfAMethodFillsUpFromAllMethods(t *testing.T) {
	t.Parallel()
	var all retrypolicy.Configs
	require.NoError(t, json.Unmarshal([]byte(`{"*": `+everyKey+`, "A": {"retry_wait": 9}, "B": `+strings.ReplaceAll(everyKey, "5", "6")+`}`), &all))
	want := all[retrypolicy.AllMethods]
	assert.Equal(t, want, all.For("unknown"))
	nine := 9.0
	want.RetryWait = &nine
	assert.Equal(t, want, all.For("A"))
	assert.Equal(t, all["B"], all.For("B"))
	assert.Equal(t, retrypolicy.Config{}, retrypolicy.Configs(nil).For("A"))
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{"num_retries": 3, "retry_algorithm": "linear", "retry_wait": 0.1, "retry_max_wait": 9, "retry_jitter": 0.3}`))
	f.Add([]byte(`{"num_retries": -1, "retry_wait": 1e300, "retry_jitter": 1e-300}`))
	f.Add([]byte(`{"retry_wait": 3.1536e7, "retry_max_wait": 5e-324, "retry_on": "x", "retry_until": ["y", "z"]}`))
	f.Add([]byte(`{"a": {}, "b": [1, {"c": null}], "a": 1} trailing`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var c retrypolicy.Config
		if json.Unmarshal(data, &c) != nil {
			return
		}
		checkConfig(t, c)
		written, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var back retrypolicy.Config
		if err := json.Unmarshal(written, &back); err != nil {
			t.Fatalf("%s was written as %s: %v", data, written, err)
		}
		assert.Equal(t, c, back)
	})
}

func FuzzConfigFromEnv(f *testing.F) {
	f.Add("P_NUM_RETRIES=3\nP_RETRY_ON=a,b\nP_RETRY_WAIT=0x1p-2")
	f.Add("P_RETRY_JITTER=-0\nP_RETRY_MAX_ELAPSED=1_000\n=")
	f.Fuzz(func(t *testing.T, lines string) {
		c, err := retrypolicy.ConfigFromEnv("P_", strings.Split(lines, "\n"))
		if err != nil {
			if len(fieldErrors(err)) == 0 {
				t.Fatalf("an error that names no variable: %v", err)
			}
			return
		}
		checkConfig(t, c)
		back, err := retrypolicy.ConfigFromEnv("P_", c.Env("P_"))
		if err != nil {
			t.Fatal(err)
		}
		assert.Equal(t, c, back)
	})
}

// checkConfig: what was read becomes a policy that works, or an error that
// names a key.
func checkConfig(t *testing.T, c retrypolicy.Config) {
	t.Helper()
	filters := map[string]retrypolicy.Filter{}
	for _, name := range c.RetryOn {
		filters[name] = retrypolicy.ErrorIs(errors.New(name))
	}
	p, err := c.Over(retrypolicy.Policy{}, filters)
	if err != nil {
		if len(fieldErrors(err)) == 0 {
			t.Fatalf("an error that names no key: %v", err)
		}
		return
	}
	if err := p.Check(); err != nil {
		t.Fatalf("a policy that Check refuses: %v", err)
	}
	for _, n := range []int{1, 2, p.Attempts(), math.MaxInt} {
		if d := p.Delay(n, highest); d < 0 || d > retrypolicy.MaxDuration {
			t.Fatalf("wait %v after attempt %d", d, n)
		}
	}
}

func TestEmbeddedPointerToAConfigIsAnError(t *testing.T) {
	t.Parallel()
	var outer struct{ *retrypolicy.Config }
	require.ErrorContains(t, json.Unmarshal([]byte(`{"num_retries": 1}`), &outer), "must not be embedded")
}

func TestVeryManyMistakesAreCounted(t *testing.T) {
	t.Parallel()
	keys := map[string]int{}
	for i := range 1000 {
		keys[fmt.Sprint("key", i)] = i
	}
	data, err := json.Marshal(keys)
	require.NoError(t, err)
	var c retrypolicy.Config
	err = json.Unmarshal(data, &c)
	require.ErrorContains(t, err, "and 980 mistakes more")
	assert.Less(t, len(err.Error()), 10_000)
}
