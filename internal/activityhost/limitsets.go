package activityhost

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.temporal.io/sdk/interceptor"

	"github.com/concurry-go/concurry/internal/engine"
	"github.com/concurry-go/concurry/internal/limitengine"
	"github.com/concurry-go/concurry/limits"
)

// limitSets are the sets of one worker, and of the sessions on it.
type limitSets struct {
	mu       sync.Mutex
	worker   map[*limits.Declaration]limits.Sets
	sessions map[string]map[*limits.Declaration]limits.Sets // nil is of one that has failed

	// Of a test environment: its clock, and the sets of the program that are on it,
	// until it is over.
	clock *limitengine.Clock
	own   map[limits.Source]bool
	over  bool
}

// open finds the sets of d for a call in a session, or in none, and makes them
// where it is the first.
func (s *limitSets) open(d *limits.Declaration, session string, clock limits.Clock) (limits.Sets, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.worker == nil {
		s.worker = map[*limits.Declaration]limits.Sets{}
	}
	sets := s.worker
	if d.Scope() == limits.ScopeSession || d.Scope() == limits.ScopeSessionOrWorker && session != "" {
		if session == "" {
			return nil, engine.ErrOutside
		}
		if sets = s.sessions[session]; sets == nil {
			return nil, errSessionOver
		}
	}
	if keyed, ok := sets[d]; ok {
		return keyed, nil
	}
	keyed, err := d.EngineSource(limitengine.Access{}).OpenSets(limitengine.Clock(clock))
	if err == nil {
		sets[d] = keyed
	}
	return keyed, err
}

// errSessionOver is why the limits of a session are gone.
var errSessionOver = errors.New("limits: the session has ended on this worker")

func (s *limitSets) begin(session string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions == nil {
		s.sessions = map[string]map[*limits.Declaration]limits.Sets{}
	}
	s.sessions[session] = map[*limits.Declaration]limits.Sets{}
}

// end takes everything away that was held in a session. One that its workflow has
// not completed has failed, and is remembered: few do.
func (s *limitSets) end(session string, failed bool) {
	s.mu.Lock()
	sets := s.sessions[session]
	switch {
	case sets == nil:
	case failed:
		s.sessions[session] = nil
	default:
		delete(s.sessions, session)
	}
	s.mu.Unlock()
	for _, keyed := range sets {
		keyed.EngineSource(limitengine.Access{}).Close(errSessionOver)
	}
}

// hasFailed reports whether a session has ended here before its workflow knew.
func (s *limitSets) hasFailed(session string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	sets, known := s.sessions[session]
	return known && sets == nil
}

// Limits are the sets of a declaration on this worker, made if there are none.
func (h *Host) Limits(d *limits.Declaration) (limits.Sets, error) {
	return h.sets.open(d, "", h.limitClock())
}

// limitClock is the clock of the host's sets: the real one, or the test
// environment's. A workflow environment's stands still while activities run: what
// one of them waits for limits is added to it.
func (h *Host) limitClock() limits.Clock {
	switch h.Simulated {
	case Real:
		return limits.Clock{}
	case SimulatedWorkflow:
		return limits.Clock{
			Now: func() time.Time { return h.Clock.Now().Add(time.Duration(h.waited.Load())) },
			Sleep: func(d time.Duration, wake ...<-chan struct{}) bool {
				slept := h.Clock.Sleep(d, wake...)
				if slept {
					h.waited.Add(int64(d))
				}
				return slept
			},
		}
	default:
		return limits.Clock{Now: h.Clock.Now, Sleep: h.Clock.Sleep}
	}
}

// follow puts limits that the program has made on the clock of the environment, and
// reports whether calls wait for them as for declared ones. Those that another
// environment has are waited for in place, and by its clock.
func (h *Host) follow(source limits.Source) bool {
	if _, declared := source.(*limits.Declaration); declared || h.Simulated == Real {
		return true
	}
	s := &h.sets
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.own[source] {
		return s.own[source]
	}
	if s.clock == nil {
		c := limitengine.Clock(h.limitClock())
		s.clock, s.own = &c, map[limits.Source]bool{}
	}
	s.own[source] = source.EngineSource(limitengine.Access{}).Follow(s.clock)
	return s.own[source]
}

// Close gives limits that the program has made back to the real clock, when the
// test of a simulated Host ends.
func (h *Host) Close() {
	s := &h.sets
	s.mu.Lock()
	defer s.mu.Unlock()
	for source, follows := range s.own {
		if follows {
			source.EngineSource(limitengine.Access{}).Unfollow(s.clock)
		}
	}
	s.own, s.over = nil, true
}

// Names of the SDK's own activities that begin and end a session. The first one
// runs as long as the session on a real worker, and returns at once in the test
// environment.
const (
	sessionCreation   = "internalSessionCreationActivity"
	sessionCompletion = "internalSessionCompletionActivity"
)

// sessionActivity notes the begin and end of sessions.
type sessionActivity struct {
	interceptor.ActivityInboundInterceptorBase
	host *Host
	ends bool // the session, when it is started
}

// ExecuteActivity implements interceptor.ActivityInboundInterceptor.
func (s *sessionActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	session := ""
	if len(in.Args) > 0 {
		session, _ = in.Args[0].(string)
	}
	if s.ends {
		s.host.sets.end(session, false)
		return s.Next.ExecuteActivity(ctx, in)
	}
	s.host.sets.begin(session)
	out, err := s.Next.ExecuteActivity(ctx, in)
	if err != nil || s.host.Simulated == Real {
		s.host.sets.end(session, err != nil && s.host.Simulated == Real)
	}
	return out, err
}
