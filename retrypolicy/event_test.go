package retrypolicy_test

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/concurry-go/concurry/retrypolicy"
)

func TestLogHasOneRecordPerDecision(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := retrypolicy.LogTo(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})))
	a := retrypolicy.Attempt{Number: 2, Method: "LLM.Generate", Past: fakeCall{elapsed: 3 * time.Second}}
	log(t.Context(), retrypolicy.Event{Attempt: a, Verdict: retrypolicy.VerdictAccepted, Decision: retrypolicy.DecisionAccept})
	log(t.Context(), retrypolicy.Event{Attempt: a, Verdict: retrypolicy.VerdictFailed, Err: errors.New("reset"), Decision: retrypolicy.DecisionRetry, Wait: time.Minute, OnServer: true})
	log(t.Context(), retrypolicy.Event{Attempt: a, Verdict: retrypolicy.VerdictRefused, Err: errors.New("too short"), Decision: retrypolicy.DecisionGiveUp, Stop: retrypolicy.StopSpent})
	assert.Equal(t, `level=DEBUG msg="attempt accepted" method=LLM.Generate attempt=2 verdict=accepted elapsed=3s
level=WARN msg="attempt failed, retrying" method=LLM.Generate attempt=2 verdict=failed elapsed=3s reason=reset wait=1m0s on_server=true
level=ERROR msg="attempt refused, giving up" method=LLM.Generate attempt=2 verdict=refused elapsed=3s reason="too short" stop="retries spent"
`, out.String())
}

func TestLogLeavesOutWhatItsLevelLeavesOut(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := retrypolicy.LogTo(slog.New(slog.NewTextHandler(&out, nil)))
	log(t.Context(), retrypolicy.Event{Decision: retrypolicy.DecisionAccept})
	assert.Empty(t, out.String())
}
