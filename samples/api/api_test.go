package main

import (
	"bytes"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/concurry-go/concurry/testsuite"
)

const window = 2 * time.Second

func TestTheAPIIsNeverAskedForMoreThanItAllows(t *testing.T) {
	srv := testsuite.Server(t)
	t.Setenv("TEMPORAL_ADDRESS", srv.HostPort())
	t.Setenv("TEMPORAL_NAMESPACE", srv.Namespace())
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })

	var out bytes.Buffer
	r, err := run(t.Context(), &out, window)
	require.NoError(t, err)
	t.Log(out.String())
	assert.Zero(t, r.Violations)
	assert.LessOrEqual(t, r.MostRequests, requestQuota)
	assert.LessOrEqual(t, r.MostTokens, tokenQuota)

	all := slices.Concat(questions())
	require.Len(t, r.answers, len(all))
	for i, a := range r.answers {
		assert.Equal(t, usage(all[i]), a.Tokens, "question %d", i)
	}
	assert.Equal(t, 3, r.Overloaded)
	assert.Equal(t, len(all)+r.Overloaded, r.Requests)
	assert.Zero(t, r.Early, "requests that came back before Retry-After")
	assert.Positive(t, r.refunds)
	assert.Positive(t, r.debits)
	assert.GreaterOrEqual(t, r.took, window, "more than a window's requests, in less")
}

// The same method with limits that are not the API's: the API notices, and the
// retries that it asks for come when it says.
func TestTheAPISeesLimitsThatAreTooGenerous(t *testing.T) {
	api, err := startService(t.Context(), window)
	require.NoError(t, err)
	defer api.stop()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()

	short, _ := questions()
	_, tooMany := declare(time.Millisecond)
	answers, err := tooMany.Inline(&Model{URL: api.URL, HTTP: &http.Client{Transport: transport}}).Map(t.Context(), short)
	require.NoError(t, err)
	assert.Len(t, answers, len(short))
	seen := api.seen()
	assert.Positive(t, seen.Violations)
	assert.Greater(t, seen.MostRequests, requestQuota)
	assert.Zero(t, seen.Early, "requests that came back before Retry-After")
}

func TestTheAPIEnforcesItsQuotas(t *testing.T) {
	short, long := Question{Words: 40}, Question{Words: 400} // which take half of it
	for _, c := range []struct {
		name string
		q    Question
		fit  int
	}{
		{"requests", short, 100},
		{"tokens", long, 51}, // one of which finds it overloaded, and takes none
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &service{window: window, backAt: map[int]time.Time{}}
			begin := time.Now()
			for range c.fit {
				status, _ := s.admit(c.q, begin)
				assert.NotEqual(t, http.StatusTooManyRequests, status)
			}
			status, wait := s.admit(c.q, begin.Add(window-1))
			assert.Equal(t, http.StatusTooManyRequests, status)
			assert.Equal(t, window, wait)
			assert.Equal(t, 1, s.seen().Violations)

			status, _ = s.admit(c.q, begin.Add(window))
			assert.Equal(t, http.StatusOK, status)
			assert.NotZero(t, s.seen().Early)
		})
	}
}
