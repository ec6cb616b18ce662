package devserver

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFastIsWhatTheProgramCallsFast(t *testing.T) {
	t.Parallel()
	conf, err := os.ReadFile("../../devserver/internal/server/fast.conf")
	require.NoError(t, err)
	var want []string
	for line := range strings.Lines(string(conf)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			want = append(want, line)
		}
	}
	assert.ElementsMatch(t, want, fast)
}
