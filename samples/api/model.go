package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/retrypolicy"
)

// What the API allows within a window, which is a minute unless -window says
// otherwise.
const (
	requestQuota = 100
	tokenQuota   = 10_000
)

const (
	// leeway is how much longer one request may travel than another: the API
	// counts when they arrive, and the limits when they leave.
	leeway = time.Second
	// tokenBudget leaves room for what answers on their way here have taken
	// beyond the estimate.
	tokenBudget = tokenQuota * 9 / 10
)

// declare declares the method and its limits. It is a function since the
// window is a flag; yours are package variables.
//
// The rates are sliding windows, the default: at most so many units in any
// stretch of time, which is what this API wants. A token bucket allows short
// bursts of up to twice as many.
func declare(window time.Duration) (*activity.Definition[*Model], *activity.MethodHandle[*Model, Question, Answer]) {
	model := activity.Define[*Model]("Model", activity.Options{
		CallTimeout: 10*window + time.Minute,
		Limits: limits.PerWorker(
			limits.Rate("requests", requestQuota, window+leeway),
			limits.Rate("tokens", tokenBudget, window+leeway),
		),
		Requires: limits.Units{"requests": 1}, // of every attempt
		Retry: retrypolicy.Policy{
			NumRetries: 10,
			RetryOn:    []retrypolicy.Filter{retrypolicy.If(busy), retrypolicy.ErrorAs[*net.OpError]()},
		},
	})
	return model, activity.Method(model, "Ask", (*Model).Ask, activity.MethodOptions[Question, Answer]{
		RequiresOf: func(q Question) limits.Units { return limits.Units{"tokens": q.tokens()} }, // beside that
	})
}

// Question is what the model is asked.
type Question struct {
	Number int    `json:"number"`
	Text   string `json:"text"`
	Words  int    `json:"words"` // of the answer, about
}

// tokens is what an answer is expected to take.
func (q Question) tokens() int { return q.Words }

// Answer is what the model answers.
type Answer struct {
	Text   string `json:"text"`
	Tokens int    `json:"tokens"` // what it took
}

// Model is a client of a language model's API.
type Model struct {
	URL  string
	HTTP *http.Client
}

// Ask asks a question. There is room for it: a request and its tokens have been
// acquired.
func (m *Model) Ask(ctx context.Context, q Question) (Answer, error) {
	held := limits.Held(ctx)
	answer, err := m.post(ctx, q)
	if busy(err, retrypolicy.Attempt{}) {
		return Answer{}, errors.Join(err, held.Use(limits.Units{"tokens": 0})) // it was a request all the same
	}
	if err != nil {
		return Answer{}, err // perhaps it was answered: the estimate stays
	}
	return answer, held.Use(limits.Units{"tokens": answer.Tokens}) // fewer are given back, more are charged
}

// post is one request. An API that is busy says when to come back, and the
// retry comes then.
func (m *Model) post(ctx context.Context, q Question) (answer Answer, err error) {
	body, err := json.Marshal(q)
	if err != nil {
		return answer, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.URL, bytes.NewReader(body))
	if err != nil {
		return answer, err
	}
	resp, err := m.HTTP.Do(req)
	if err != nil {
		return answer, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return answer, retrypolicy.AfterHeader(&StatusError{resp.StatusCode}, resp.Header)
	}
	return answer, json.NewDecoder(resp.Body).Decode(&answer)
}

// StatusError is an answer that is no success.
type StatusError struct{ Code int }

func (e *StatusError) Error() string {
	return fmt.Sprintf("status %d %s", e.Code, http.StatusText(e.Code))
}

// busy reports whether err says that another attempt, later, may succeed.
func busy(err error, _ retrypolicy.Attempt) bool {
	status, ok := errors.AsType[*StatusError](err)
	return ok && (status.Code == http.StatusTooManyRequests || status.Code == http.StatusServiceUnavailable)
}
