package jsonschema

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// decode reads a text that must be one JSON value. Numbers keep their digits.
func decode(text string) (any, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return nil, fmt.Errorf("%s: %w", position(text, int(syntax.Offset)-1), err)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("%s: it ends too early", position(text, len(text)))
	}
	if err != nil {
		return nil, err
	}
	end := int(d.InputOffset())
	if rest := strings.TrimLeft(text[end:], " \t\r\n"); rest != "" {
		return nil, fmt.Errorf("%s: it must end after the first value", position(text, len(text)-len(rest)))
	}
	return v, nil
}

// position is a byte's line and column, both from 1; columns count characters.
func position(text string, offset int) string {
	before := text[:max(min(offset, len(text)), 0)]
	line := 1 + strings.Count(before, "\n")
	column := 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	return fmt.Sprintf("line %d, column %d", line, column)
}

// maxExponent bounds numbers. Arithmetic here is exact: 1e999999 is a valid
// JSON number of twelve bytes, and a megabyte once it is written out; the
// library has no answer at all to larger ones.
const maxExponent = 1000

// absurd are the numbers of a document that are beyond maxExponent.
func absurd(doc any, at []string) []violation {
	var all []violation
	switch v := doc.(type) {
	case json.Number:
		mantissa := strings.IndexAny(string(v), "eE")
		if mantissa < 0 {
			return nil
		}
		exponent, err := strconv.Atoi(string(v[mantissa+1:]))
		if err != nil || exponent < -maxExponent || exponent > maxExponent {
			return []violation{{path: at, what: fmt.Sprintf("must have an exponent of at most %d but is %s", maxExponent, quote(v))}}
		}
	case map[string]any:
		for key, value := range v {
			all = append(all, absurd(value, child(at, key))...)
		}
	case []any:
		for i, value := range v {
			all = append(all, absurd(value, child(at, i))...)
		}
	}
	return all
}
