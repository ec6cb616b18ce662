// Package structtags makes validators of `validate:"…"` struct tags, those of
// github.com/go-playground/validator.
//
//	type Invoice struct {
//		Number string `json:"number" validate:"required,startswith=RE-"`
//		Items  []Item `json:"items" validate:"min=1,dive"`
//	}
//
//	type Item struct {
//		Price float64 `json:"price" validate:"gte=0"`
//	}
//
//	var Extract = activity.Method(llm, "Extract", (*LLM).Extract, activity.MethodOptions[string, Invoice]{
//		RetryUntil: []validation.Validator[Invoice]{structtags.Must[Invoice]()},
//	})
//
// Results can be structs, pointers to them, and slices, arrays and maps of
// these; of such, every element is validated, and none may be nil. Inside a
// struct the tags say what is: elements of a slice or map are looked at where
// its tag says dive.
//
// # Reasons
//
// A refusal names every field that fails, as it is called in JSON, with the tag
// it fails and what it is:
//
//	items[0].price: must satisfy gte=0 but is -3; number: must satisfy required but is ""
//
// The order is that of the names, so equal results have equal reasons. Fields
// with several tags are refused by the first that fails. A reason has at most
// 1 KiB, which is what Temporal's side of a call keeps of it; it says how many
// fields had no room. Values in it are cut to 64 bytes each. Observers find all
// of them: the Err of an event wraps the library's ValidationErrors, which
// errors.As finds.
//
// # Mistakes
//
// The library panics, when a value is validated, on tags that are wrong. Here
// they are errors before anything runs: validations that do not exist,
// parameters that are none, validations that are not for the field's type, and
// fields that are named in a tag and do not exist. What only a value can tell,
// such as the type inside an interface, is a refusal.
//
// A result that points back at itself has no end; it cannot be validated, nor
// be written as JSON.
package structtags
