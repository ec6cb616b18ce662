package chain_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/internal/chain"
)

func TestApplicationIsFoundWhereverItStands(t *testing.T) {
	t.Parallel()
	wanted := temporal.NewApplicationError("x", "Wanted")
	for name, err := range map[string]error{
		"itself":             wanted,
		"wrapped":            fmt.Errorf("y: %w", wanted),
		"behind another":     temporal.NewApplicationErrorWithCause("z", "Other", wanted),
		"joined":             errors.Join(io.EOF, fmt.Errorf("y: %w", wanted)),
		"joined in a joined": fmt.Errorf("a: %w, %w", io.EOF, errors.Join(io.EOF, wanted)),
	} {
		assert.Same(t, wanted, chain.Application(err, "Another", "Wanted"), name)
	}
	for _, err := range []error{nil, io.EOF, temporal.NewApplicationError("x", "Other"), errors.Join(io.EOF, io.EOF)} {
		assert.Nil(t, chain.Application(err, "Wanted"))
	}
	assert.Nil(t, chain.Application(wanted))
}

func TestEachChangesEveryJoinedError(t *testing.T) {
	t.Parallel()
	name := func(err error) error { return fmt.Errorf("n: %w", err) }
	require.NoError(t, chain.Each(nil, name))
	require.EqualError(t, chain.Each(io.EOF, name), "n: EOF")
	require.EqualError(t, chain.Each(errors.Join(io.EOF, errors.Join(io.ErrNoProgress, nil)), name), "n: EOF\nn: multiple Read calls return no data or error")
}
