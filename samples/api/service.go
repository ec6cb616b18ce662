package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// service is a language model's HTTP API with quotas, which it enforces to the
// nanosecond: no more requests, and no more tokens, in any stretch of time as
// long as the window. It knows nothing of who asks. Every 50th request finds it
// overloaded.
type service struct {
	URL string

	window time.Duration
	server *http.Server

	mu       sync.Mutex
	recent   []arrival         // of the last window
	backAt   map[int]time.Time // when questions that were sent away may come back
	observed observed
}

// arrival is a request that was let in.
type arrival struct {
	at     time.Time
	tokens int
}

// observed is what the service has seen.
type observed struct {
	Requests   int // that it let in
	Overloaded int // of those, sent away with 503
	Violations int // requests beyond a quota, sent away with 429
	Early      int // requests that came back before Retry-After

	MostRequests, MostTokens int // within any window, those beyond a quota included
}

// startService serves on a free port of this machine.
func startService(ctx context.Context, window time.Duration) (*service, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &service{URL: "http://" + listener.Addr().String(), window: window, backAt: map[int]time.Time{}}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := s.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			panic(err)
		}
	}()
	return s, nil
}

func (s *service) stop() { _ = s.server.Close() }

// seen is what the service has seen so far.
func (s *service) seen() observed {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.observed
}

// ServeHTTP answers a question, or says when to come back.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var q Question
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	status, wait := s.admit(q, time.Now())
	if status != http.StatusOK {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)))
		http.Error(w, http.StatusText(status), status)
		return
	}
	body, err := json.Marshal(Answer{Text: strings.Repeat("so ", q.Words), Tokens: usage(q)})
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(body)
}

// usage is what an answer takes: rarely what it was asked to.
func usage(q Question) int { return q.Words * []int{50, 80, 120}[q.Number%3] / 100 }

// admit lets a question in, or says how long to stay away, in whole seconds.
func (s *service) admit(q Question, now time.Time) (status int, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(s.backAt[q.Number]) {
		s.observed.Early++
	}
	for len(s.recent) > 0 && now.Sub(s.recent[0].at) >= s.window {
		s.recent = s.recent[1:]
	}
	requests, tokens := len(s.recent)+1, usage(q)
	for _, a := range s.recent {
		tokens += a.tokens
	}
	s.observed.MostRequests = max(s.observed.MostRequests, requests)
	s.observed.MostTokens = max(s.observed.MostTokens, tokens)

	if requests > requestQuota || tokens > tokenQuota {
		s.observed.Violations++
		return http.StatusTooManyRequests, s.sendAway(q, now, s.window)
	}
	s.observed.Requests++
	if s.observed.Requests%50 == 0 {
		s.observed.Overloaded++
		s.recent = append(s.recent, arrival{at: now})
		return http.StatusServiceUnavailable, s.sendAway(q, now, time.Second)
	}
	s.recent = append(s.recent, arrival{at: now, tokens: usage(q)})
	return http.StatusOK, 0
}

// sendAway is a wait rounded up to what Retry-After can say.
func (s *service) sendAway(q Question, now time.Time, wait time.Duration) time.Duration {
	wait = (wait + time.Second - 1).Truncate(time.Second)
	s.backAt[q.Number] = now.Add(wait)
	return wait
}
