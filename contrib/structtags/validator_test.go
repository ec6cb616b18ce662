package structtags_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-playground/validator/v10"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/concurry-go/concurry/contrib/structtags"
	"github.com/concurry-go/concurry/retrypolicy"
)

// Base is embedded: its fields are its owner's in JSON.
type Base struct {
	ID string `json:"id" validate:"required"`
}

type Price struct {
	Amount   float64 `json:"amount"   validate:"gte=0"`
	Currency string  `json:"currency" validate:"oneof=EUR USD"`
}

type Order struct {
	Base

	Email    string           `json:"email,omitempty"           validate:"omitempty,email"`
	Secret   string           `json:"-"                         validate:"isdefault"`
	Colour   string           `validate:"omitempty,rgb|eq=none"`
	Lines    []Price          `json:"lines"                     validate:"min=1,dive"`
	Extras   map[string]Price `json:"extras"                    validate:"dive,keys,lowercase,endkeys"`
	Shipping *Price           `json:"shipping"                  validate:"required"`
	From     time.Time        `json:"from"                      validate:"required"`
	Until    time.Time        `json:"until"                     validate:"omitempty,gtfield=From"`
	Days     []int            `json:"days"                      validate:"unique,dive,lte=7"`
	Rush     bool             `json:"rush"                      validate:"required_if=Colour none"`
	Grid     [2][2]int8       `json:"grid"                      validate:"dive,dive,gte=0"`
}

var noon = time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)

func good() Order {
	return Order{
		Base: Base{"1"}, Lines: []Price{{1, "EUR"}}, Shipping: &Price{0, "USD"}, From: noon,
		Extras: map[string]Price{"bag": {2, "EUR"}},
	}
}

func TestEveryFieldThatFailsIsNamedWithItsTag(t *testing.T) {
	t.Parallel()
	validate := structtags.Must[Order]()
	for _, test := range []struct {
		spoil  func(o *Order)
		reason string
	}{
		{func(*Order) {}, ""},
		{func(o *Order) { o.ID = "" }, `id: must satisfy required but is ""`},
		{func(o *Order) { o.Email = "nobody" }, `email: must satisfy email but is "nobody"`},
		{func(o *Order) { o.Secret = "x" }, `Secret: must satisfy isdefault but is "x"`},
		{func(o *Order) { o.Colour = "red" }, `Colour: must satisfy rgb|eq=none but is "red"`},
		{func(o *Order) { o.Lines = nil }, `lines: must satisfy min=1 but has length 0`},
		{func(o *Order) { o.Lines[0] = Price{-0.5, "GBP"} }, `lines[0].amount: must satisfy gte=0 but is -0.5; lines[0].currency: must satisfy oneof=EUR USD but is "GBP"`},
		{func(o *Order) { o.Extras["bag"] = Price{} }, `extras[bag].currency: must satisfy oneof=EUR USD but is ""`},
		{func(o *Order) { o.Extras["BAG"] = Price{1, "EUR"} }, `extras[BAG]: must satisfy lowercase but is "BAG"`},
		{func(o *Order) { o.Shipping = nil }, `shipping: must satisfy required but is null`},
		{func(o *Order) { o.Shipping.Amount = -1 }, `shipping.amount: must satisfy gte=0 but is -1`},
		{func(o *Order) { o.From = time.Time{} }, `from: must satisfy required but is 0001-01-01T00:00:00Z`},
		{func(o *Order) { o.Until = noon }, `until: must satisfy gtfield=From but is 2024-02-29T12:00:00Z`},
		{func(o *Order) { o.Days = []int{1, 1} }, `days: must satisfy unique but has length 2`},
		{func(o *Order) { o.Days = []int{1, 8, 2, 3, 4, 5, 6, 7, -1, -2, 9} }, `days[1]: must satisfy lte=7 but is 8; days[10]: must satisfy lte=7 but is 9`},
		{func(o *Order) { o.Colour = "none" }, `rush: must satisfy required_if=Colour none but is false`},
		{func(o *Order) { o.Grid[1][0] = -1 }, `grid[1][0]: must satisfy gte=0 but is -1`},
		{func(o *Order) { o.ID = ""; o.Lines = nil; o.Shipping.Amount = -1 }, `id: must satisfy required but is ""; lines: must satisfy min=1 but has length 0; shipping.amount: must satisfy gte=0 but is -1`},
	} {
		order := good()
		test.spoil(&order)
		err := validate(order, retrypolicy.Attempt{})
		if test.reason == "" {
			assert.NoError(t, err)
			continue
		}
		assert.EqualError(t, err, test.reason)
	}
}

