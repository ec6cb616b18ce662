package wire_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"pgregory.net/rapid"

	"github.com/concurry-go/concurry/internal/wire"
)

type reply struct {
	Text   string             `json:"text"`
	Score  float64            `json:"score"`
	Tags   []string           `json:"tags,omitempty"`
	Scores map[string]float64 `json:"scores,omitempty"`
	Next   *reply             `json:"next,omitempty"`
}

// travel sends a result through a document and back.
func travel(t require.TestingT, r *wire.Result) *wire.Result {
	data, err := json.Marshal(r)
	require.NoError(t, err)
	var back wire.Result
	require.NoError(t, json.Unmarshal(data, &back))
	return &back
}

func get[T any](t require.TestingT, r *wire.Result) T {
	var v T
	require.NoError(t, travel(t, r).Get(&v))
	return v
}

func TestResultsSurviveTheWire(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := reply{
			Text:   strings.ToValidUTF8(rapid.String().Draw(t, "text"), "?"),
			Score:  rapid.Float64().Draw(t, "score"),
			Tags:   rapid.SliceOfN(rapid.StringMatching(`[a-z<>&]{1,5}`), 1, 3).Draw(t, "tags"),
			Scores: rapid.MapOfN(rapid.StringMatching(`[a-z]{1,5}`), rapid.Float64(), 1, 3).Draw(t, "scores"),
			Next:   &reply{Text: "inner"},
		}
		require.Equal(t, r, get[reply](t, wire.Encode(r)))
		require.Equal(t, r, *get[*reply](t, wire.Encode(&r)))
		require.Equal(t, r.Scores, get[map[string]float64](t, wire.Encode(r.Scores)))

		b := rapid.SliceOfN(rapid.Byte(), 1, 50).Draw(t, "bytes")
		require.Equal(t, b, get[[]byte](t, wire.Encode(b)))

		i := rapid.Int64().Draw(t, "int")
		require.Equal(t, i, get[int64](t, wire.Encode(i)))

		m := &commonpb.WorkflowExecution{WorkflowId: r.Text, RunId: "run"}
		got := get[*commonpb.WorkflowExecution](t, wire.Encode(m))
		require.Equal(t, r.Text, got.GetWorkflowId())
		require.Equal(t, "run", got.GetRunId())
	})
}

func TestNothingIsAResultToo(t *testing.T) {
	t.Parallel()
	for _, v := range []any{nil, (*reply)(nil), json.RawMessage("null")} {
		r := wire.Encode(v)
		assert.True(t, r.Kept())
		assert.Nil(t, get[*reply](t, r), "%T", v)
	}
	assert.Empty(t, get[string](t, wire.Encode("")))
	assert.Empty(t, get[[]byte](t, wire.Encode([]byte{})))
}

func TestJSONStaysReadableInTheDocument(t *testing.T) {
	t.Parallel()
	data, err := json.Marshal(wire.Encode(reply{Text: "hello", Score: 0.5}))
	require.NoError(t, err)
	assert.JSONEq(t, `{"json":{"text":"hello","score":0.5}}`, string(data))
}

type panics struct{}

func (panics) MarshalJSON() ([]byte, error) { panic("out of cheese") }

type lies struct{}

func (lies) MarshalJSON() ([]byte, error) { return []byte(`{"broken`), nil }

type ring struct{ Next *ring }

func TestValueThatCannotBeEncodedBecomesText(t *testing.T) {
	t.Parallel()
	cycle := &ring{}
	cycle.Next = cycle
	self := map[string]any{}
	self["self"] = self
	for name, v := range map[string]any{
		"a channel":                    make(chan int),
		"a function":                   func() {},
		"NaN":                          math.NaN(),
		"infinity":                     math.Inf(-1),
		"a cycle of pointers":          cycle,
		"a map that holds itself":      self,
		"a marshaler that panics":      panics{},
		"a marshaler that fails":       json.RawMessage(`{`),
		"a marshaler that lies":        lies{},
		"a map whose keys are no text": map[any]int{1: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := wire.Encode(v)
			assert.False(t, r.Kept())
			assert.Contains(t, r.Text, "that cannot be encoded")
			assert.LessOrEqual(t, len(r.Text), wire.MaxReason)
			var out any
			err := travel(t, r).Get(&out)
			require.ErrorIs(t, err, wire.ErrNotKept)
			require.ErrorContains(t, err, r.Text)
		})
	}
}

