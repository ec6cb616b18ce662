package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

// taskQueue differs from run to run, so that two people can try this on one
// server at the same time. Yours is a constant.
var taskQueue = "quickstart-" + strings.ToLower(rand.Text()[:6])

// books is what callers and workers share: the name of a worker type, and the
// policy of its methods.
var books = activity.Define[*Books]("Books", activity.Options{
	TaskQueue:      taskQueue,
	AttemptTimeout: 5 * time.Second,
	CallTimeout:    time.Minute, // all attempts and all waits
	Retry: retrypolicy.Policy{
		NumRetries: 5,
		Wait:       50 * time.Millisecond, // exponential, with full jitter: the defaults
		RetryOn:    transient,
	},
})

// transient are the errors worth another attempt; all others end the call.
var transient = []retrypolicy.Filter{
	retrypolicy.ErrorAs[*net.OpError](),      // connections reset, refused or cut
	retrypolicy.ErrorAs[*json.SyntaxError](), // answers that are not JSON
	retrypolicy.If(func(err error, _ retrypolicy.Attempt) bool {
		code := statusOf(err)
		return code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable
	}),
}

// waiting is a policy with another backoff, without jitter so that the
// timeline shows the curve. Keep the jitter where many callers share a service.
func waiting(backoff retrypolicy.Algorithm) *retrypolicy.Policy {
	return &retrypolicy.Policy{
		NumRetries: 4,
		Backoff:    backoff,
		Wait:       50 * time.Millisecond,
		Jitter:     retrypolicy.NoJitter,
		RetryOn:    transient,
	}
}

// One handle per method: what to run, how to retry, and what a good result is.
var (
	Price = activity.Method(books, "Price", (*Books).Price, activity.MethodOptions[Query, Fact]{
		Retry: waiting(retrypolicy.Exponential),
	})
	Stock = activity.Method(books, "Stock", (*Books).Stock, activity.MethodOptions[Query, Fact]{
		Retry: waiting(retrypolicy.Linear),
	})
	Rating = activity.Method(books, "Rating", (*Books).Rating, activity.MethodOptions[Query, Fact]{
		Retry: waiting(retrypolicy.Fibonacci),
	})
	Describe = activity.Method(books, "Describe", (*Books).Describe, activity.MethodOptions[Query, Card]{
		RetryUntil: []validation.Validator[Card]{
			validation.AcceptIf("the summary is missing", func(c Card) bool { return c.Summary != "" }),
			validation.AcceptIf("the keywords are missing: give three", func(c Card) bool { return len(c.Keywords) >= 3 }),
		},
	})
	Translate = activity.Method(books, "Translate", (*Books).Translate, activity.MethodOptions[Query, Translation]{
		Retry:      &retrypolicy.Policy{NumRetries: 3, Wait: 50 * time.Millisecond},
		RetryUntil: []validation.Validator[Translation]{confident},
	})
	Order = activity.Method(books, "Order", (*Books).Order)
)

// Query is the input of all methods here.
type Query struct {
	Call  string `json:"call"` // names the call, for the service and for the timeline
	Title string `json:"title"`
}

// Fact is something about a book.
type Fact struct {
	Value string `json:"value"`
}

// Card is what a language model writes about a book.
type Card struct {
	Summary  string   `json:"summary"`
	Keywords []string `json:"keywords"`
}

// Translation is a translated title, and how sure of it the translator is.
type Translation struct {
	Text       string  `json:"text"`
	Confidence float64 `json:"confidence"`
}

// Receipt is the result of an order.
type Receipt struct {
	Number string `json:"number"`
}

func confident(t Translation, _ retrypolicy.Attempt) error {
	if t.Confidence < 0.9 {
		return fmt.Errorf("confidence %.2f, want at least 0.90", t.Confidence)
	}
	return nil
}

// Books is a client of the book shop: an ordinary Go type.
type Books struct {
	URL      string
	HTTP     *http.Client
	Timeline *Timeline // of this program; methods need none
}

// Price asks what a book costs.
func (b *Books) Price(ctx context.Context, q Query) (Fact, error) {
	return post[Fact](ctx, b, "/price", q)
}

// Stock asks how many copies there are.
func (b *Books) Stock(ctx context.Context, q Query) (Fact, error) {
	return post[Fact](ctx, b, "/stock", q)
}

// Rating asks how readers like it.
func (b *Books) Rating(ctx context.Context, q Query) (Fact, error) {
	return post[Fact](ctx, b, "/rating", q)
}

// Describe asks a model for a card, and tells it what was wrong with its
// earlier answers to this call.
func (b *Books) Describe(ctx context.Context, q Query) (Card, error) {
	return post[Card](ctx, b, "/describe", q, complaints(ctx)...)
}

// complaints say why earlier answers were no good: those a validator refused,
// and those that were not JSON. A lost connection is none.
func complaints(ctx context.Context) (reasons []string) {
	for _, o := range activity.Previous(ctx) {
		if o.Verdict == retrypolicy.VerdictRefused || o.ErrorType == "SyntaxError" {
			reasons = append(reasons, o.Reason)
		}
	}
	return reasons
}

// Translate asks for a translation of the title.
func (b *Books) Translate(ctx context.Context, q Query) (Translation, error) {
	return post[Translation](ctx, b, "/translate", q)
}

// Order buys the book.
func (b *Books) Order(ctx context.Context, q Query) (Receipt, error) {
	return post[Receipt](ctx, b, "/order", q)
}
