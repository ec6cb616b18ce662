// Package limits bounds what concurrent work may hold and take: resources such as
// connections, rates such as tokens per minute, and calls. It does not depend on
// Temporal. Methods of package activity declare their limits with it; the engine
// acquires them before each attempt and releases them after it.
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
// A request is granted all or nothing. Requests are served in the order in which they
// come: a large request is not starved by small ones, and holds up those behind it
// until it is served. There is one exception: a request made with the context of work
// that holds a resource of the set (see [With]) goes before requests that hold none,
// because one of those may be waiting for that resource.
//
// Nobody polls. A release, a refund or a resize serves the next request at once. A set
// needs one timer for the requests that time will make room for.
package limits
