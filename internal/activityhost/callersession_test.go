package activityhost

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"

	"github.com/concurry-go/concurry/internal/engine"
	"github.com/concurry-go/concurry/internal/wire"
)

func TestSessionHeader(t *testing.T) {
	t.Parallel()
	sealed, err := wire.Seal(sessionKind, wire.Session{ID: "its ID"})
	require.NoError(t, err)
	known := &engine.SpecCache{Spec: &engine.Spec{Method: "A"}}

	spec, err := specForCall(known, map[string]*commonpb.Payload{SessionKey: sealed})
	require.NoError(t, err)
	assert.Equal(t, "its ID", spec.Session)
	assert.Empty(t, known.Spec.Session, "other calls run in other sessions")

	spec, err = specForCall(known, map[string]*commonpb.Payload{"other": sealed})
	require.NoError(t, err)
	assert.Same(t, known.Spec, spec)

	sealed.Metadata[wire.MarkKey] = []byte("session/77")
	_, err = specForCall(known, map[string]*commonpb.Payload{SessionKey: sealed})
	require.EqualError(t, err, `header "concurry-session": session of format "session/77": this build of concurry knows "session/1"; upgrade it`)
}
