package reason_test

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"github.com/concurry-go/concurry/internal/reason"
)

func TestJoinNamesEveryLineOnceAndCountsWhatHasNoRoom(t *testing.T) {
	t.Parallel()
	assert.Empty(t, reason.Join(nil))
	assert.Equal(t, "a; b", reason.Join([]string{"a", "a", "b"}))
	long := strings.Repeat("x", reason.MaxLine)
	assert.Equal(t, long+"; "+long+"y; and 2 more", reason.Join([]string{long, long + "y", long + "z", "a"}))
}

func TestNothingIsLongerThanItMayBe(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOf(rapid.Map(rapid.String(), func(s string) string { return reason.Cut(s, reason.MaxLine) })).Draw(t, "lines")
		assert.LessOrEqual(t, len(reason.Join(lines)), reason.Max)
		s, n := rapid.String().Draw(t, "s"), rapid.IntRange(3, 100).Draw(t, "n")
		cut := reason.Cut(s, n)
		assert.LessOrEqual(t, len(cut), n)
		assert.True(t, utf8.ValidString(cut))
		assert.NotContains(t, reason.Printable(s), "\n")
	})
}

func TestPathsAreInTheOrderOfTheirIndices(t *testing.T) {
	t.Parallel()
	tokens := []string{"b", "10", "a", "2", "02"}
	slices.SortFunc(tokens, reason.CompareTokens)
	assert.Equal(t, []string{"02", "2", "10", "a", "b"}, tokens)
}
