package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/concurry-go/concurry/retrypolicy"
)

// StatusError is an answer that is no success.
type StatusError struct{ Code int }

func (e *StatusError) Error() string {
	return fmt.Sprintf("status %d %s", e.Code, http.StatusText(e.Code))
}

func statusOf(err error) int {
	if status, ok := errors.AsType[*StatusError](err); ok {
		return status.Code
	}
	return 0
}

// post is one request to the service. It tells the engine what only this code
// can know: how long to wait (After), and that no attempt will help (Permanent).
func post[Out any](ctx context.Context, b *Books, path string, q Query, feedback ...string) (out Out, err error) {
	b.Timeline.attempt(ctx, q.Call)
	body, err := json.Marshal(request{Call: q.Call, Title: q.Title, Feedback: feedback})
	if err != nil {
		return out, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.URL+path, bytes.NewReader(body))
	if err != nil {
		return out, err
	}
	resp, err := b.HTTP.Do(req)
	if err != nil {
		return out, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return out, err
	}
	switch resp.StatusCode {
	case http.StatusOK:
		if err := json.Unmarshal(text, &out); err != nil {
			return out, fmt.Errorf("not JSON: %w", err)
		}
		return out, nil
	case http.StatusUnauthorized, http.StatusForbidden:
		return out, retrypolicy.Permanent(&StatusError{resp.StatusCode})
	default:
		return out, told(&StatusError{resp.StatusCode}, resp.Header)
	}
}

// told is err with the delay that the service asks for, if it does.
func told(err error, h http.Header) error {
	seconds, bad := strconv.Atoi(h.Get("Retry-After"))
	if bad != nil {
		return err
	}
	delay := time.Duration(seconds) * time.Second
	return retrypolicy.After(fmt.Errorf("%w: come back in %v", err, delay), delay)
}
