package serverfeatures

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
)

// fake is a client of which only the identity counts.
type fake struct{ client.Client }

func TestClientsAreRememberedAndNotKeptAlive(t *testing.T) {
	t.Parallel()
	var s Clients
	c, other := &fake{}, &fake{}
	assert.Nil(t, s.Get(c))
	l := s.Add(c)
	assert.Same(t, l, s.Get(c))
	assert.Same(t, l, s.Add(c), "two Submits at once")
	assert.Nil(t, s.Get(other))
	assert.Nil(t, s.Get(fake{}), "no pointer, no identity")
	require.NotNil(t, s.Add(fake{}))
	assert.Equal(t, 1, s.len())
	runtime.KeepAlive(c)
	c = nil //nolint:ineffassign,wastedassign // so that it can be collected
	require.Eventually(t, func() bool {
		runtime.GC()
		return s.len() == 0
	}, 10*time.Second, time.Millisecond)
	runtime.KeepAlive(other)
}

func (s *Clients) len() (n int) {
	s.m.Range(func(any, any) bool { n++; return true })
	return n
}
