package limits

import (
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// onlooker keeps the books of a rate from the outside: what was said to be used,
// and when. It knows the promises of the documentation, and nothing of meters.
type onlooker struct {
	limit  Limit   // as it was made
	ruling []ruled // since the set's making, or since the rate has had a bound again
	used   []*piece
}

// ruled is what a rate's capacity has been from a time on.
type ruled struct {
	at       int64
	capacity float64
}

// piece is what a lease has used that counts from one time on: that of its
// acquisition, or that at which it said that it had used more.
type piece struct{ at, units int64 }

func (o *onlooker) now() float64 { return o.ruling[len(o.ruling)-1].capacity }

func (o *onlooker) resize(now int64, capacity float64) {
	if math.IsInf(o.now(), 1) { // no promise holds for a time without bound
		o.ruling, o.used = nil, nil
	}
	o.ruling = append(o.ruling, ruled{now, capacity})
}

func (o *onlooker) take(now, n int64) *piece {
	p := &piece{now, n}
	if !math.IsInf(o.now(), 1) {
		o.used = append(o.used, p)
	}
	return p
}

// since is what has been used from a time on.
func (o *onlooker) since(from int64) (sum int64) {
	for _, p := range o.used {
		if p.at >= from {
			sum += p.units
		}
	}
	return sum
}

// passed is how much the rates in force have let through within a time.
func (o *onlooker) passed(from, to int64) *big.Rat {
	sum := new(big.Rat)
	for i, r := range o.ruling {
		end := to
		if i+1 < len(o.ruling) {
			end = min(end, o.ruling[i+1].at)
		}
		if begin := max(from, r.at); begin < end {
			perNano := new(big.Rat).Quo(exactly(r.capacity), units(int64(o.limit.Window)))
			sum.Add(sum, perNano.Mul(perNano, units(end-begin)))
		}
	}
	return sum
}

// before is the capacity that was in force before a time, in whole units.
func (o *onlooker) before(at int64) int64 {
	capacity := o.ruling[0].capacity
	for _, r := range o.ruling {
		if r.at < at {
			capacity = r.capacity
		}
	}
	return int64(capacity)
}

// broken says which promise an admission of n units breaks; empty if none.
func (o *onlooker) broken(now, n int64) string {
	if math.IsInf(o.now(), 1) {
		return ""
	}
	window := int64(o.limit.Window)
	for _, p := range o.used {
		sum := units(o.since(p.at) + n)
		var most *big.Rat
		switch o.limit.Algorithm {
		case AlgorithmTokenBucket, AlgorithmGCRA: // Burst + what the rates in force let through
			burst := o.limit.Burst
			if burst == 0 {
				burst = o.now()
			}
			most = new(big.Rat).Add(exactly(burst), o.passed(p.at, now))
		case AlgorithmLeakyBucket: // all that was before it has gone
			most = new(big.Rat).Add(units(n), o.passed(p.at, now))
		case AlgorithmFixedWindow: // the capacities that the windows before had at their ends, and what this one has
			most = units(int64(o.now()))
			first := p.at / window
			sum = units(o.since(first*window) + n)
			for w := first; w < now/window; w++ {
				most.Add(most, units(o.before((w+1)*window)))
			}
		default: // the capacity, in every stretch as long as the window
			if p.at <= now-window {
				continue
			}
			most = units(int64(o.now()))
		}
		if sum.Cmp(most) > 0 {
			return fmt.Sprintf("from %d to %d: %v used, at most %v promised", p.at, now, sum.FloatString(3), most.FloatString(3))
		}
	}
	return ""
}

// promised is a set of one rate under an onlooker's eyes.
type promised struct {
	t      *rapid.T
	set    *Set
	most   int64 // how much one acquires
	watch  onlooker
	at     int64
	leases []*watched
	log    []string
}

type watched struct {
	lease  Lease
	units  int64
	pieces []*piece // of what it has used, from the first to the last
	over   bool
}

func (p *promised) notef(format string, args ...any) {
	p.log = append(p.log, fmt.Sprintf("%d: ", p.at)+fmt.Sprintf(format, args...))
}

func (p *promised) acquire(wait bool) {
	n := int64(rapid.IntRange(1, int(min(p.set.limits[0].max, p.most))).Draw(p.t, "units"))
	if wait {
		amounts := make([]amount, len(p.set.limits))
		amounts[0].units = n
		p.at = p.set.readyAt(amounts, p.at)
	}
	lease, err := p.set.TryAcquire(Units{"r": int(n)})
	if err != nil {
		p.notef("%d: no room", n)
		return
	}
	p.notef("%d acquired by %d", n, len(p.leases))
	if fault := p.watch.broken(p.at, n); fault != "" {
		p.t.Fatalf("%v\n%s\n%s", p.watch.limit, fault, strings.Join(p.log, "\n"))
	}
	p.leases = append(p.leases, &watched{lease: lease, units: n, pieces: []*piece{p.watch.take(p.at, n)}})
}

// held draws a lease that has not ended.
func (p *promised) held() *watched {
	var open []*watched
	for _, w := range p.leases {
		if !w.over {
			open = append(open, w)
		}
	}
	if len(open) == 0 {
		return &watched{over: true}
	}
	return rapid.SampledFrom(open).Draw(p.t, "lease")
}

func (p *promised) use(w *watched, n int64) {
	p.notef("%d of %d used", n, w.units)
	require.NoError(p.t, w.lease.Use(Units{"r": int(n)}))
	p.said(w, n)
}

// said notes how much was used: more counts from now on, less ends what was said
// last.
func (p *promised) said(w *watched, n int64) {
	if n > w.units {
		w.pieces = append(w.pieces, p.watch.take(p.at, n-w.units))
	}
	for less := w.units - n; less > 0; {
		last := w.pieces[len(w.pieces)-1]
		gone := min(less, last.units)
		last.units -= gone
		if less -= gone; less > 0 {
			w.pieces = w.pieces[:len(w.pieces)-1]
		}
	}
	w.units = n
}

func (p *promised) end(w *watched, undo bool) {
	w.over = true
	if !undo {
		w.lease.Release()
		return
	}
	p.notef("%d undone", w.units)
	w.lease.Undo()
	p.said(w, 0)
}

func (p *promised) resize(capacity float64) {
	p.notef("resized to %v", capacity)
	require.NoError(p.t, p.set.Resize("r", capacity))
	p.watch.resize(p.at, capacity)
}

// What each algorithm promises holds for what was used in the end, whoever says
// so, however late, whatever is used beyond, and over every resize.
func TestNoAlgorithmAdmitsMoreThanItPromises(t *testing.T) {
	t.Parallel()
	for _, a := range algorithms() {
		t.Run(string(a), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) { keepPromises(t, rates(a).Draw(t, "limit"), 60, 120) })
		})
	}
}

