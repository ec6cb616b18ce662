package parity_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/conformance/internal/parity"
)

// suite is the output of a run, one event a line; see line.
func suite(lines ...string) string { return strings.Join(lines, "\n") + "\n" }

// line is an event of go test -json.
func line(action, test string, more ...string) string {
	e := map[string]string{"Action": action, "Package": "p", "Test": test}
	for i := 0; i+1 < len(more); i += 2 {
		e[more[i]] = more[i+1]
	}
	data, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	return string(data)
}

func attr(test, key, value string) string { return line("attr", test, "Key", key, "Value", value) }

// complete is a suite of one heading with a code block and a row.
func complete() []string {
	return []string{
		line("run", "TestA"), attr("TestA", "heading", "A"),
		line("run", "TestA/code_block"), attr("TestA/code_block", "feature", "code block"), attr("TestA/code_block", "go", "`x|y`"),
		attr("TestA/code_block", "file", "example_test.go"), attr("TestA/code_block", "example", "Example_a"), line("pass", "TestA/code_block"),
		line("run", "TestA/row"), attr("TestA/row", "feature", "a row"), attr("TestA/row", "go", "`X`"), attr("TestA/row", "file", "a_test.go"),
		line("run", "TestA/row/sync"), line("pass", "TestA/row/sync"), line("run", "TestA/row/server"), line("run", "TestA/row/server/deeper"),
		line("pass", "TestA/row/server/deeper"), line("pass", "TestA/row/server"), line("pass", "TestA/row"), line("pass", "TestA"),
		line("run", "Example_a"), line("pass", "Example_a"),
		`{"Action":"output","Package":"p","Output":"ok  \tp\t1s\n"}`, `{"Action":"pass","Package":"p"}`,
	}
}

func outline() []parity.Heading {
	return []parity.Heading{
		{Level: 1, Title: "Container"},
		{Level: 2, Title: "A", Blocks: 1},
		{Level: 1, Title: "B", Blocks: 1, Open: []parity.Open{{Feature: "code block", Block: 1, Until: "pools"}}},
		{Level: 1, Title: "C", Note: "Nothing to prove."},
	}
}

func read(t *testing.T, lines []string) (*parity.Run, string) {
	t.Helper()
	var echo bytes.Buffer
	run, err := parity.Read(strings.NewReader(suite(lines...)), &echo)
	require.NoError(t, err)
	return run, echo.String()
}

func TestPageOfACompleteSuite(t *testing.T) {
	t.Parallel()
	run, echo := read(t, complete())
	assert.Equal(t, "ok  \tp\t1s\n", echo)
	p := parity.New(outline(), run)
	assert.Empty(t, p.Problems)
	proven, open, all := p.Count()
	assert.Equal(t, []int{2, 1, 3}, []int{proven, open, all})
	assert.Equal(t, `intro

**2 rows proven of 3**, 1 open: pools (1: B).

## Container

### A

| the specification | in Go | proven by |
|---|---|---|
| code block | `+"`x\\|y`"+` | [Example_a](../conformance/example_test.go) |
| a row | `+"`X`"+` | [TestA](../conformance/a_test.go) in sync, server |

## B

| the specification | in Go | proven by |
|---|---|---|
| code block |  | open: pools |

## C

Nothing to prove.
`, p.Markdown("intro\n"))
}

func TestWhatIsNotProvenIsAProblem(t *testing.T) {
	t.Parallel()
	replace := func(old, replacement string) []string {
		lines := complete()
		for i, l := range lines {
			if l == old {
				lines[i] = replacement
				return lines
			}
		}
		panic(old)
	}
	for name, tc := range map[string]struct {
		lines   []string
		outline []parity.Heading
		want    string
	}{
		"a row that failed":          {replace(line("pass", "TestA/row"), line("fail", "TestA/row")), outline(), "A: a row: not proven by TestA/row"},
		"a row that was skipped":     {replace(line("pass", "TestA/row"), line("skip", "TestA/row")), outline(), "A: a row: not proven by TestA/row"},
		"a row that did not end":     {replace(line("pass", "TestA/row"), "{}"), outline(), "A: a row: not proven by TestA/row"},
		"an example that failed":     {replace(line("pass", "Example_a"), line("fail", "Example_a")), outline(), "A: code block: not proven by TestA/code_block"},
		"an example without output":  {replace(line("run", "Example_a"), "{}")[:20], outline(), "A: code block: not proven by TestA/code_block"},
		"an unknown heading":         {replace(attr("TestA", "heading", "A"), attr("TestA", "heading", "Z")), outline(), `TestA/row: the specification has no heading "Z"`},
		"a heading without rows":     {complete(), append(outline(), parity.Heading{Level: 1, Title: "D"}), "D: nothing stands under it"},
		"a block without an example": {complete(), append(outline(), parity.Heading{Level: 1, Title: "D", Blocks: 2}), "D: 2 code blocks, and 0 have a counterpart"},
		"a suite that failed":        {append(complete(), `{"Action":"fail","Package":"p"}`), outline(), "the suite failed"},
		"a suite that did not build": {append(complete(), `{"Action":"build-fail","ImportPath":"p"}`), outline(), "the suite failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run, _ := read(t, tc.lines)
			assert.Contains(t, parity.New(tc.outline, run).Problems, tc.want)
		})
	}
}

func TestWhatFailedTestsSaidIsEchoed(t *testing.T) {
	t.Parallel()
	_, echo := read(t, []string{
		line("run", "TestA"), line("output", "TestA", "Output", "    a_test.go:1: wrong\n"), line("fail", "TestA"),
		line("run", "TestB"), line("output", "TestB", "Output", "    b_test.go:1: fine\n"), line("pass", "TestB"),
		"go: downloading x",
	})
	assert.Equal(t, "    a_test.go:1: wrong\ngo: downloading x\n", echo)
}

// Tests that run in parallel start their parts at the same time.
func TestPartsOfOneTestStandTogether(t *testing.T) {
	t.Parallel()
	run, _ := read(t, []string{
		line("run", "TestA"), line("run", "TestB"), line("run", "TestB/1"), line("run", "TestA/1"), line("run", "TestB/2"), line("run", "TestA/2"),
	})
	var names []string
	for _, test := range run.Tests {
		names = append(names, test.Name)
	}
	assert.Equal(t, []string{"TestA", "TestA/1", "TestA/2", "TestB", "TestB/1", "TestB/2"}, names)
}
