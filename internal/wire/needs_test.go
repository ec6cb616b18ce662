package wire_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/internal/wire"
)

// later is a note as a later version writes it.
type later struct {
	Text     string   `json:"text"`
	Deadline string   `json:"deadline"`
	Needs    []string `json:"needs,omitempty"`
}

// A field that an older build does not know is left out, unless the document says
// that it must not be.
func TestFieldsThatReadersHaveToKnow(t *testing.T) {
	t.Parallel()
	type known struct {
		Text string `json:"text"`
	}
	open := func(doc any, into any) error {
		p, err := wire.Seal(wire.Header, doc)
		require.NoError(t, err)
		return wire.Open(wire.Header, p, into)
	}
	var got known
	require.NoError(t, open(later{Text: "a", Deadline: "noon"}, &got))
	assert.Equal(t, known{"a"}, got)

	err := open(later{Text: "a", Deadline: "noon", Needs: []string{"deadline", "text", "deadline"}}, &got)
	require.EqualError(t, err, "call needs deadline, which this build of concurry does not know; upgrade it")
	var version *wire.VersionError
	require.ErrorAs(t, err, &version)
	assert.Equal(t, []string{"deadline"}, version.Needs)

	var all later
	require.NoError(t, open(later{Text: "a", Needs: []string{"deadline", "text"}}, &all))
	require.NoError(t, open(later{Text: `the word "needs"`}, &got), "it is text here")
	require.Error(t, open(map[string]any{"text": "a", "needs": 7}, &got))
	require.Error(t, open(map[string]any{"needs": []string{"x"}}, &map[string]any{}), "a document without fields knows none")

	embedded := struct {
		known
		Plain int
	}{}
	data := json.RawMessage(`{"needs": ["text", "Plain"]}`)
	require.NoError(t, open(data, &embedded))
}

func TestDocumentsInsideOthersSayWhatReadersHaveToKnow(t *testing.T) {
	t.Parallel()
	var d wire.JournalDocument
	require.NoError(t, wire.Read(wire.Journal, []byte(`{"started": 2, "color": "red"}`), &d))
	assert.Equal(t, 2, d.Started)
	err := wire.Read(wire.Journal, []byte(`{"started": 2, "debts": 1, "needs": ["debts"]}`), &d)
	require.EqualError(t, err, "journal needs debts, which this build of concurry does not know; upgrade it")
	require.ErrorContains(t, wire.Read(wire.Journal, []byte(`{`), &d), "journal: ")
}
