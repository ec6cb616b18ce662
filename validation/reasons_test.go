package validation_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/validation"
)

func TestReasonsNamesEveryMistakeOnceAndCountsThoseWithoutRoom(t *testing.T) {
	t.Parallel()
	require.NoError(t, validation.Reasons(nil))
	require.EqualError(t, validation.Reasons([]string{"a", "a", "b"}), "a; b")
	long := strings.Repeat("x", 400)
	mistakes := []string{long, long + "y", long + "z", "a"}
	require.EqualError(t, validation.Reasons(mistakes), long+"; "+long+"y; and 2 more")
	assert.Equal(t, long, mistakes[0], "the caller's list is left alone")
	alone := validation.Reasons([]string{strings.Repeat("x", 2000), "a"}).Error()
	assert.True(t, strings.HasSuffix(alone, "x…; a"), "a first mistake that is too long is cut")
}

func TestReasonsAreNeverLongerThanWhatIsKept(t *testing.T) {
	t.Parallel()
	assert.Equal(t, wire.MaxReason, validation.MaxReason)
	rapid.Check(t, func(t *rapid.T) {
		mistakes := rapid.SliceOfN(rapid.Map(rapid.String(), func(s string) string { return strings.Repeat(s, 40) }), 1, -1).Draw(t, "mistakes")
		require.LessOrEqual(t, len(validation.Reasons(mistakes).Error()), validation.MaxReason)
	})
}
