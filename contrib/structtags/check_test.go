package structtags

import (
	"database/sql"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-playground/validator/v10"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

type (
	good struct {
		Name string `validate:"required"`
	}
	untagged struct{ Name string }
	undived  struct{ Items []good }
	node     struct {
		Value    int     `validate:"gte=0"`
		Next     *node   `validate:"omitnil"`
		Children []*node `validate:"dive,required"`
	}
)

func TestWhatCannotHaveTagsIsRefusedAtConstruction(t *testing.T) {
	t.Parallel()
	refused := func(err error, text string) {
		t.Helper()
		assert.EqualError(t, err, text)
	}
	const allowed = ": must be a struct, a pointer to one, or a slice, an array or a map of these"
	refused(second(New[int]()), "structtags: type int"+allowed)
	refused(second(New[*string]()), "structtags: type *string"+allowed)
	refused(second(New[[]byte]()), "structtags: type []uint8"+allowed)
	refused(second(New[map[string]any]()), "structtags: type map[string]interface {}"+allowed)
	refused(second(New[any]()), "structtags: type interface {}"+allowed)
	refused(second(New[func()]()), "structtags: type func()"+allowed)
	refused(second(New[time.Time]()), "structtags: type time.Time"+allowed)
	const without = `: must have a "validate" tag; those of elements count where the slice or map has one with dive`
	refused(second(New[untagged]()), "structtags: type structtags.untagged"+without)
	refused(second(New[undived]()), "structtags: type structtags.undived"+without)
	refused(second(New[struct{}]()), "structtags: type struct {}"+without)

	for _, err := range []error{
		second(New[good]()), second(New[*good]()), second(New[**good]()), second(New[[]good]()), second(New[[2]*good]()),
		second(New[map[int][]good]()), second(New[node]()), second(New[struct {
			A []good `validate:"dive"`
		}]()),
	} {
		assert.NoError(t, err)
	}
}

func second[T any](_ T, err error) error { return err }

// oneOf is a struct with a field of a type and a tag, and others beside it.
func oneOf(field any, tag string) reflect.Type {
	return reflect.StructOf([]reflect.StructField{
		{Name: "Field", Type: reflect.TypeOf(field), Tag: reflect.StructTag("validate:" + `"` + tag + `"`)},
		{Name: "Count", Type: reflect.TypeFor[int]()},
		{Name: "Other", Type: reflect.TypeFor[string]()},
		{Name: "Inner", Type: reflect.TypeFor[*good]()},
		{Name: "Any", Type: reflect.TypeFor[any]()},
	})
}

func TestABadTagIsRefusedAtConstruction(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		field any
		tag   string
		bad   string // empty if the tag is good
		why   string
	}{
		{"", "required", "", ""},
		{"", "omitempty,email", "", ""},
		{"", "rgb|rgba", "", ""},
		{"", "iscolor", "", ""},
		{"", "oneof=a b 'c d'", "", ""},
		{0, "gte=0,lte=100", "", ""},
		{time.Time{}, "required,gt", "", ""},
		{[]string{}, "min=1,dive,email", "", ""},
		{map[string][]int{}, "dive,keys,email,endkeys,required,dive,gt=0", "", ""},
		{[]good{}, "unique=Name,dive", "", ""},
		{good{}, "required", "", ""},
		{good{}, "-", "", ""},
		{[]any{}, "dive,required,email", "", ""},
		{"", "eqfield=Other", "", ""},
		{"", "eqfield=Inner.Name", "", ""},
		{"", "required_with=Count Other", "", ""},
		{"", "required_if=Count 1 Other 'a b'", "", ""},
		{"", "required_with=Any.Thing", "", ""},

		{"", "emial", "emial", "must be a validation of the validator's"},
		{"", "required,emial", "emial", "must be a validation of the validator's"},
		{"", "required,,email", "", `must be a validation of the validator's`},
		{"", "rgb|emial", "emial", "must be a validation of the validator's"},
		{"", "rgb|len=x", "len=x", `strconv.ParseInt: parsing "x": invalid syntax`},
		{0, "required,gte=abc", "gte=abc", `strconv.ParseInt: parsing "abc": invalid syntax`},
		{0.5, "omitempty,lt=a", "lt=a", `strconv.ParseFloat: parsing "a": invalid syntax`},
		{true, "min=1", "min=1", "Bad field type bool"},
		{good{}, "required,min=1", "min=1", "Bad field type structtags.good"},
		{[]*good{}, "dive,min=1", "min=1", "Bad field type structtags.good"},
		{0, "dive", "dive", "must be on a slice, an array or a map but is on int"},
		{good{}, "dive", "dive", "must be on a slice, an array or a map but is on structtags.good"},
		{[]string{}, "dive,dive", "dive", "must be on a slice, an array or a map but is on string"},
		{[]string{}, "dive,emial", "emial", "must be a validation of the validator's"},
		{map[string]int{}, "dive,keys,emial,endkeys,gt=0", "emial", "must be a validation of the validator's"},
		{map[string]int{}, "dive,keys,email,endkeys,gt=x", "gt=x", `strconv.ParseInt: parsing "x": invalid syntax`},
		{map[string]int{}, "dive,keys,email", "keys", `must be closed by "endkeys"`},
		{[]string{}, "dive,keys,email,endkeys", "keys", "must be on a map but is on []string"},
		{"", "keys", "keys", "'keys' tag must be immediately preceded by the 'dive' tag"},
		{[]good{}, "unique=Nam", "unique=Nam", "Bad field name Nam"},
		{[]*good{}, "unique=Nam", "unique=Nam", "Bad field name Nam"},
		{"", "eqfield=Othr", "eqfield=Othr", `struct has no field "Othr"`},
		{"", "eqfield=Inner.Nam", "eqfield=Inner.Nam", `struct has no field "Inner.Nam"`},
		{"", "eqfield=Count.Nam", "eqfield=Count.Nam", `struct has no field "Count.Nam"`},
		{"", "email|required_with=Other Othr", "required_with=Other Othr", `struct has no field "Othr"`},
		{"", "required_if=Count", "required_if=Count", "Bad param number for required_if "},
		{"", "required_if=Other 'a b' Count x", "required_if=Count x", `strconv.ParseInt: parsing "x": invalid syntax`},
		{"", "excluded_unless=Othr x", "excluded_unless=Othr x", `struct has no field "Othr"`},
		{[]any{}, "dive,emial", "emial", "must be a validation of the validator's"},
	} {
		typ := oneOf(test.field, test.tag)
		err := check(typ, &options{validate: newValidate(), own: true})
		if test.why == "" {
			if test.tag != "-" {
				assert.NoError(t, err, "%T %s", test.field, test.tag)
			}
			continue
		}
		require.Error(t, err, "%T %s", test.field, test.tag)
		want := "struct.Field: tag \"" + test.bad + "\": " + test.why
		assert.Equal(t, want, err.Error(), "%T %s", test.field, test.tag)
	}
}

