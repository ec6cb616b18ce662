// Package limits bounds what concurrent work may hold and take: resources such
// as connections, rates such as tokens per minute, and calls. It needs no
// Temporal; methods of package activity declare their limits with it, and the
// engine acquires them before each attempt and releases them after it.
//
//	set := limits.MustNew(
//		limits.Resource("connections", 8),
//		limits.Rate("tokens", 100_000, time.Minute),
//	)
//	lease, err := set.Acquire(ctx, limits.Units{"connections": 1, "tokens": 1200})
//	if err != nil {
//		return err
//	}
//	defer lease.Release()
//	reply, err := ask(ctx, prompt)
//	lease.Use(limits.Units{"tokens": reply.Tokens}) // the rest is given back
//
// A request is granted all or nothing, and requests are served in the order in
// which they come: one that asks for much is not starved by others that ask for
// little, and holds up those behind it until it is served. Only work that holds
// a resource, which its context tells (see With), comes before work that holds
// none and may be waiting for it. Nobody polls: a release, a refund or a resize
// serves the next request at once, and where time makes room there is one timer
// for a whole set.
package limits
