package main

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func testOptions(seed uint64) options {
	return options{seed: seed, length: time.Hour, settle: time.Minute, calls: 10, workers: 4}
}

func TestASeedIsASchedule(t *testing.T) {
	t.Parallel()
	hash := func(o options) string { return newPlan(o).hash() }
	assert.Equal(t, hash(testOptions(7)), hash(testOptions(7)))
	assert.NotEqual(t, hash(testOptions(7)), hash(testOptions(8)))
	without := testOptions(7)
	without.without = []string{string(holds)}
	assert.NotEqual(t, hash(testOptions(7)), hash(without))
}

func TestEverySeedsMethodsCanBeDeclared(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		_, err := newPlan(options{seed: seed, length: time.Second, workers: 1}).methods("queue")
		require.NoError(t, err, "seed %d", seed)
	}
}

func TestEverySeedHasEveryKindOfLimit(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		found := map[limitKind]bool{}
		for _, s := range drawShapes(seed) {
			found[s.Limit] = true
		}
		require.Len(t, found, 7, "seed %d", seed)
	}
}

func TestAllFaultsAndCallsAreDrawn(t *testing.T) {
	t.Parallel()
	o := testOptions(1)
	p := newPlan(o)
	drawn := map[string]bool{}
	last := time.Duration(0)
	for _, s := range p.strikes {
		drawn[string(s.Fault)] = true
		require.GreaterOrEqual(t, s.At, last)
		require.Less(t, s.Worker, o.workers)
		require.Positive(t, s.For)
		last = s.At
	}
	for i := range 5000 {
		c := p.call(i)
		drawn[string(c.Kind)] = true
		require.Len(t, c.Input.Steps, p.shapes[c.Shape].attempts())
		require.Equal(t, c.Kind == inSession, p.shapes[c.Shape].ofSession())
		if c.CancelAfter > 0 {
			drawn[string(cancels)] = true
		}
		for _, s := range c.Input.Steps {
			drawn[string(s.Act)] = true
			if s.Act == dies {
				drawn[string(bodyDies)] = true
				require.NotEqual(t, localToFlow, c.Kind, "it would kill one process after the other")
			}
		}
	}
	for _, name := range names() {
		assert.True(t, drawn[name] || name == allFaults, name)
	}
	for _, a := range []act{succeeds, fails, isBusy, isFatal, forGood, comeBack, refused, panics, exits, blocks, ignores, beats, dies} {
		assert.True(t, drawn[string(a)], a)
	}
}

func TestWhatIsLeftOutIsNotDrawn(t *testing.T) {
	t.Parallel()
	o := testOptions(1)
	o.without = []string{string(kills), string(cancels), string(inSession), string(bodyDies)}
	p := newPlan(o)
	assert.False(t, slices.ContainsFunc(p.strikes, func(s strike) bool { return s.Fault == kills }))
	assert.NotEmpty(t, p.strikes)
	for i := range 2000 {
		c := p.call(i)
		require.Zero(t, c.CancelAfter)
		require.NotEqual(t, inSession, c.Kind)
		require.False(t, slices.ContainsFunc(c.Input.Steps, func(s step) bool { return s.Act == dies }))
	}
	o.without = []string{allFaults}
	assert.Empty(t, newPlan(o).strikes)
}

func TestFlagsThatAreWrongAreNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		says []string
	}{
		{[]string{"-for", "0s"}, []string{"-for 0s", "must be from 1s to 24h0m0s"}},
		{[]string{"-for", "25h"}, []string{"-for 25h0m0s", "must be from 1s to 24h0m0s"}},
		{[]string{"-settle", "1ms"}, []string{"-settle 1ms", "must be from 1s to 24h0m0s"}},
		{[]string{"-calls", "0"}, []string{"-calls 0", "must be from 1 to 5000"}},
		{[]string{"-workers", "33"}, []string{"-workers 33", "must be from 1 to 32"}},
		{[]string{"-without", "rain"}, []string{"-without rain", "must be among faults, kill"}},
		{[]string{"-without", "submit,workflow,session,local"}, []string{"-without submit,workflow,session,local", "must leave a kind of calls"}},
		{[]string{"-calls", "0", "-workers", "0"}, []string{"-calls 0", "-workers 0"}},
		{[]string{"-seed", "x"}, []string{`"x"`, "-seed"}},
		{[]string{"more"}, []string{`argument "more"`, "there are only flags"}},
	} {
		_, err := parse(c.args, &bytes.Buffer{})
		require.Error(t, err, "%v", c.args)
		for _, text := range c.says {
			assert.ErrorContains(t, err, text)
		}
	}
}

func TestFlagsHaveDefaults(t *testing.T) {
	t.Parallel()
	o, err := parse(nil, &bytes.Buffer{})
	require.NoError(t, err)
	assert.NotZero(t, o.seed, "one is drawn")
	o.seed = 0
	assert.Equal(t, options{length: 2 * time.Minute, settle: 3 * time.Minute, calls: 200, workers: 4}, o)
}
