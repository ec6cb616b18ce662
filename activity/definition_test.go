package activity_test

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

type bot struct{}

func (*bot) Say(_ context.Context, s string) (string, error)            { return s, nil }
func (*bot) Ping(context.Context) (string, error)                       { return "pong", nil }
func (*bot) Tell(_ context.Context, _ string) error                     { return nil }
func (*bot) Join(_ context.Context, a string, n int) (string, error)    { return a, nil }
func (*bot) Mix(_ context.Context, a, b string, c bool) (string, error) { return a + b, nil }
func plain(_ context.Context, s string) (string, error)                 { return s, nil }
func never(string, retrypolicy.Attempt) error                           { return validation.ErrRefused }

func TestDefinitionNamesTheFieldThatIsWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		definition string
		options    activity.Options
		want       []string
	}{
		"negative retries":            {"Bot", activity.Options{Retry: retrypolicy.Policy{NumRetries: -1}}, []string{"Bot: Retry.NumRetries -1: must be from 0"}},
		"unknown algorithm":           {"Bot", activity.Options{Retry: retrypolicy.Policy{Backoff: retrypolicy.Algorithm("cubic")}}, []string{`Bot: Retry.Backoff "cubic": must be "exponential"`}},
		"negative wait":               {"Bot", activity.Options{Retry: retrypolicy.Policy{Wait: -2}}, []string{"Bot: Retry.Wait -2ns: must be positive, 0 (the default, 1s) or NoWait"}},
		"negative attempt timeout":    {"Bot", activity.Options{AttemptTimeout: -time.Second}, []string{"Bot: AttemptTimeout -1s: must be positive"}},
		"negative call timeout":       {"Bot", activity.Options{CallTimeout: -time.Second}, []string{"Bot: CallTimeout -1s: must be positive"}},
		"heartbeat too short":         {"Bot", activity.Options{HeartbeatTimeout: time.Millisecond}, []string{"Bot: HeartbeatTimeout 1ms: must be at least 1s"}},
		"journal without bound":       {"Bot", activity.Options{JournalBytes: 1 << 30}, []string{"Bot: JournalBytes 1073741824: must be from 0"}},
		"filters for foreign workers": {"Bot", activity.Options{ForeignWorkers: true, Retry: retrypolicy.Policy{RetryOn: []retrypolicy.Filter{retrypolicy.ErrorIs(context.Canceled)}}}, []string{"Bot: Retry.RetryOn \"1 filters\": must be unset with ForeignWorkers"}},
		"no name":                     {"", activity.Options{}, []string{`definition name "": must not be empty`}},
		"a name Temporal keeps":       {"__temporal_x", activity.Options{}, []string{"must not start with __temporal_"}},
		"several mistakes, all told":  {"Bot", activity.Options{Retry: retrypolicy.Policy{NumRetries: -1, Wait: -2}, CallTimeout: -1}, []string{"NumRetries", "Wait", "CallTimeout"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := activity.NewDefinition[*bot](c.definition, c.options)
			require.Error(t, err)
			for _, want := range c.want {
				require.ErrorContains(t, err, want)
			}
			assert.PanicsWithError(t, err.Error(), func() { activity.Define[*bot](c.definition, c.options) })
		})
	}
}

func TestMethodNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	options := activity.MethodOptions[string, string]{}
	d := activity.Define[*bot]("Bot", activity.Options{CallTimeout: time.Second})
	_, err := activity.NewMethod(d, "Shout", (*bot).Say, options)
	require.EqualError(t, err, `Bot: method name "Shout": *activity_test.bot has no such method; it has Join, Mix, Ping, Say, Tell`)
	_, err = activity.NewMethod(d, "Ping", (*bot).Say, options)
	require.EqualError(t, err, `Bot: method name "Ping": its function is the method Say`)
	_, err = activity.NewMethod(d, "Say", nil, options)
	require.EqualError(t, err, `Bot: method name "Say": its function is nil`)
	_, err = activity.NewMethod(nil, "Say", (*bot).Say, options)
	require.EqualError(t, err, `method name "Say": its definition is nil`)
	_, err = activity.NewMethod(d, "Say", (*bot).Say, activity.MethodOptions[string, string]{RetryUntil: []validation.Validator[string]{never, nil}})
	require.ErrorContains(t, err, "Bot.Say: RetryUntil[1]")
	_, err = activity.NewMethod(d, "Say", (*bot).Say, activity.MethodOptions[string, string]{Retry: &retrypolicy.Policy{NumRetries: -3}})
	require.ErrorContains(t, err, "Bot.Say: Retry.NumRetries -3")

	_, err = activity.NewMethod(d, "Say", (*bot).Say, options)
	require.NoError(t, err)
	_, err = activity.NewMethod(d, "Say", (*bot).Say, options)
	require.EqualError(t, err, "Bot.Say: declared twice; each method needs a name of its own")
	assert.Panics(t, func() { activity.Method(d, "Say", (*bot).Say, options) })

	_, err = activity.NewMethod(d, "Tell", activity.NoOutput((*bot).Tell), activity.MethodOptions[string, activity.None]{}, activity.MethodOptions[string, activity.None]{})
	require.EqualError(t, err, "Bot.Tell: options \"2 of them\": must be at most one")

	_, err = activity.NewFunc[string, string]("Plain", nil)
	require.EqualError(t, err, "Plain: its function is nil")
	_, err = activity.NewFunc("Plain", plain, activity.FuncOptions[string, string]{Retry: retrypolicy.Policy{NumRetries: -1}})
	require.ErrorContains(t, err, "Plain: Retry.NumRetries -1")
	_, err = activity.NewFunc("Plain", plain, activity.FuncOptions[string, string]{}, activity.FuncOptions[string, string]{})
	require.EqualError(t, err, "Plain: options \"2 of them\": must be at most one")
}

func TestRenamedMethodKeepsItsActivityType(t *testing.T) {
	t.Parallel()
	d := activity.Define[*bot]("Bot", activity.Options{CallTimeout: time.Second})
	h := activity.Method(d, "Say", (*bot).Say, activity.MethodOptions[string, string]{ActivityType: "Bot.Talk"})
	assert.Equal(t, "Bot.Talk", h.ActivityType())
	assert.Equal(t, []string{"Bot.Talk"}, d.ActivityTypes())
}

func TestSubmitNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	d := activity.Define[*bot]("Bot", activity.Options{})
	h := activity.Method(d, "Say", (*bot).Say)
	_, err := h.Submit(t.Context(), nil, "x")
	require.EqualError(t, err, "Bot.Say: AttemptTimeout and CallTimeout are both unset: Temporal needs one of them")
	_, err = h.With(activity.CallOptions{CallTimeout: time.Second}).Submit(t.Context(), nil, "x")
	require.EqualError(t, err, "Bot.Say: Submit: the client is nil")
	retries := -1
	_, err = h.With(activity.CallOptions{CallTimeout: time.Second, NumRetries: &retries}).Submit(t.Context(), nil, "x")
	require.ErrorContains(t, err, "Bot.Say: Retry.NumRetries -1")
}

func TestValidatorOfTheWrongTypeDoesNotCompile(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "vet", "./testdata/wrongvalidator").CombinedOutput()
	require.Error(t, err, "it compiled")
	assert.Contains(t, string(out), "cannot use positive")
}
