package jsonschema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// describe says what one keyword asks for and what it got. The library's own
// texts serve for those that have no better one here, extensions for instance.
func describe(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.FalseSchema:
		return "is not allowed"
	case *kind.Type:
		return fmt.Sprintf("must be %s but is %s", strings.Join(k.Want, " or "), k.Got)
	case *kind.Enum:
		return fmt.Sprintf("must be %s but is %s", oneOf(k.Want), quote(k.Got))
	case *kind.Const:
		return fmt.Sprintf("must be %s but is %s", quote(k.Want), quote(k.Got))
	case *kind.Format:
		return fmt.Sprintf("must be a valid %s but is %s: %v", k.Want, quote(k.Got), k.Err)
	case *kind.Pattern:
		return fmt.Sprintf("must match pattern %s but is %s", quote(k.Want), quote(k.Got))
	case *kind.RefCycle:
		return fmt.Sprintf("cannot be judged: the schema at %s refers to itself", local(k.URL))
	case *kind.Not:
		return `must not match "not"`
	case *kind.OneOf:
		return fmt.Sprintf("must match one alternative alone but matches both number %d and number %d", k.Subschemas[0]+1, k.Subschemas[1]+1)
	case *kind.Minimum:
		return compare(">=", k.Want, k.Got)
	case *kind.Maximum:
		return compare("<=", k.Want, k.Got)
	case *kind.ExclusiveMinimum:
		return compare(">", k.Want, k.Got)
	case *kind.ExclusiveMaximum:
		return compare("<", k.Want, k.Got)
	case *kind.MultipleOf:
		return compare("a multiple of", k.Want, k.Got)
	case *kind.UniqueItems:
		return fmt.Sprintf("must have no equal items but items %d and %d are", k.Duplicates[0], k.Duplicates[1])
	case *kind.Contains:
		return `must have an item that matches "contains"`
	case *kind.AdditionalItems:
		return fmt.Sprintf("must have fewer items, by %d", k.Count)
	default:
		return size(k)
	}
}

// size is describe for the keywords that count.
func size(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.MinLength:
		return bound("least", k.Want, "character", "characters", k.Got)
	case *kind.MaxLength:
		return bound("most", k.Want, "character", "characters", k.Got)
	case *kind.MinItems:
		return bound("least", k.Want, "item", "items", k.Got)
	case *kind.MaxItems:
		return bound("most", k.Want, "item", "items", k.Got)
	case *kind.MinProperties:
		return bound("least", k.Want, "property", "properties", k.Got)
	case *kind.MaxProperties:
		return bound("most", k.Want, "property", "properties", k.Got)
	case *kind.MinContains:
		return bound("least", k.Want, `item that matches "contains"`, `items that match "contains"`, len(k.Got))
	case *kind.MaxContains:
		return bound("most", k.Want, `item that matches "contains"`, `items that match "contains"`, len(k.Got))
	default:
		return printable(strings.ToValidUTF8(k.LocalizedString(message.NewPrinter(language.English)), "\uFFFD"))
	}
}

func bound(limit string, want int, one, many string, got int) string {
	if want == 1 {
		many = one
	}
	return fmt.Sprintf("must have at %s %d %s but has %d", limit, want, many, got)
}

func compare(relation string, want, got *big.Rat) string {
	return fmt.Sprintf("must be %s %s but is %s", relation, number(want), number(got))
}

// number is a decimal number with the digits it has; a third, which no JSON
// number is, would be a fraction.
func number(r *big.Rat) string {
	if digits, exact := r.FloatPrec(); exact {
		return cut(r.FloatString(digits), maxValue)
	}
	return cut(r.RatString(), maxValue)
}

// oneOf lists the values of an enum.
func oneOf(want []any) string {
	if len(want) == 1 {
		return quote(want[0])
	}
	texts := make([]string, len(want))
	for i, v := range want {
		texts[i] = quote(v)
	}
	return "one of " + cut(strings.Join(texts, ", "), maxPath)
}

// quote is a value as JSON.
func quote(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return cut(fmt.Sprint(v), maxValue)
	}
	return cut(strings.TrimSuffix(b.String(), "\n"), maxValue)
}
