package activityhost

import (
	"testing"

	"go.uber.org/goleak"
)

// Nothing that an attempt, a wait or a context started outlives its test.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
