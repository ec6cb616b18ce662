package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Streams of chance: drawing more of one thing changes nothing of another.
const (
	streamShapes uint64 = 1 << 32
	streamFaults uint64 = 2 << 32
	streamCalls  uint64 = 3 << 32
)

// plan is everything that the seed decides.
type plan struct {
	options options
	shapes  []*shape
	strikes []strike // in order of time
}

func newPlan(o options) *plan {
	return &plan{options: o, shapes: drawShapes(o.seed), strikes: drawStrikes(&o)}
}

// hashed is how many calls are part of the hash: how many are made depends on
// the machine.
const hashed = 10_000

// hash tells schedules apart: of policies, calls and faults.
func (p *plan) hash() string {
	sum := sha256.New()
	for _, s := range p.shapes {
		fmt.Fprintf(sum, "%+v\n", *s)
	}
	for _, s := range p.strikes {
		fmt.Fprintf(sum, "%+v\n", s)
	}
	for i := range hashed {
		fmt.Fprintf(sum, "%+v\n", p.call(i))
	}
	return hex.EncodeToString(sum.Sum(nil))[:16]
}

// methods declares all shapes for a task queue.
func (p *plan) methods(queue string) ([]method, error) {
	all := make([]method, len(p.shapes))
	for i, s := range p.shapes {
		m, err := s.define(queue)
		if err != nil {
			return nil, err
		}
		all[i] = m
	}
	return all, nil
}
