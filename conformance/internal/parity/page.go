// Package parity makes a page of what the conformance suite has proven: of the
// suite's own names and results, in the order of the specification.
package parity

import (
	"fmt"
	"slices"
	"strings"
)

// Heading is one of the specification's.
type Heading struct {
	Level int
	Title string
	// Blocks is how many code blocks stand under it.
	Blocks int
	// Open are the features under it that nothing answers yet.
	Open []Open
	// Note is what there is to say instead of rows.
	Note string
}

// Open is a feature that waits for something.
type Open struct {
	Feature string
	// Block is the code block it stands for, from 1; 0 for none.
	Block int
	// Until is what it waits for.
	Until string
}

// Row is a feature and what proves it.
type Row struct {
	Feature, Go string
	Test        *Test
	// Engines are the subtests it was run in, one for each engine; none for
	// features that no engine is needed for.
	Engines []string
	// Example is the counterpart of a code block; nil for other rows.
	Example *Test
	Open    string
}

// Proven reports whether everything a row rests on has passed.
func (r *Row) Proven() bool {
	return r.Test != nil && r.Test.Result == "pass" && (r.Test.Attrs[ExampleKey] == "" || r.Example != nil && r.Example.Result == "pass")
}

// Section is a heading and its rows.
type Section struct {
	Heading
	Rows []*Row
}

// Page is the whole specification.
type Page struct {
	Sections []*Section
	// Problems say what keeps it from being complete.
	Problems []string
}

// New brings the outline and a run together.
func New(outline []Heading, run *Run) *Page {
	p := &Page{}
	for _, h := range outline {
		p.Sections = append(p.Sections, &Section{Heading: h})
	}
	for _, t := range run.Tests {
		if t.Attrs[FeatureKey] == "" {
			continue
		}
		title := run.parent(t).heading()
		i := slices.IndexFunc(p.Sections, func(s *Section) bool { return s.Title == title })
		if i < 0 {
			p.problemf("%s: the specification has no heading %q", t.Name, title)
			continue
		}
		p.Sections[i].Rows = append(p.Sections[i].Rows, newRow(t, run))
	}
	for i, s := range p.Sections {
		for _, o := range s.Open {
			s.Rows = append(s.Rows, &Row{Feature: o.Feature, Open: o.Until})
		}
		p.check(s)
		parts := i+1 < len(outline) && outline[i+1].Level > s.Level
		if len(s.Rows) == 0 && s.Note == "" && !parts {
			p.problemf("%s: nothing stands under it", s.Title)
		}
	}
	if run.Failed {
		p.problemf("the suite failed")
	}
	return p
}

func (t *Test) heading() string {
	if t == nil {
		return ""
	}
	return t.Attrs[HeadingKey]
}

func newRow(t *Test, run *Run) *Row {
	r := &Row{Feature: t.Attrs[FeatureKey], Go: t.Attrs[GoKey], Test: t, Example: run.Test(t.Attrs[ExampleKey])}
	for _, sub := range run.Tests {
		if name, ok := strings.CutPrefix(sub.Name, t.Name+"/"); ok && !strings.Contains(name, "/") {
			r.Engines = append(r.Engines, name)
		}
	}
	return r
}

func (p *Page) problemf(format string, args ...any) {
	p.Problems = append(p.Problems, fmt.Sprintf(format, args...))
}

// check notes what a section lacks.
func (p *Page) check(s *Section) {
	blocks := 0
	for _, o := range s.Open {
		if o.Block > 0 {
			blocks++
		}
	}
	for _, r := range s.Rows {
		if r.Open != "" {
			continue
		}
		if r.Test.Attrs[ExampleKey] != "" {
			blocks++
		}
		if !r.Proven() {
			p.problemf("%s: %s: not proven by %s", s.Title, r.Feature, r.Test.Name)
		}
	}
	switch {
	case blocks != s.Blocks:
		p.problemf("%s: %d code blocks, and %d have a counterpart", s.Title, s.Blocks, blocks)
	case s.Blocks > 0 && len(s.Rows) <= len(s.Open)+s.Blocks && len(s.Open) == 0:
		p.problemf("%s: no row but its code blocks", s.Title)
	}
}

// Count is how many rows are proven, open, and there at all.
func (p *Page) Count() (proven, open, all int) {
	for _, s := range p.Sections {
		for _, r := range s.Rows {
			all++
			switch {
			case r.Open != "":
				open++
			case r.Proven():
				proven++
			}
		}
	}
	return proven, open, all
}

// Markdown is the page.
func (p *Page) Markdown(intro string) string {
	var b strings.Builder
	proven, open, all := p.Count()
	b.WriteString(intro)
	fmt.Fprintf(&b, "\n**%d rows proven of %d**, %d open", proven, all, open)
	for i, g := range p.open() {
		fmt.Fprintf(&b, "%s %s (%d: %s)", []string{":", ","}[min(i, 1)], g.until, g.rows, strings.Join(g.titles, "; "))
	}
	b.WriteString(".\n")
	for _, s := range p.Sections {
		fmt.Fprintf(&b, "\n%s %s\n", strings.Repeat("#", s.Level+1), s.Title)
		if s.Note != "" {
			fmt.Fprintf(&b, "\n%s\n", s.Note)
		}
		if len(s.Rows) == 0 {
			continue
		}
		b.WriteString("\n| the specification | in Go | proven by |\n|---|---|---|\n")
		for _, r := range s.Rows {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", cell(r.Feature), cell(r.Go), r.proof())
		}
	}
	return b.String()
}

// waiting are the open rows that wait for one thing.
type waiting struct {
	until  string
	rows   int
	titles []string
}

// open are the open rows by what they wait for, in the order of the page.
func (p *Page) open() (groups []*waiting) {
	for _, s := range p.Sections {
		for _, r := range s.Rows {
			if r.Open == "" {
				continue
			}
			i := slices.IndexFunc(groups, func(g *waiting) bool { return g.until == r.Open })
			if i < 0 {
				i = len(groups)
				groups = append(groups, &waiting{until: r.Open})
			}
			g := groups[i]
			if g.rows++; !slices.Contains(g.titles, s.Title) {
				g.titles = append(g.titles, s.Title)
			}
		}
	}
	return groups
}

// allEngines is how many there are.
const allEngines = 4

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// proof names the test, or the example, and the engines.
func (r *Row) proof() string {
	switch {
	case r.Open != "":
		return "open: " + r.Open
	case !r.Proven():
		return "**not proven**"
	}
	name := r.Test.Name
	if r.Example != nil {
		name = r.Example.Name
	}
	name, _, _ = strings.Cut(name, "/")
	proof := fmt.Sprintf("[%s](../conformance/%s)", name, r.Test.Attrs[FileKey])
	switch {
	case len(r.Engines) >= allEngines:
		proof += " in all engines"
	case len(r.Engines) > 0:
		proof += " in " + strings.Join(r.Engines, ", ")
	}
	return proof
}
