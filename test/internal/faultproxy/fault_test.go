package faultproxy_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/concurry-go/concurry/test/internal/faultproxy"
)

const heartbeat = "RecordActivityTaskHeartbeat"

// brief is how long a client waits that is to see nothing.
const brief = 200 * time.Millisecond

func TestAHeldRequestArrivesAfterTheOnesBehindIt(t *testing.T) {
	t.Parallel()
	r := newFixture(t).run()
	held := r.proxy.Apply(faultproxy.Rule{Method: heartbeat, Times: 1, Fault: faultproxy.Hold(faultproxy.CutOff)})

	require.Equal(t, codes.Unavailable, status.Code(r.beat(r.until(longest), "old")))
	r.happens(held.Hit(), "the fault")
	require.NoError(t, r.beat(r.until(longest), "new"))
	require.Equal(t, "new", r.details())

	held.Release()
	r.happens(held.Delivered(), "the late delivery")
	require.NoError(t, held.Outcome())
	assert.Equal(t, "old", r.details(), "the server takes heartbeats as they come")
	assert.Equal(t, 1, held.Hits())
}

func TestAClientCanBeCutOffLater(t *testing.T) {
	t.Parallel()
	r := newFixture(t).run()
	f := faultproxy.Drop(faultproxy.CutOff)
	f.CutAfter = time.Hour
	dropped := r.proxy.Apply(faultproxy.Rule{Method: heartbeat, Times: 1, Fault: f})
	require.Equal(t, codes.DeadlineExceeded, status.Code(r.beat(r.until(brief), "early")), "the client gives up first")
	dropped.Lift()
	f.CutAfter = brief
	r.proxy.Apply(faultproxy.Rule{Method: heartbeat, Times: 1, Fault: f})
	require.Equal(t, codes.Unavailable, status.Code(r.beat(r.until(longest), "patient")))
	assert.Empty(t, r.details())
}

func TestAHeldRequestArrivesWhenItsDelayIsOver(t *testing.T) {
	t.Parallel()
	r := newFixture(t).run()
	f := faultproxy.Hold(faultproxy.Answer)
	f.Delay = time.Millisecond
	held := r.proxy.Apply(faultproxy.Rule{Method: heartbeat, Fault: f})

	require.NoError(t, r.beat(r.until(longest), "slow"), "the answer is the late one's")
	r.happens(held.Delivered(), "the late delivery")
	assert.Equal(t, "slow", r.details())
}

func TestAHeldRequestArrivesWhoeverWaitsForIt(t *testing.T) {
	t.Parallel()
	r := newFixture(t).run()
	held := r.proxy.Apply(faultproxy.Rule{Method: heartbeat, Fault: faultproxy.Hold(faultproxy.Silence)})

	ctx, giveUp := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.beat(ctx, "held") }()
	r.happens(held.Hit(), "the fault")
	giveUp()
	require.Equal(t, codes.Canceled, status.Code(<-ended))
	require.Empty(t, r.details())

	held.Release()
	r.happens(held.Delivered(), "the late delivery")
	assert.Equal(t, "held", r.details())
}

func TestAHeldRequestCanArriveRightBehindAnother(t *testing.T) {
	t.Parallel()
	r := newFixture(t).run()
	f := faultproxy.Hold(faultproxy.CutOff)
	f.Behind = faultproxy.Another
	held := r.proxy.Apply(faultproxy.Rule{Method: heartbeat, Times: 1, Fault: f})

	require.Error(t, r.beat(r.until(longest), "first"))
	require.NoError(t, r.beat(r.until(longest), "first"), "the same again is not another one")
	select {
	case <-held.Delivered():
		t.Fatal("delivered behind itself")
	default:
	}
	require.NoError(t, r.beat(r.until(longest), "second"))
	r.happens(held.Delivered(), "the late delivery")
	assert.Equal(t, "first", r.details())
}

func TestADroppedRequestNeverArrives(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		client faultproxy.Sight
		sees   codes.Code
	}{
		"and the client is cut off":    {faultproxy.CutOff, codes.Unavailable},
		"and the client sees nothing":  {faultproxy.Silence, codes.DeadlineExceeded},
		"and there is nothing to tell": {faultproxy.Answer, codes.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newFixture(t).run()
			dropped := r.proxy.Apply(faultproxy.Rule{Method: heartbeat, Fault: faultproxy.Drop(c.client)})
			require.Equal(t, c.sees, status.Code(r.beat(r.until(brief), "lost")))
			dropped.Release()
			dropped.Lift()
			require.Empty(t, r.details())
			require.NoError(t, r.beat(r.until(longest), "after"))
			assert.Equal(t, "after", r.details())
		})
	}
}

func TestARequestWhoseAnswerIsLostHasArrived(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		client faultproxy.Sight
		sees   codes.Code
	}{
		"and the client is cut off":   {faultproxy.CutOff, codes.Unavailable},
		"and the client sees nothing": {faultproxy.Silence, codes.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newFixture(t).run()
			r.proxy.Apply(faultproxy.Rule{Method: heartbeat, Fault: faultproxy.DropAnswer(c.client)})
			require.Equal(t, c.sees, status.Code(r.beat(r.until(time.Second), "there")))
			assert.Equal(t, "there", r.details())
		})
	}
}

func TestADuplicateArrivesAgain(t *testing.T) {
	t.Parallel()
	r := newFixture(t).run()
	twice := r.proxy.Apply(faultproxy.Rule{Method: heartbeat, Times: 1, Fault: faultproxy.Duplicate()})

	require.NoError(t, r.beat(r.until(longest), "old"))
	require.Equal(t, "old", r.details())
	require.NoError(t, r.beat(r.until(longest), "new"))
	twice.Release()
	r.happens(twice.Delivered(), "the late delivery")
	assert.Equal(t, "old", r.details())
}

func TestACopyArrivesBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	r := newFixture(t).run()
	twice := r.proxy.Apply(faultproxy.Rule{Method: "RespondActivityTaskCompleted", Fault: faultproxy.Twice()})
	_, err := r.through.RespondActivityTaskCompleted(r.until(longest), &workflowservice.RespondActivityTaskCompletedRequest{
		Namespace: "default", TaskToken: r.token,
	})
	require.NoError(t, err)
	r.happens(twice.Delivered(), "the copy")
	assert.Equal(t, codes.NotFound, status.Code(twice.Outcome()), "it is over")
}

func TestALateRequestCanBeRefused(t *testing.T) {
	t.Parallel()
	r := newFixture(t).run()
	held := r.proxy.Apply(faultproxy.Rule{Method: heartbeat, Fault: faultproxy.Hold(faultproxy.CutOff)})
	require.Error(t, r.beat(r.until(longest), "late"))
	_, err := r.direct.WorkflowService().RespondActivityTaskCompleted(t.Context(), &workflowservice.RespondActivityTaskCompletedRequest{
		Namespace: "default", TaskToken: r.token,
	})
	require.NoError(t, err)
	held.Release()
	r.happens(held.Delivered(), "the late delivery")
	assert.Equal(t, codes.NotFound, status.Code(held.Outcome()))
}

func TestRulesChooseRequests(t *testing.T) {
	t.Parallel()
	r := newFixture(t).run()
	named := func(text string) func(faultproxy.Request) bool {
		return func(q faultproxy.Request) bool {
			beat, ok := q.Message.(*workflowservice.RecordActivityTaskHeartbeatRequest)
			return ok && string(beat.GetDetails().GetPayloads()[0].GetData()) == `"`+text+`"`
		}
	}
	second := r.proxy.Apply(faultproxy.Rule{Method: heartbeat, When: named("twice"), Skip: 1, Times: 1, Fault: faultproxy.Drop(faultproxy.CutOff)})
	other := r.proxy.Apply(faultproxy.Rule{Method: "RespondActivityTaskFailed", Fault: faultproxy.Drop(faultproxy.CutOff)})
	for _, c := range []struct {
		details string
		sees    codes.Code
	}{{"once", codes.OK}, {"twice", codes.OK}, {"once", codes.OK}, {"twice", codes.Unavailable}, {"twice", codes.OK}} {
		require.Equal(t, c.sees, status.Code(r.beat(r.until(longest), c.details)), c.details)
	}
	assert.Equal(t, 1, second.Hits())
	assert.Equal(t, 0, other.Hits())
}

func TestACutConnectionIsGoneUntilItIsMended(t *testing.T) {
	t.Parallel()
	r := newFixture(t).run()
	silent := r.proxy.Apply(faultproxy.Rule{Method: heartbeat, Times: 1, Fault: faultproxy.Drop(faultproxy.Silence)})
	ended := make(chan error, 1)
	go func() { ended <- r.beat(r.until(longest), "under way") }()
	r.happens(silent.Hit(), "the fault")

	r.proxy.Cut()
	require.Equal(t, codes.Unavailable, status.Code(<-ended), "what is under way ends")
	require.Equal(t, codes.Unavailable, status.Code(r.beat(r.until(longest), "cut", grpc.WaitForReady(false))))
	r.proxy.Mend()
	require.Eventually(t, func() bool { return r.beat(r.until(longest), "mended") == nil }, longest, brief)
	assert.Equal(t, "mended", r.details())
}

func TestBytesThatStandStillArriveWhenTheyFlow(t *testing.T) {
	t.Parallel()
	r := newFixture(t).run()
	require.NoError(t, r.beat(r.until(longest), "before"))

	r.proxy.Stall()
	r.proxy.Stall() // is one stall
	require.Equal(t, codes.DeadlineExceeded, status.Code(r.beat(r.until(brief), "given up")))
	ended := make(chan error, 1)
	go func() { ended <- r.beat(r.until(longest), "patient") }()
	require.Equal(t, codes.DeadlineExceeded, status.Code(r.beat(r.until(brief), "given up")))
	select {
	case err := <-ended:
		t.Fatalf("answered while bytes stand still: %v", err)
	default:
	}
	require.Equal(t, "before", r.details())

	r.proxy.Resume()
	require.NoError(t, <-ended)
	require.NoError(t, r.beat(r.until(longest), "after"))
	assert.Equal(t, "after", r.details())
}

func TestACutLosesWhatStandsStill(t *testing.T) {
	t.Parallel()
	r := newFixture(t).run()
	require.NoError(t, r.beat(r.until(longest), "before"))
	r.proxy.Stall()
	require.Equal(t, codes.DeadlineExceeded, status.Code(r.beat(r.until(brief), "lost")))
	r.proxy.Cut()
	r.proxy.Resume()
	r.proxy.Mend()
	require.Eventually(t, func() bool { return r.beat(r.until(longest), "before") == nil }, longest, brief)
	assert.Equal(t, "before", r.details())
}

func TestAProxyWhoseBytesStandStillCloses(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.proxy.Stall()
	require.Equal(t, codes.DeadlineExceeded, status.Code((&running{fixture: f}).beat(f.until(brief), "never")), "the connection is being opened")
	closed := make(chan struct{})
	go func() {
		f.proxy.Close()
		close(closed)
	}()
	f.happens(closed, "the end of the proxy")
}