func TestElementsOfAResultAreEachValidatedAndNeverNil(t *testing.T) {
	t.Parallel()
	type page[T any] struct {
		Items []T `json:"items" validate:"max=1,dive"`
	}
	bad, fine := &Price{-1, "EUR"}, &Price{1, "EUR"}
	refused := func(err error, reason string) {
		t.Helper()
		assert.EqualError(t, err, reason)
	}
	refused(structtags.Must[*Price]()(bad, retrypolicy.Attempt{}), "amount: must satisfy gte=0 but is -1")
	refused(structtags.Must[*Price]()(nil, retrypolicy.Attempt{}), "(root): must not be null")
	refused(structtags.Must[[]*Price]()([]*Price{fine, nil, bad}, retrypolicy.Attempt{}), "[1]: must not be null; [2].amount: must satisfy gte=0 but is -1")
	refused(structtags.Must[map[string][]Price]()(map[string][]Price{"b": {*bad}, "a": {*fine, *bad}}, retrypolicy.Attempt{}),
		"[a][1].amount: must satisfy gte=0 but is -1; [b][0].amount: must satisfy gte=0 but is -1")
	refused(structtags.Must[[1]Price]()([1]Price{*bad}, retrypolicy.Attempt{}), "[0].amount: must satisfy gte=0 but is -1")
	refused(structtags.Must[page[Price]]()(page[Price]{[]Price{*bad}}, retrypolicy.Attempt{}), "items[0].amount: must satisfy gte=0 but is -1")
	anonymous := structtags.Must[struct {
		Price Price `json:"price"`
	}]()
	refused(anonymous(struct {
		Price Price `json:"price"`
	}{*bad}, retrypolicy.Attempt{}), "price.amount: must satisfy gte=0 but is -1")
	refused(structtags.Must[struct {
		*Base `validate:"required"`
	}]()(struct {
		*Base `validate:"required"`
	}{}, retrypolicy.Attempt{}), "Base: must satisfy required but is null")

	for _, err := range []error{
		structtags.Must[[]*Price]()(nil, retrypolicy.Attempt{}),
		structtags.Must[[]*Price]()([]*Price{fine}, retrypolicy.Attempt{}),
		structtags.Must[map[int]Price]()(map[int]Price{1: *fine}, retrypolicy.Attempt{}),
	} {
		assert.NoError(t, err)
	}
}

func TestWhatOnlyAValueTellsIsARefusal(t *testing.T) {
	t.Parallel()
	type loose struct {
		Value any `json:"value" validate:"min=1"`
	}
	validate := structtags.Must[[]loose]()
	assert.NoError(t, validate([]loose{{1}, {"a"}, {[]int{1}}}, retrypolicy.Attempt{}))
	assert.EqualError(t, validate([]loose{{0}, {true}, {nil}}, retrypolicy.Attempt{}),
		"[0].value: must satisfy min=1 but is 0; [1]: cannot be validated: Bad field type bool; [2].value: must satisfy min=1 but is null")
}

func TestABugInAValidationIsNotHidden(t *testing.T) {
	t.Parallel()
	own := validator.New()
	require.NoError(t, own.RegisterValidation("third", func(f validator.FieldLevel) bool { return f.Field().String()[2] == 'x' }))
	validate := structtags.Must[struct {
		Name string `validate:"third"`
	}](structtags.With(own))
	assert.Panics(t, func() {
		_ = validate(struct {
			Name string `validate:"third"`
		}{"ab"}, retrypolicy.Attempt{})
	})
}

func TestTheLibrarysWholeErrorIsInsideTheRefusal(t *testing.T) {
	t.Parallel()
	err := structtags.Must[[]Price]()([]Price{{-1, ""}, {-1, "EUR"}}, retrypolicy.Attempt{})
	all, ok := errors.AsType[validator.ValidationErrors](fmt.Errorf("refused: %w", err))
	require.True(t, ok)
	assert.Len(t, all, 3)
	assert.NoError(t, errors.Unwrap(structtags.Must[*Price]()(nil, retrypolicy.Attempt{})), "there is none of a nil")
}

