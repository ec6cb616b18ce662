package wire_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"pgregory.net/rapid"

	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/retrypolicy"
)

type note struct {
	Text  string
	Count int
}

func TestWhatIsSealedCanBeOpened(t *testing.T) {
	t.Parallel()
	for _, kind := range []wire.Kind{wire.Journal, wire.Refusals, wire.Header} {
		p, err := wire.Seal(kind, note{"x", 3})
		require.NoError(t, err)
		assert.True(t, wire.Is(kind, p))
		assert.True(t, strings.HasPrefix(string(p.GetMetadata()[converter.MetadataEncoding]), "json/"), "other tools can show it")
		var got note
		require.NoError(t, wire.Open(kind, p, &got))
		assert.Equal(t, note{"x", 3}, got)
	}
}

func TestSealedPayloadSurvivesTheDataConverterAsRawValue(t *testing.T) {
	t.Parallel()
	p, err := wire.Seal(wire.Journal, note{"x", 3})
	require.NoError(t, err)
	payloads, err := converter.GetDefaultDataConverter().ToPayloads("the user's", converter.NewRawValue(p))
	require.NoError(t, err)
	var user string
	var raw converter.RawValue
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(payloads, &user, &raw))
	assert.Equal(t, "the user's", user)
	assert.False(t, wire.Is(wire.Journal, payloads.GetPayloads()[0]), "what has no mark is the user's")
	assert.True(t, wire.Is(wire.Journal, raw.Payload()))
}

func TestOneKindIsNotAnother(t *testing.T) {
	t.Parallel()
	p, err := wire.Seal(wire.Journal, note{})
	require.NoError(t, err)
	assert.False(t, wire.Is(wire.Refusals, p))
	var version *wire.VersionError
	require.ErrorAs(t, wire.Open(wire.Refusals, p, &note{}), &version)
}

func TestUnknownVersionIsRefusedAndNeverRead(t *testing.T) {
	t.Parallel()
	for _, mark := range []string{"journal/2", "journal/0", "journal/01", "journal/1 ", "journal/", "journal/1/x", "journal", "", "other/1"} {
		p := &commonpb.Payload{Metadata: map[string][]byte{wire.MarkKey: []byte(mark)}, Data: []byte(`{"Text":"x","Count":3}`)}
		var got note
		err := wire.Open(wire.Journal, p, &got)
		var version *wire.VersionError
		require.ErrorAs(t, err, &version, mark)
		assert.Equal(t, wire.VersionError{Kind: wire.Journal, Mark: mark}, *version)
		assert.Zero(t, got, mark)
		assert.Equal(t, strings.HasPrefix(mark, "journal/"), wire.Is(wire.Journal, p), "%q is still ours", mark)
	}
	err := wire.Open(wire.Journal, &commonpb.Payload{Metadata: map[string][]byte{wire.MarkKey: []byte("journal/2")}}, &note{})
	require.EqualError(t, err, `journal of format "journal/2": this build of concurry knows "journal/1"; upgrade it`)
}

func TestPayloadsThatAreNoneAreNotOurs(t *testing.T) {
	t.Parallel()
	assert.False(t, wire.Is(wire.Journal, nil))
	assert.False(t, wire.Is(wire.Journal, &commonpb.Payload{}))
	require.Error(t, wire.Open(wire.Journal, nil, &note{}))
}

func TestBrokenDocumentSaysWhichKind(t *testing.T) {
	t.Parallel()
	p := &commonpb.Payload{Metadata: map[string][]byte{wire.MarkKey: []byte("refusals/1")}, Data: []byte(`{"Text":`)}
	require.ErrorContains(t, wire.Open(wire.Refusals, p, &note{}), "refusals: ")
	_, err := wire.Seal(wire.Refusals, make(chan int))
	require.ErrorContains(t, err, "refusals: ")
}

