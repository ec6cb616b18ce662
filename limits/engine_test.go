package limits_test

import (
	"github.com/concurry-go/concurry/internal/limitengine"
	"github.com/concurry-go/concurry/limits"
)

func engineOf(limiter limits.Limiter) limitengine.Limiter[limits.Lease] {
	return limiter.EngineLimiter(limitengine.Access{})
}

func sourceOf(source limits.Source) limitengine.Source[limits.Sets] {
	return source.EngineSource(limitengine.Access{})
}
