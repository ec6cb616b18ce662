package jsonschema

import (
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

func TestTextsAreShortAndOfOneLine(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, n := rapid.String().Draw(t, "s"), rapid.IntRange(3, 100).Draw(t, "n")
		short := cut(s, n)
		assert.LessOrEqual(t, len(short), n)
		assert.True(t, utf8.ValidString(short))
		assert.NotContains(t, printable(s), "\n")
	})
}

func TestPathsAreInTheOrderOfTheirIndices(t *testing.T) {
	t.Parallel()
	tokens := []string{"b", "10", "a", "2", "02"}
	slices.SortFunc(tokens, compareTokens)
	assert.Equal(t, []string{"02", "2", "10", "a", "b"}, tokens)
}
