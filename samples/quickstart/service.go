package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// service is a book shop's HTTP API that misbehaves on a script. It stands for
// the services you call; nothing in it is about retries.
type service struct {
	URL string

	server *http.Server
	mu     sync.Mutex
	calls  map[string][]request // what each call has asked so far
}

// request is what the service's clients send.
type request struct {
	Call     string   `json:"call"` // the same in each attempt of a call
	Title    string   `json:"title"`
	Feedback []string `json:"feedback,omitempty"` // what was wrong with earlier answers
}

// step is how the service treats one request.
type step func(w http.ResponseWriter, r request)

// scripts say what the requests of a call meet, one after another, by path;
// the last step is that of all further requests.
var scripts = map[string][]step{
	"/price":     {reset, unavailable, reset, say(`{"value": "12.50 EUR"}`)},
	"/stock":     {reset, unavailable, reset, say(`{"value": "7 copies"}`)},
	"/rating":    {reset, unavailable, reset, say(`{"value": "4.6 of 5"}`)},
	"/describe":  {reset, tooManyRequests, unavailable, describe},
	"/translate": {translation("Dünen", 0.41), translation("Der Wüstenplanet", 0.82), translation("Wüste", 0.66), translation("Düne", 0.73)},
	"/order":     {unauthorized},
}

// reset closes the TCP connection with a reset, as a crashing server or an
// impatient proxy does.
func reset(w http.ResponseWriter, _ request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // close with RST, not FIN
	}
	_ = conn.Close()
}

func tooManyRequests(w http.ResponseWriter, _ request) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, "slow down", http.StatusTooManyRequests)
}

func unavailable(w http.ResponseWriter, _ request) {
	http.Error(w, "try again", http.StatusServiceUnavailable)
}

func unauthorized(w http.ResponseWriter, _ request) {
	http.Error(w, "no API key", http.StatusUnauthorized)
}

func say(text string) step {
	return func(w http.ResponseWriter, _ request) { _, _ = w.Write([]byte(text)) }
}

func translation(text string, confidence float64) step {
	return say(fmt.Sprintf(`{"text": %q, "confidence": %.2f}`, text, confidence))
}

// describe answers as a language model might: chatty at first, and better once
// it is told what was wrong. It knows nothing of earlier requests.
func describe(w http.ResponseWriter, r request) {
	told := func(word string) bool {
		return slices.ContainsFunc(r.Feedback, func(s string) bool { return strings.Contains(s, word) })
	}
	switch {
	case !told("JSON"):
		say(`Sure! Here is your JSON: {"summary": "A`)(w, r)
	case !told("keywords"):
		say(`{"summary": "A boy and a desert."}`)(w, r)
	default:
		say(`{"summary": "A boy and a desert.", "keywords": ["sand", "spice", "fate"]}`)(w, r)
	}
}

// startService serves on a free port of this machine.
func startService(ctx context.Context) (*service, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("the scripted service: %w", err)
	}
	s := &service{URL: "http://" + listener.Addr().String(), calls: map[string][]request{}}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := s.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			panic(err)
		}
	}()
	return s, nil
}

func (s *service) stop() { _ = s.server.Close() }

// ServeHTTP treats a request as the script of its path says.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	script, ok := scripts[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	var in request
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	n := len(s.calls[in.Call])
	s.calls[in.Call] = append(s.calls[in.Call], in)
	s.mu.Unlock()
	script[min(n, len(script)-1)](w, in)
}

// requests are what a call has asked so far.
func (s *service) requests(call string) []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls[call])
}