// So it does where there are many more leases than a bucket tells apart.
func TestNoAlgorithmAdmitsMoreThanItPromisesToManyLeases(t *testing.T) {
	t.Parallel()
	for _, a := range algorithms() {
		t.Run(string(a), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				l := Rate("r", float64(rapid.IntRange(100, 1000).Draw(t, "capacity")), 1000).By(a)
				keepPromises(t, l, int64(rapid.IntRange(1, 30).Draw(t, "most")), 300)
			})
		})
	}
}

// keepPromises does whatever can be done with a rate, most units and so many
// steps, and looks on.
func keepPromises(t *rapid.T, l Limit, most int64, steps int) {
	p := &promised{t: t, most: most, watch: onlooker{limit: l, ruling: []ruled{{capacity: l.Capacity}}}}
	base := time.Unix(0, 0)
	set, err := NewWithClock(Clock{Now: func() time.Time { return base.Add(time.Duration(p.at)) }}, l)
	require.NoError(t, err)
	p.set = set
	for range rapid.IntRange(1, steps).Draw(t, "steps") {
		switch rapid.IntRange(0, 9).Draw(t, "step") {
		case 0, 1, 2, 3:
			p.acquire(false)
		case 4:
			p.acquire(true)
		case 5:
			p.at += int64(rapid.IntRange(0, int(l.Window)).Draw(t, "pause")) / int64(rapid.IntRange(1, 20).Draw(t, "slower"))
		case 6, 7:
			if w := p.held(); !w.over {
				p.use(w, int64(rapid.IntRange(0, int(2*w.units)+1).Draw(t, "used")))
			}
		case 8:
			if w := p.held(); !w.over {
				p.end(w, rapid.Bool().Draw(t, "undo"))
			}
		case 9:
			capacity := l.Capacity * capacities().Draw(t, "times") / 15
			if rapid.IntRange(0, 5).Draw(t, "unbounded") == 0 {
				capacity = math.Inf(1)
			}
			p.resize(max(capacity, 1))
		}
	}
}
