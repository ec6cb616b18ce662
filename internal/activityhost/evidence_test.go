package activityhost

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
)

func TestWhetherAServerAttemptCanHaveBeenLost(t *testing.T) {
	t.Parallel()
	scheduled := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	second := &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute}
	quick := &temporal.RetryPolicy{InitialInterval: 10 * time.Millisecond, BackoffCoefficient: 2}
	for name, test := range map[string]struct {
		attempt int32
		after   time.Duration // when the last one ended
		policy  *temporal.RetryPolicy
		none    bool
	}{
		"one before, which is known":                  {2, time.Hour, second, true},
		"two before, within the heartbeat timeout":    {3, 9 * time.Second, nil, true},
		"two before, and time for a timeout":          {3, 10 * time.Second, nil, false},
		"the waits between them are none":             {3, 10 * time.Second, second, true},
		"waits are a second at most, as the engine's": {6, 14 * time.Second, second, false},
		"the same, in less time":                      {6, 13 * time.Second, second, true},
		"waits of a policy that doubles them":         {7, 10*time.Second + 300*time.Millisecond, quick, true},
		"a policy whose interval is the longest":      {4, 10*time.Second + 25*time.Millisecond, &temporal.RetryPolicy{InitialInterval: time.Second, MaximumInterval: 10 * time.Millisecond}, false},
	} {
		info := &activity.Info{
			Attempt: test.attempt, ScheduledTime: scheduled, StartedTime: scheduled.Add(time.Hour), RetryPolicy: test.policy,
			HeartbeatTimeout: 10 * time.Second, StartToCloseTimeout: time.Minute,
		}
		assert.Equal(t, test.none, tooSoonForTimeout(info, scheduled.Add(test.after)), name)
		if test.attempt > 2 {
			assert.False(t, tooSoonForTimeout(info, time.Unix(0, 0)), "%s: nobody knows when", name)
		}
	}
}