func TestGetOfAnotherTypeIsAnError(t *testing.T) {
	t.Parallel()
	r := wire.Encode("text")
	var n int
	require.Error(t, r.Get(&n))
	for _, ptr := range []any{nil, "no pointer", (*string)(nil), 3} {
		require.Error(t, r.Get(ptr), "%T", ptr)
	}
	var s string
	require.Error(t, (&wire.Result{}).Get(&s), "a result that is empty")
	require.NotErrorIs(t, (&wire.Result{}).Get(&s), wire.ErrNotKept)
}

type decodePanics struct{}

func (*decodePanics) UnmarshalJSON([]byte) error { panic(errors.New("out of cheese")) }

func TestUnmarshalerThatPanicsIsAnError(t *testing.T) {
	t.Parallel()
	var v decodePanics
	require.ErrorContains(t, wire.Encode("x").Get(&v), "out of cheese")
}

func TestDigestTellsResultsApartAndTheirSize(t *testing.T) {
	t.Parallel()
	a, b := wire.Encode(strings.Repeat("a", 5000)), wire.Encode(strings.Repeat("b", 5000))
	assert.Contains(t, a.Digest().Text, "5002 bytes, fnv64a ")
	assert.NotEqual(t, a.Digest(), b.Digest())
	assert.Equal(t, a.Digest(), wire.Encode(strings.Repeat("a", 5000)).Digest())
	assert.False(t, a.Digest().Kept())
	assert.Less(t, a.Digest().Size(), 100)
	assert.False(t, (*wire.Result)(nil).Kept())
}

// The journal's byte budget counts on this.
func TestSizeIsAboutTheBytesInTheDocument(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var r *wire.Result
		if rapid.Bool().Draw(t, "binary") {
			r = wire.Encode(rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(t, "bytes"))
		} else {
			r = wire.Encode(rapid.StringN(0, 500, -1).Draw(t, "text"))
		}
		data, err := json.Marshal(r)
		require.NoError(t, err)
		require.InDelta(t, len(data), r.Size(), 64)
	})
}

func FuzzOpen(f *testing.F) {
	f.Add("journal/1", []byte(`{"started":2,"outcomes":[{"n":1,"verdict":"refused","result":{"json":{"a":1}}},{"n":2,"verdict":"lost"}]}`))
	f.Add("refusals/1", []byte(`{"method":"A.B","attempts":-3,"outcomes":[{"wait_ns":-1,"result":{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"e30="}}]}`))
	f.Add("refusals/2", []byte(`{}`))
	f.Add("", []byte(nil))
	f.Fuzz(func(t *testing.T, mark string, data []byte) {
		p := &commonpb.Payload{Metadata: map[string][]byte{wire.MarkKey: []byte(mark)}, Data: data}
		for _, kind := range []wire.Kind{wire.Journal, wire.Refusals} {
			var d struct {
				Outcomes []wire.Outcome `json:"outcomes"`
			}
			if wire.Open(kind, p, &d) != nil {
				continue
			}
			if mark != string(kind)+"/1" {
				t.Fatalf("%q was read as %s", mark, kind)
			}
			for _, w := range d.Outcomes {
				o := w.Outcome(nil)
				if o.Result != nil {
					var v any
					_ = o.Result.Get(&v)
				}
				if _, err := json.Marshal(wire.FromOutcome(o)); err != nil {
					t.Fatalf("what was read cannot be written: %v", err)
				}
			}
		}
	})
}

func FuzzResultGet(f *testing.F) {
	f.Add([]byte(`{"a":1}`), "json/plain", []byte(nil), "")
	f.Add([]byte(nil), "json/protobuf", []byte(`{"workflowId":"x"}`), "")
	f.Add([]byte(nil), "binary/protobuf", []byte{10, 1, 120}, "")
	f.Add([]byte(nil), "binary/plain", []byte{1, 2}, "")
	f.Add([]byte(nil), "binary/null", []byte(nil), "gone")
	f.Fuzz(func(t *testing.T, text []byte, encoding string, data []byte, gone string) {
		r := &wire.Result{JSON: text, Metadata: map[string][]byte{"encoding": []byte(encoding)}, Data: data, Text: gone}
		var (
			a any
			s string
			b []byte
			m map[string]reply
			e *commonpb.WorkflowExecution
		)
		for _, ptr := range []any{&a, &s, &b, &m, &e, nil, s, e} {
			if err := r.Get(ptr); gone != "" && !errors.Is(err, wire.ErrNotKept) {
				t.Fatalf("%v for a result that was not kept", err)
			}
		}
		if r.Size() < 0 || r.Digest().Kept() {
			t.Fatal("a digest is no result")
		}
	})
}
