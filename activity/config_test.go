package activity_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/internal/registration"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/validation"
)

// configured is a definition tuned by a configuration.
func configured(t *testing.T, config string) activity.Options {
	t.Helper()
	o := activity.Options{
		Retry:        retrypolicy.Policy{NumRetries: 1, Wait: retrypolicy.NoWait, RetryOn: []retrypolicy.Filter{retrypolicy.ErrorIs(io.EOF)}},
		CallTimeout:  time.Minute,
		NamedFilters: map[string]retrypolicy.Filter{"lost": retrypolicy.ErrorIs(io.ErrUnexpectedEOF)},
	}
	require.NoError(t, json.Unmarshal([]byte(config), &o.RetryConfig))
	return o
}

func attempts(t *testing.T, d *activity.Definition[*bot], own activity.MethodOptions[string, string], failure error) int {
	t.Helper()
	n := 0
	h := activity.Method(d, "Say", func(*bot, context.Context, string) (string, error) {
		n++
		return "x", failure
	}, own)
	_, _ = h.Inline(&bot{}).WithClock(testsuite.NewClock().Clock()).Call(t.Context(), "x")
	return n
}

func TestConfigurationTunesTheMethodsPolicy(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		config string
		err    error
		want   int
	}{
		{`{}`, io.EOF, 2},
		{`{"*": {"num_retries": 3}}`, io.EOF, 4},
		{`{"*": {"num_retries": 3}}`, errors.New("another"), 1},
		{`{"*": {"num_retries": 3}, "Say": {"num_retries": 5}}`, io.EOF, 6},
		{`{"*": {"num_retries": 3}, "Say": {"retry_on": "lost"}}`, io.EOF, 1},
		{`{"*": {"num_retries": 3}, "Say": {"retry_on": "lost"}}`, io.ErrUnexpectedEOF, 4},
		{`{"Ping": {"num_retries": 9}}`, io.EOF, 2},
	} {
		d := activity.Define[*bot]("Bot", configured(t, tc.config))
		assert.Equal(t, tc.want, attempts(t, d, activity.MethodOptions[string, string]{}, tc.err), tc.config)
	}
	own := retrypolicy.Policy{NumRetries: 7, Wait: retrypolicy.NoWait}
	d := activity.Define[*bot]("Bot", configured(t, `{"*": {"num_retries": 3}}`))
	assert.Equal(t, 4, attempts(t, d, activity.MethodOptions[string, string]{Retry: &own}, errors.New("any")), "over a policy of the method's own too")
}

func TestConfigurationNamesValidators(t *testing.T) {
	t.Parallel()
	d := activity.Define[*bot]("Bot", configured(t, `{"Say": {"retry_until": ["long", "never"]}}`))
	always := 0
	n := attempts(t, d, activity.MethodOptions[string, string]{
		RetryUntil: []validation.Validator[string]{func(string, retrypolicy.Attempt) error { always++; return nil }},
		NamedValidators: map[string]validation.Validator[string]{
			"long":  validation.AcceptIf("too short", func(s string) bool { return s != "" }),
			"never": never,
		},
	}, nil)
	assert.Equal(t, 2, n)
	assert.Equal(t, 2, always, "a file cannot switch off what is written in Go")
}

