package validation_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

type reply struct {
	Text  string
	Score float64
}

func TestCheckRefusesWhereThePredicateIsFalse(t *testing.T) {
	t.Parallel()
	v := validation.AcceptIf("too short", func(s string) bool { return len(s) > 3 })
	require.NoError(t, v("long enough", retrypolicy.Attempt{}))
	require.EqualError(t, v("no", retrypolicy.Attempt{}), "too short")

	v = validation.AcceptIf("", func(string) bool { return false })
	require.ErrorIs(t, v("x", retrypolicy.Attempt{}), validation.ErrRefused)
	require.EqualError(t, v("x", retrypolicy.Attempt{}), "refused")
}