func TestTagsAreFollowedWhereTheLibraryLooks(t *testing.T) {
	t.Parallel()
	type leaf struct {
		Size int `validate:"gte=big"`
	}
	type embedded struct{ leaf }
	const wrong = `structtags.leaf.Size: tag "gte=big": strconv.ParseInt: parsing "big": invalid syntax`
	for name, err := range map[string]error{
		"itself":      second(New[leaf]()),
		"an element":  second(New[map[string][]*leaf]()),
		"a field":     second(New[struct{ A leaf }]()),
		"a pointer":   second(New[struct{ A **leaf }]()),
		"an embedded": second(New[embedded]()),
		"dived into": second(New[struct {
			A [][]*leaf `validate:"dive,dive"`
		}]()),
		"a key": second(New[struct {
			A map[leaf]int `validate:"dive,keys,endkeys"`
		}]()),
	} {
		assert.ErrorContains(t, err, wrong, name)
	}
	for name, err := range map[string]error{
		"skipped": second(New[struct {
			A leaf `validate:"-"`
			B int  `validate:"gt=0"`
		}]()),
		"not dived": second(New[struct {
			A []leaf `validate:"min=1"`
		}]()),
		"struct only": second(New[struct {
			A leaf `validate:"structonly"`
		}]()),
		"no struct": second(New[struct {
			A leaf `validate:"nostructlevel"`
		}]()),
		"unexported": second(New[struct {
			a leaf
			B int `validate:"gt=0"`
		}]()),
	} {
		assert.NoError(t, err, name)
	}
	_, err := New[struct {
		A string `validate:"emial"`
		B int    `validate:"lt=x"`
	}]()
	assert.ErrorContains(t, err, "emial")
	assert.ErrorContains(t, err, "lt=x", "all are told at once")
}