func TestConfigurationThatIsWrongIsNamed(t *testing.T) {
	t.Parallel()
	_, err := activity.NewDefinition[*bot]("Bot", configured(t, `{"Shout": {}}`))
	require.EqualError(t, err, `Bot: RetryConfig "Shout": must be "*" or a method: Join, Mix, Ping, Say, Tell`)
	_, err = activity.NewFunc("Plain", plain, activity.FuncOptions[string, string]{RetryConfig: configured(t, `{"Plane": {}}`).RetryConfig})
	require.EqualError(t, err, `Plain: RetryConfig "Plane": must be "*" or a method: Plain`)
	foreign := configured(t, `{"Charge": {}}`)
	foreign.CallTimeout = 0
	_, err = registration.PolicySpec("ChargeCard", foreign)
	require.EqualError(t, err, `ChargeCard: RetryConfig "Charge": must be "*" or a method: ChargeCard`)

	for config, want := range map[string]string{
		`{"*": {"num_retries": -1, "retry_wait": 0}}`: "Bot.Say: RetryConfig.num_retries -1: must be from 0 to 1000000\nBot.Say: RetryConfig.retry_wait 0: must be seconds above 0 and at most 31536000",
		`{"Say": {"retry_on": ["lost", "network"]}}`:  `Bot.Say: RetryConfig.retry_on "network": must be the name of a filter that the program knows: lost`,
		`{"Say": {"retry_until": "complete"}}`:        `Bot.Say: RetryConfig.retry_until "complete": must be the name of a validator that the method has; it has none`,
	} {
		_, err = activity.NewMethod(activity.Define[*bot]("Bot", configured(t, config)), "Say", (*bot).Say)
		require.EqualError(t, err, want)
	}
	_, err = activity.NewMethod(activity.Define[*bot]("Bot", configured(t, `{"Say": {"retry_until": "complete"}}`)), "Say", (*bot).Say,
		activity.MethodOptions[string, string]{NamedValidators: map[string]validation.Validator[string]{"never": never, "long": never}})
	require.ErrorContains(t, err, "that the method has: long, never")
}

func TestForeignWorkersAreRefusedWhatTheyWouldIgnore(t *testing.T) {
	t.Parallel()
	_, err := activity.NewDefinition[*bot]("Bot", activity.Options{
		ForeignWorkers: true, Observers: []retrypolicy.Observer{func(context.Context, retrypolicy.Event) {}},
		Retry: retrypolicy.Policy{
			NumRetries: 1, Cases: []retrypolicy.Case{{On: retrypolicy.ErrorIs(io.EOF)}},
			MaxElapsed: time.Second, Budget: &retrypolicy.Budget{},
		},
	})
	for _, field := range []string{`Retry.Cases "1 cases"`, "Retry.MaxElapsed 1s", `Retry.Budget "a budget"`, `Observers "1 observers"`} {
		require.ErrorContains(t, err, "Bot: "+field+": must be unset with ForeignWorkers, which would ignore it")
	}
	_, err = activity.NewDefinition[*bot]("Bot", activity.Options{Observers: []retrypolicy.Observer{nil}})
	require.EqualError(t, err, `Bot: Observers[0] "nil": must be a function`)
}

// Two methods of one worker type, tuned by one document.
func ExampleOptions_retryConfig() {
	var config retrypolicy.Configs
	if err := json.Unmarshal([]byte(`{"*": {"num_retries": 2}, "Generate": {"num_retries": 6}}`), &config); err != nil {
		fmt.Println(err)
		return
	}
	d, err := activity.NewDefinition[*LLM]("LLM", activity.Options{CallTimeout: time.Minute, RetryConfig: config})
	fmt.Println(d.Name(), err)
	_, err = activity.NewDefinition[*LLM]("LLM", activity.Options{RetryConfig: retrypolicy.Configs{"Genarate": {}}})
	fmt.Println(err)
	// Output:
	// LLM <nil>
	// LLM: RetryConfig "Genarate": must be "*" or a method: Generate
}

func TestWhatOnlyAConfigurationCanNameIsRefusedWithoutOne(t *testing.T) {
	t.Parallel()
	fn := func(context.Context, string) (string, error) { return "", nil }
	refuses := validation.AcceptIf("never", func(string) bool { return false })
	_, err := activity.NewFunc("F", fn, activity.FuncOptions[string, string]{
		NamedValidators: map[string]validation.Validator[string]{"never": refuses},
	})
	require.ErrorContains(t, err, "NamedValidators")
	_, err = activity.NewFunc("F", fn, activity.FuncOptions[string, string]{NamedFilters: map[string]retrypolicy.Filter{"eof": retrypolicy.ErrorIs(io.EOF)}})
	require.ErrorContains(t, err, "NamedFilters")
	_, err = activity.NewFunc("F", fn, activity.FuncOptions[string, string]{
		RetryConfig:     retrypolicy.Configs{},
		NamedValidators: map[string]validation.Validator[string]{"never": refuses},
	})
	require.NoError(t, err, "a configuration that is empty could name them")
}
