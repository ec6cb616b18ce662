package engine

import (
	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/retrypolicy"
)

// encoded keeps refused results as drivers do whose journal travels.
func encoded(v any) retrypolicy.Value { return wire.Encode(v) }
