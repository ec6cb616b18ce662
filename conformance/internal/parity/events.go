package parity

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Keys of the attributes by which tests say what they are.
const (
	// HeadingKey is a top-level test's: the heading of the specification.
	HeadingKey = "heading"
	// FeatureKey is a row's: what the specification says there.
	FeatureKey = "feature"
	// GoKey is a row's: how it is written in Go.
	GoKey = "go"
	// FileKey is where the test, or the example, stands.
	FileKey = "file"
	// ExampleKey is a code block's: the function that is its counterpart.
	ExampleKey = "example"
)

// event is a line of go test -json.
type event struct {
	Action string `json:"Action"` //nolint:tagliatelle // test2json's names
	Test   string `json:"Test"`   //nolint:tagliatelle // see above
	Output string `json:"Output"` //nolint:tagliatelle // see above
	Key    string `json:"Key"`    //nolint:tagliatelle // see above
	Value  string `json:"Value"`  //nolint:tagliatelle // see above
}

// Test is one test, subtest or example of the suite.
type Test struct {
	Name  string
	Attrs map[string]string
	// Result is "pass", "fail" or "skip"; empty if the test did not end.
	Result string

	output []string
}

// Run is what a run of the suite said.
type Run struct {
	// Tests are in the order in which they started, those of one top-level
	// test together: these begin in the source's order, and then run at once.
	Tests []*Test
	// Failed tells that the run as a whole did.
	Failed bool

	byName map[string]*Test
}

// Read reads the output of go test -json, and echoes what go test would have
// printed without it: the packages' verdicts, and what failed tests said.
func Read(in io.Reader, echo io.Writer) (*Run, error) {
	r := &Run{byName: map[string]*Test{}}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Fprintln(echo, lines.Text()) // a message of the go command itself
			continue
		}
		r.add(e, echo)
	}
	place := map[string]int{}
	for i, t := range r.Tests {
		if t.top() == t.Name {
			place[t.Name] = i
		}
	}
	slices.SortStableFunc(r.Tests, func(a, b *Test) int { return place[a.top()] - place[b.top()] })
	return r, lines.Err()
}

// top is the name of the top-level test that t is a part of.
func (t *Test) top() string {
	name, _, _ := strings.Cut(t.Name, "/")
	return name
}

func (r *Run) add(e event, echo io.Writer) {
	if e.Test == "" {
		switch e.Action {
		case "output", "build-output":
			if e.Output != "PASS\n" {
				fmt.Fprint(echo, e.Output)
			}
		case "fail", "build-fail":
			r.Failed = true
		}
		return
	}
	t := r.byName[e.Test]
	if t == nil {
		t = &Test{Name: e.Test, Attrs: map[string]string{}}
		r.byName[e.Test] = t
		r.Tests = append(r.Tests, t)
	}
	switch e.Action {
	case "attr":
		t.Attrs[e.Key] = e.Value
	case "output":
		t.output = append(t.output, e.Output)
	case "pass", "skip", "fail":
		t.Result = e.Action
		if e.Action == "fail" {
			fmt.Fprint(echo, strings.Join(t.output, ""))
		}
		t.output = nil
	}
}

// Test is the test of a name, nil if there is none.
func (r *Run) Test(name string) *Test { return r.byName[name] }

// parent is the test a subtest is of.
func (r *Run) parent(t *Test) *Test {
	i := strings.LastIndex(t.Name, "/")
	if i < 0 {
		return nil
	}
	return r.byName[t.Name[:i]]
}