func TestAValidatorOfOnesOwn(t *testing.T) {
	t.Parallel()
	type greeting struct {
		Text string `validate:"polite"`
	}
	_, err := New[greeting]()
	assert.EqualError(t, err, `structtags: structtags.greeting.Text: tag "polite": must be a validation of the validator's`)

	own := validator.New()
	require.NoError(t, own.RegisterValidation("polite", func(f validator.FieldLevel) bool {
		return f.Field().String()[:6] == "Please" // relies on a validation before it
	}))
	type careful struct {
		Text string `validate:"min=6,polite"`
	}
	validate, err := New[careful](With(own))
	require.NoError(t, err)
	assert.NoError(t, validate(careful{"Please!"}, retrypolicy.Attempt{}))
	assert.EqualError(t, validate(careful{"Now!"}, retrypolicy.Attempt{}), `Text: must satisfy min=6 but is "Now!"`)

	// Rules for types without tags are theirs to know.
	own.RegisterStructValidationMapRules(map[string]string{"Name": "required"}, untagged{})
	ruled, err := New[untagged](With(own))
	require.NoError(t, err)
	assert.EqualError(t, ruled(untagged{}, retrypolicy.Attempt{}), `Name: must satisfy required but is ""`)

	own.RegisterCustomTypeFunc(func(v reflect.Value) any {
		if s, ok := v.Interface().(sql.NullString); ok && s.Valid {
			return s.String
		}
		return nil
	}, sql.NullString{})
	nullable, err := New[struct {
		Name sql.NullString `validate:"required,min=2"`
	}](With(own))
	require.NoError(t, err)
	assert.Error(t, nullable(struct {
		Name sql.NullString `validate:"required,min=2"`
	}{sql.NullString{String: "a", Valid: true}}, retrypolicy.Attempt{}))

	_, err = New[good](With(nil))
	assert.EqualError(t, err, "structtags: With: the validator is nil")
	_, err = New[good](nil)
	assert.EqualError(t, err, "structtags: option 0 is nil")
	other := validator.New()
	other.SetTagName("binding")
	_, err = New[good](With(other))
	assert.EqualError(t, err, `structtags: With: the validator reads another tag: must read "validate"`)
	assert.PanicsWithError(t, err.Error(), func() { Must[good](With(other)) })
}

// A tag that passes the check does not make the library panic on any value.
func FuzzCheck(f *testing.F) {
	f.Add("required,email", uint8(0), "a@b.c", int64(1))
	f.Add("min=1,dive,rgb|len=3", uint8(3), "", int64(-1))
	f.Add("dive,keys,lt=5,endkeys,required", uint8(5), "x", int64(7))
	f.Add("required_if=Count 1 Other 'a b'", uint8(1), "a b", int64(1))
	f.Add("gtfield=Count", uint8(1), "", int64(2))
	f.Add("omitempty,oneof=1 2", uint8(1), "", int64(2))
	f.Add("unique=Name,dive", uint8(6), "", int64(2))
	kinds := []any{"", 0, 0.0, []string{}, true, map[string]int{}, []good{}, &good{}, time.Time{}, time.Second, [2]uint8{}}
	f.Fuzz(func(t *testing.T, tag string, kind uint8, text string, number int64) {
		for _, word := range []string{"file", "dir", "image", "_addr", "fn", "Fn", "omit", "\""} {
			if strings.Contains(tag, word) {
				t.Skip("looks at the machine, or at methods, or skips the rest")
			}
		}
		typ := oneOf(kinds[int(kind)%len(kinds)], tag)
		o := options{validate: newValidate(), own: true}
		if check(typ, &o) != nil {
			return
		}
		for range 2 {
			v := reflect.New(typ).Elem()
			for i := range v.NumField() {
				fill(v.Field(i), text, number)
			}
			err := judge(o.validate, v)
			if err != nil {
				assert.NotEmpty(t, err.Error())
				assert.NotContains(t, err.Error(), "cannot be validated")
				assert.LessOrEqual(t, len(err.Error()), validation.MaxReason)
				assert.True(t, errors.As(err, new(validator.ValidationErrors)))
			}
			text, number = "", 0
		}
	})
}

// fill sets a value, and one element where it has some.
func fill(v reflect.Value, text string, number int64) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		v.SetBool(number > 0)
	case reflect.Int, reflect.Int64:
		v.SetInt(number)
	case reflect.Uint8:
		v.SetUint(uint64(uint8(number)))
	case reflect.Float64:
		v.SetFloat(float64(number) / 2)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), text, number)
	case reflect.Array:
		fill(v.Index(0), text, number)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		value := reflect.New(v.Type().Elem()).Elem()
		fill(value, text, number)
		v.SetMapIndex(reflect.ValueOf(text), value)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), text, number)
	case reflect.Interface:
		v.Set(reflect.ValueOf(text))
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(number%1e10, 0)))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), text, number)
		}
	}
}
