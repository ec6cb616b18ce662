package onserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/worker"
)

// records are log records of one level or above.
type records struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (r *records) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.Write(p)
}

func (r *records) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(r, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// with returns those with a message.
func (r *records) with(t *testing.T, message string) (found []map[string]any) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for d := json.NewDecoder(bytes.NewReader(r.out.Bytes())); d.More(); {
		var record map[string]any
		require.NoError(t, d.Decode(&record))
		if record["msg"] == message {
			found = append(found, record)
		}
	}
	return found
}

func TestLogs(t *testing.T) {
	t.Parallel()
	// The first attempt fails, the second is refused, the third logs itself.
	run := func(t *testing.T, o activity.Options, refine ...worker.Option) (*records, *activity.Call[string]) {
		var logs records
		queue := Queue(t)
		c := testsuite.Dial(t, testsuite.Server(t), client.Options{Logger: log.NewStructuredLogger(logs.logger())})
		impl := &Scripted{Body: func(ctx context.Context, n int, _ string) (string, error) {
			switch n {
			case 1:
				return "", errors.New("not yet")
			case 2:
				return "bad", nil
			}
			activity.GetLogger(ctx).Warn("In the body.")
			return "good", nil
		}}
		o.Retry, o.TaskQueue = retrypolicy.Policy{NumRetries: 2, Wait: time.Millisecond}, queue
		d, do := ScriptedWith(o, func(s string, _ retrypolicy.Attempt) error {
			if s == "bad" {
				return errors.New("no good")
			}
			return nil
		})
		Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) }, refine...)
		call := Submit(t, c, do, queue, "")
		_, err := call.Get(t.Context())
		require.NoError(t, err)
		return &logs, call
	}
	t.Run("each retry is a warning of the worker's", func(t *testing.T) {
		t.Parallel()
		logs, call := run(t, activity.Options{})
		failed := logs.with(t, "Activity attempt failed, retrying.")
		require.Len(t, failed, 1)
		assert.Equal(t, "WARN", failed[0]["level"])
		assert.Equal(t, "not yet", failed[0]["Error"])
		assert.InDelta(t, 1, failed[0]["CallAttempt"], 0)
		assert.Equal(t, call.ID(), failed[0]["ActivityID"])
		refused := logs.with(t, "Activity attempt refused, retrying.")
		require.Len(t, refused, 1)
		assert.Equal(t, "no good", refused[0]["Error"])
		assert.InDelta(t, 2, refused[0]["CallAttempt"], 0)
	})
	t.Run("the method's logger has the attempt of the call and that of the server", func(t *testing.T) {
		t.Parallel()
		logs, _ := run(t, activity.Options{})
		own := logs.with(t, "In the body.")
		require.Len(t, own, 1)
		assert.InDelta(t, 3, own[0]["CallAttempt"], 0)
		assert.InDelta(t, 1, own[0]["Attempt"], 0)
	})
	t.Run("observers take the place of the warnings, and know the activity", func(t *testing.T) {
		t.Parallel()
		var observed records
		logs, call := run(t, activity.Options{}, worker.Observe(retrypolicy.LogTo(observed.logger())))
		assert.Empty(t, logs.with(t, "Activity attempt failed, retrying."))
		failed := observed.with(t, "attempt failed, retrying")
		require.Len(t, failed, 1)
		assert.Equal(t, call.ID(), failed[0]["activity_id"])
		assert.Equal(t, call.RunID(), failed[0]["run_id"])
		assert.InDelta(t, 1, failed[0]["server_attempt"], 0)
	})
}
