package retrypolicy_test

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/retrypolicy"
)

func TestEmptyConfigIsTheZeroPolicy(t *testing.T) {
	t.Parallel()
	p, err := retrypolicy.Config{}.Policy()
	require.NoError(t, err)
	assert.Equal(t, retrypolicy.Policy{}, p)
}

func TestConfigReadsTheSpecificationsKeys(t *testing.T) {
	t.Parallel()
	p := parse(t, `{"num_retries": 5, "retry_algorithm": "fibonacci", "retry_wait": 2.5, "retry_max_wait": 30, "retry_jitter": 0}`)
	assert.Equal(t, retrypolicy.Policy{
		NumRetries: 5, Backoff: retrypolicy.Fibonacci, Wait: 2500 * time.Millisecond, MaxWait: 30 * time.Second, Jitter: retrypolicy.NoJitter,
	}, p)
}

func TestConfigJitterOfZeroIsNoneAndAnythingElseIsFull(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]retrypolicy.Jitter{
		`{}`:                      retrypolicy.FullJitter,
		`{"retry_jitter": 0}`:     retrypolicy.NoJitter,
		`{"retry_jitter": 0.0}`:   retrypolicy.NoJitter,
		`{"retry_jitter": 1e-9}`:  retrypolicy.FullJitter,
		`{"retry_jitter": 0.3}`:   retrypolicy.FullJitter,
		`{"retry_jitter": 1}`:     retrypolicy.FullJitter,
		`{"retry_jitter": null}`:  retrypolicy.FullJitter,
		`{"retry_jitter": -0.0}`:  retrypolicy.NoJitter,
		`{"retry_algorithm": ""}`: retrypolicy.FullJitter,
	} {
		assert.Equal(t, want, parse(t, text).Jitter, text)
	}
}

func TestConfigNamesTheKeyThatIsWrong(t *testing.T) {
	t.Parallel()
	const waits = ": must be seconds above 0 and at most 31536000"
	nan, inf, negative := math.NaN(), math.Inf(1), -1.5
	for name, tc := range map[string]struct {
		config retrypolicy.Config
		text   string
	}{
		"zero wait":         {decode(t, `{"retry_wait": 0}`), "retry_wait 0" + waits},
		"negative wait":     {decode(t, `{"retry_wait": -1}`), "retry_wait -1" + waits},
		"NaN wait":          {retrypolicy.Config{RetryWait: &nan}, "retry_wait NaN" + waits},
		"infinite wait":     {retrypolicy.Config{RetryWait: &inf}, "retry_wait +Inf" + waits},
		"wait over a year":  {decode(t, `{"retry_wait": 31536001}`), "retry_wait 3.1536001e+07" + waits},
		"zero max wait":     {decode(t, `{"retry_max_wait": 0}`), "retry_max_wait 0" + waits},
		"negative max wait": {retrypolicy.Config{RetryMaxWait: &negative}, "retry_max_wait -1.5" + waits},
		"negative retries":  {decode(t, `{"num_retries": -1}`), "num_retries -1: must be from 0 to 1000000"},
		"too many retries":  {decode(t, `{"num_retries": 1000001}`), "num_retries 1000001: must be from 0 to 1000000"},
		"algorithm":         {decode(t, `{"retry_algorithm": "cubic"}`), `retry_algorithm "cubic": must be "exponential", "linear", "fibonacci" or "constant"`},
		"negative jitter":   {decode(t, `{"retry_jitter": -0.1}`), "retry_jitter -0.1: must be from 0 (no jitter) to 1; anything above 0 means full jitter"},
		"jitter above 1":    {decode(t, `{"retry_jitter": 1.01}`), "retry_jitter 1.01: must be from 0 (no jitter) to 1"},
		"NaN jitter":        {retrypolicy.Config{RetryJitter: &nan}, "retry_jitter NaN: must be from 0 (no jitter) to 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := tc.config.Policy()
			require.ErrorContains(t, err, tc.text)
			assert.Equal(t, retrypolicy.Policy{}, p)
			assert.Len(t, fieldErrors(err), 1)
		})
	}
}

func TestConfigReportsEveryMistakeAtOnce(t *testing.T) {
	t.Parallel()
	_, err := decode(t, `{"num_retries": -1, "retry_algorithm": "x", "retry_wait": 0, "retry_max_wait": -3, "retry_jitter": 2}`).Policy()
	var keys []string
	for _, f := range fieldErrors(err) {
		keys = append(keys, f.Field)
	}
	assert.Equal(t, []string{"num_retries", "retry_algorithm", "retry_wait", "retry_max_wait", "retry_jitter"}, keys)
}

func TestConfigWaitBelowANanosecondIsNotTheDefault(t *testing.T) {
	t.Parallel()
	assert.Equal(t, time.Duration(1), parse(t, `{"retry_wait": 1e-15}`).Wait)
}

func TestAbsentKeysAreNotWritten(t *testing.T) {
	t.Parallel()
	data, err := json.Marshal(retrypolicy.Config{})
	require.NoError(t, err)
	assert.JSONEq(t, `{}`, string(data))
	zero, none := 0, 0.0
	data, err = json.Marshal(retrypolicy.Config{NumRetries: &zero, RetryJitter: &none})
	require.NoError(t, err)
	assert.JSONEq(t, `{"num_retries":0,"retry_jitter":0}`, string(data))
}

func decode(t *testing.T, text string) retrypolicy.Config {
	t.Helper()
	var c retrypolicy.Config
	require.NoError(t, json.Unmarshal([]byte(text), &c))
	return c
}

func parse(t *testing.T, text string) retrypolicy.Policy {
	t.Helper()
	p, err := decode(t, text).Policy()
	require.NoError(t, err)
	return p
}
