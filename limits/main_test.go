package limits

import (
	"testing"

	"go.uber.org/goleak"
)

// Nothing that a set started outlives its test.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