func TestAReasonIsBoundedAndCountsWhatHasNoRoom(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 5000)
	type text struct {
		Text string `json:"text" validate:"len=1"`
	}
	reason := structtags.Must[[]Price]()(slices.Repeat([]Price{{-1, "EUR"}}, 5000), retrypolicy.Attempt{}).Error()
	assert.LessOrEqual(t, len(reason), 1<<10)
	assert.Regexp(t, `^\[0\]\.amount: must satisfy gte=0 but is -1; \[1\].*; and 49[0-9][0-9] more$`, reason)

	reason = structtags.Must[map[string]text]()(map[string]text{long: {long}}, retrypolicy.Attempt{}).Error()
	assert.Less(t, len(reason), 400)
	assert.Regexp(t, `^\[é+…: must satisfy len=1 but is "é+…$`, reason)

	assert.EqualError(t, structtags.Must[map[string]text]()(map[string]text{"a\n\xff": {"\x00b"}}, retrypolicy.Attempt{}),
		`[a\n\xff].text: must satisfy len=1 but is "\x00b"`)
}

func TestOneValidatorServesCallsSideBySide(t *testing.T) {
	t.Parallel()
	validate := structtags.Must[Order]()
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for range 50 {
				assert.NoError(t, validate(good(), retrypolicy.Attempt{}))
				order := good()
				order.Extras["Bag"], order.Extras["BAG"] = Price{}, Price{}
				assert.EqualError(t, validate(order, retrypolicy.Attempt{}),
					`extras[BAG]: must satisfy lowercase but is "BAG"; extras[BAG].currency: must satisfy oneof=EUR USD but is ""; `+
						`extras[Bag]: must satisfy lowercase but is "Bag"; extras[Bag].currency: must satisfy oneof=EUR USD but is ""`)
			}
		})
	}
	group.Wait()
}

// A good order is broken in known places: the reason names these, in their
// order, and nothing else.
func TestTheReasonNamesExactlyWhatWasBroken(t *testing.T) {
	t.Parallel()
	validate := structtags.Must[Order]()
	rapid.Check(t, func(t *rapid.T) {
		order := good()
		var reasons []string
		for i := range rapid.IntRange(0, 6).Draw(t, "days") {
			day := rapid.SampledFrom([]int{i - 9, 8 + i}).Draw(t, "day")
			order.Days = append(order.Days, day)
			if day > 7 {
				reasons = append(reasons, fmt.Sprintf("days[%d]: must satisfy lte=7 but is %d", i, day))
			}
		}
		order.ID = rapid.SampledFrom([]string{"", "x"}).Draw(t, "id")
		if order.ID == "" {
			reasons = append(reasons, `id: must satisfy required but is ""`)
		}
		for i := range rapid.IntRange(0, 12).Draw(t, "lines") {
			price := Price{rapid.SampledFrom([]float64{0, 0.25, -2}).Draw(t, "amount"), rapid.SampledFrom([]string{"EUR", "USD", "x"}).Draw(t, "currency")}
			order.Lines = append(order.Lines, price)
			place := "lines[" + strconv.Itoa(i+1) + "]"
			if price.Amount < 0 {
				reasons = append(reasons, place+".amount: must satisfy gte=0 but is -2")
			}
			if price.Currency == "x" {
				reasons = append(reasons, place+`.currency: must satisfy oneof=EUR USD but is "x"`)
			}
		}
		err := validate(order, retrypolicy.Attempt{})
		want := strings.Join(reasons, "; ")
		switch {
		case want == "":
			require.NoError(t, err)
		case len(want) <= 1<<10:
			require.EqualError(t, err, want)
		default:
			got, count, ok := strings.Cut(err.Error(), "; and ")
			require.True(t, ok)
			require.True(t, strings.HasPrefix(want, got), err)
			left := len(reasons) - 1 - strings.Count(got, "; ")
			require.Equal(t, strconv.Itoa(left)+" more", count)
		}
	})
}
