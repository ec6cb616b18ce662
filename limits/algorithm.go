package limits

// Algorithm says how a rate is measured, and so what it promises. The zero value means
// [AlgorithmSlidingWindow].
//
// A promise is about what was used in the end. What [Lease.Use] or [Lease.Undo] gave back
// does not count. What was used beyond an acquisition counts from the call of Use that
// reported it; it can exceed the rate for the moment, and later acquisitions wait until
// that is made up for. So the promise holds for every stretch of time that ends with an
// acquisition.
//
// If a stretch of time contains a [Set.Resize], the Capacity of a window and the Burst
// are those in force at its last acquisition, and Capacity·t/Window is what the rates in
// force during that time let through. A stretch in which the capacity was infinite has no
// bound.
type Algorithm string

const (
	// AlgorithmSlidingWindow is the default. It admits at most Capacity units in every
	// stretch of time as long as Window, and remembers every acquisition of the last
	// Window.
	AlgorithmSlidingWindow Algorithm = "sliding_window"
	// AlgorithmFixedWindow admits at most Capacity units in each window. The first
	// window begins when the set is made, or when a key of a Keyed is first used, and
	// the next when it ends. A stretch as long as Window that lies in two windows can
	// have twice as many units. Units beyond the capacity at a window's end count in the
	// next.
	AlgorithmFixedWindow Algorithm = "fixed_window"
	// AlgorithmTokenBucket takes a token out of a bucket for each unit. The bucket has
	// Burst tokens at first, which is the most it can have, and gets Capacity new ones
	// per Window. In any time t it admits at most Burst + Capacity·t/Window units.
	AlgorithmTokenBucket Algorithm = "token_bucket"
	// AlgorithmGCRA is the generic cell rate algorithm (ITU-T I.371), with a tolerance
	// of Burst units. It admits the same as the token bucket, to the nanosecond.
	AlgorithmGCRA Algorithm = "gcra"
	// AlgorithmLeakyBucket admits units one after another, Window/Capacity apart, without
	// bursts. A request of n units is admitted at once when the bucket is empty, and the
	// next one waits n times Window/Capacity.
	AlgorithmLeakyBucket Algorithm = "leaky_bucket"
)

// way is how an algorithm measures a rate.
type way struct {
	name   Algorithm
	bursts bool // Limit.Burst means something
	whole  bool // it counts no fractions of units
	meter  func(l *Limit, now int64) meter
}

// ways are all of them; the first is the default.
var ways = []way{ //nolint:gochecknoglobals // constant
	{name: AlgorithmSlidingWindow, whole: true, meter: newSlidingWindow},
	{name: AlgorithmFixedWindow, whole: true, meter: newFixedWindow},
	{name: AlgorithmTokenBucket, bursts: true, meter: newTokenBucket},
	{name: AlgorithmLeakyBucket, meter: newLeakyBucket},
	{name: AlgorithmGCRA, bursts: true, meter: newTokenBucket},
}

// algorithms are the names of all ways.
func algorithms() []Algorithm {
	names := make([]Algorithm, len(ways))
	for i := range ways {
		names[i] = ways[i].name
	}
	return names
}

// way returns how the limit's rate is measured, or nil if its algorithm is unknown.
func (l *Limit) way() *way {
	if l.Algorithm == "" {
		return &ways[0]
	}
	for i := range ways {
		if ways[i].name == l.Algorithm {
			return &ways[i]
		}
	}
	return nil
}
