// Package jsonschema makes validators of JSON Schemas.
//
// A schema is compiled once; Value judges what a method returns by it:
//
//	//go:embed invoice.schema.json
//	var invoiceSchema string
//
//	var Extract = activity.Method(llm, "Extract", (*LLM).Extract, activity.MethodOptions[string, Invoice]{
//		RetryUntil: []validation.Validator[Invoice]{
//			jsonschema.Value[Invoice](jsonschema.MustCompile(invoiceSchema)),
//		},
//	})
//
// [Text] does the same for methods that return JSON as it came, in a string or
// in bytes.
//
// # Reasons
//
// A refusal names every place that is wrong, as a JSON pointer, and what would
// be right there:
//
//	/items/0/price: must be >= 0 but is -3; /items/1/name: is missing; /total: must be number but is string
//
// That is meant to be handed back to whatever produced the result, a language
// model for instance: activity.LastRefusal finds it in the next attempt. The
// order is that of the paths, so equal results have equal reasons. Of anyOf and
// oneOf, alternatives for another type than the result has are left out, unless
// all are.
//
// A reason has at most 1 KiB, which is what Temporal's side of a call keeps of
// it; it says how many places had no room. Values in it are cut to 64 bytes
// each. Observers find all of them: the Err of an event wraps the library's
// ValidationError, which errors.As finds.
//
// # Schemas
//
// Drafts 4, 6, 7, 2019-09 and 2020-12 are read, the last where a schema names
// none. Formats such as "date-time" and "email" are asserted, in every draft.
// Patterns are Go's regular expressions. Numbers are exact, so those with an
// exponent beyond 1000 are refused, in schemas too. A schema is one document: a $ref to
// another is an error, since nothing is ever loaded, from the network or from
// files. Where that is not what is needed, compile with
// github.com/santhosh-tekuri/jsonschema/v6 itself, which does the work here
// too, and hand the result to Value or Text.
package jsonschema
