package attempt

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"

	"github.com/concurry-go/concurry/internal/wire"
)

func TestSessionHeader(t *testing.T) {
	t.Parallel()
	sealed, err := wire.Seal(sessionKind, sessionDocument{ID: "its ID"})
	require.NoError(t, err)
	known := &hosted{spec: &Spec{Method: "A"}}

	spec, err := specForCall(known, map[string]*commonpb.Payload{SessionKey: sealed})
	require.NoError(t, err)
	assert.Equal(t, "its ID", spec.Session)
	assert.Empty(t, known.spec.Session, "other calls run in other sessions")

	spec, err = specForCall(known, map[string]*commonpb.Payload{"other": sealed})
	require.NoError(t, err)
	assert.Same(t, known.spec, spec)

	sealed.Metadata[wire.MarkKey] = []byte("session/77")
	_, err = specForCall(known, map[string]*commonpb.Payload{SessionKey: sealed})
	require.EqualError(t, err, `header "concurry-session": session of format "session/77": this build of concurry knows "session/1"; upgrade it`)
}