func TestCutKeepsWhatFits(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		in   string
		n    int
		want string
	}{
		{"", 0, ""},
		{"abc", 3, "abc"},
		{strings.Repeat("a", 40), 20, "aaaaaa… (40 bytes)"},
		{"aaaa" + strings.Repeat("é", 20), 21, "aaaaé… (44 bytes)"}, // é has two bytes, one would fit
		{strings.Repeat("a", 40), 3, "aaa"},                         // no room to say so
		{"日本", 4, "日"},
		{"日本", 2, ""},
		{"日本", 0, ""},
		{"日本", -5, ""},
		{"a\xffb", 10, "a\uFFFDb"},
	} {
		got := wire.Cut(tc.in, tc.n)
		assert.Equal(t, tc.want, got)
		assert.LessOrEqual(t, len(got), max(tc.n, 0), "%q", got)
	}
}

func TestCutIsValidShortAndAPrefix(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.OneOf(
			rapid.SliceOfN(rapid.Byte(), 0, 200),
			rapid.Map(rapid.StringN(0, 80, -1), func(s string) []byte { return []byte(s) }),
		).Draw(t, "s"))
		n := rapid.IntRange(-1, 300).Draw(t, "n")
		got := wire.Cut(s, n)
		require.True(t, utf8.ValidString(got))
		require.LessOrEqual(t, len(got), max(n, 0))
		valid := strings.ToValidUTF8(s, "\uFFFD")
		if len(valid) <= n {
			require.Equal(t, valid, got)
			return
		}
		kept, _, _ := strings.Cut(got, "… (")
		require.True(t, strings.HasPrefix(valid, kept))
	})
}

func TestOutcomeSurvivesTheWire(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		o := retrypolicy.Outcome{
			Number:      rapid.IntRange(1, 1_000_001).Draw(t, "attempt"),
			Verdict:     rapid.SampledFrom([]retrypolicy.Verdict{retrypolicy.VerdictFailed, retrypolicy.VerdictRefused, retrypolicy.VerdictLost}).Draw(t, "verdict"),
			Reason:      rapid.StringN(0, 100, -1).Draw(t, "reason"),
			ErrorType:   rapid.StringN(0, 20, -1).Draw(t, "type"),
			Wait:        time.Duration(rapid.Int64Min(0).Draw(t, "wait")),
			BeforeReset: rapid.Bool().Draw(t, "before reset"),
		}
		want := rapid.String().Draw(t, "result")
		if o.Verdict == retrypolicy.VerdictRefused {
			o.Result = wire.Encode(want)
		}
		data, err := json.Marshal(wire.FromOutcome(o))
		require.NoError(t, err)
		var w wire.Outcome
		require.NoError(t, json.Unmarshal(data, &w))
		back := w.Outcome(nil)
		if o.Result != nil {
			got, err := retrypolicy.ResultOf[string](back)
			require.NoError(t, err)
			require.Equal(t, strings.ToValidUTF8(want, "\uFFFD"), got)
			o.Result, back.Result = nil, nil
		}
		require.Equal(t, o, back)
	})
}

func TestReasonIsCutOnTheWire(t *testing.T) {
	t.Parallel()
	w := wire.FromOutcome(retrypolicy.Outcome{Reason: strings.Repeat("x", 1<<20), ErrorType: strings.Repeat("T", 1<<20)})
	assert.Len(t, w.Reason, wire.MaxReason)
	assert.Len(t, w.ErrorType, wire.MaxReason)
}

func TestOutcomeWithoutResultHasNone(t *testing.T) {
	t.Parallel()
	assert.Nil(t, wire.FromOutcome(retrypolicy.Outcome{}).Result)
	assert.Nil(t, wire.Outcome{}.Outcome(nil).Result, "and not a typed nil")
}

// inProcess is a result of a call in this process.
type inProcess struct{ v any }

func (r inProcess) Get(ptr any) error {
	p, ok := ptr.(*any)
	if !ok || r.v == nil {
		return errors.New("no")
	}
	*p = r.v
	return nil
}

func TestResultThatNeverLeftItsProcessIsEncodedForTheWire(t *testing.T) {
	t.Parallel()
	w := wire.FromOutcome(retrypolicy.Outcome{Result: inProcess{note{"x", 3}}})
	got, err := retrypolicy.ResultOf[note](w.Outcome(nil))
	require.NoError(t, err)
	assert.Equal(t, note{"x", 3}, got)
	assert.Nil(t, wire.FromOutcome(retrypolicy.Outcome{Result: inProcess{}}).Result, "one that cannot be had is left out")
}
