package activityhost

import (
	"slices"

	"github.com/concurry-go/concurry/limits"
)

// LimitSnapshots are what the limits of this worker's methods hold now: of each
// source once, by the first activity type, in alphabetical order, that it bounds.
// A keyed source has one for each busy key, and a declared one for each session.
func (h *Host) LimitSnapshots() map[string][]limits.Snapshot {
	names := map[limits.Source]string{}
	for name, known := range h.specs {
		source := known.Spec.Limits.Source
		if source == nil {
			continue
		}
		if first, ok := names[source]; !ok || name < first {
			names[source] = name
		}
	}
	all := map[string][]limits.Snapshot{}
	for source, name := range names {
		all[name] = h.snapshotsOf(source)
	}
	return all
}

func (h *Host) snapshotsOf(source limits.Source) (all []limits.Snapshot) {
	switch s := source.(type) {
	case *limits.Declaration:
		for _, keyed := range h.sets.of(s) {
			all = appendKeyed(all, keyed)
		}
	case limits.Sets:
		all = appendKeyed(all, s)
	case *limits.Pool:
		all = s.Snapshots()
	case *limits.Set:
		all = []limits.Snapshot{s.Snapshot()}
	}
	return all
}

func appendKeyed(all []limits.Snapshot, k limits.Sets) []limits.Snapshot {
	for _, s := range k.Snapshots() {
		all = append(all, s)
	}
	return all
}

// of are the sets of d, of the worker and of all sessions.
func (s *limitSets) of(d *limits.Declaration) (all []limits.Sets) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all = append(all, s.worker[d])
	for _, sets := range s.sessions {
		all = append(all, sets[d])
	}
	return slices.DeleteFunc(all, func(k limits.Sets) bool { return k == nil })
}
