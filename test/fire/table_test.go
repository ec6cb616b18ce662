package fire

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

var (
	rounds = flag.Int("fire.rounds", 1, "how often every cell is run")
	seed   = flag.Uint64("fire.seed", 0, "seed of the moments at which events strike; 0 draws one")
	table  = flag.Bool("fire.table", false, "every cell with 0, 1 and 5 retries; without, with 1")
)

// tally is what the runs of one cell came to.
type tally struct {
	runs, fewest, most int
	again              int // runs that began with one of too few bodies
	endings            map[ending]int
}

// TestCrashTable runs the crash table: a call of every cell never starts more
// bodies than it is allowed, ends as promised, and ends.
func TestCrashTable(t *testing.T) {
	t.Parallel()
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("seed %d", s)
	var mu sync.Mutex
	tallies := map[cell]*tally{}
	starts := make(chan struct{}, runtime.GOMAXPROCS(0))
	t.Cleanup(func() { summarise(tallies, s) })
	for round := range *rounds {
		for i, c := range cells() {
			if !*table && c.retries != 1 {
				continue
			}
			t.Run(fmt.Sprintf("%s/%s/%d retries/round %d", c.event, c.phase, c.retries, round+1), func(t *testing.T) {
				t.Parallel()
				n, got, again := runCell(t, c, s+uint64(round*1000+i), starts)
				mu.Lock()
				defer mu.Unlock()
				if tallies[c] == nil {
					tallies[c] = &tally{fewest: n, endings: map[ending]int{}}
				}
				one := tallies[c]
				one.runs++
				one.fewest, one.most = min(one.fewest, n), max(one.most, n)
				one.endings[got]++
				if again {
					one.again++
				}
			})
		}
	}
}

// summarise prints a line for each cell.
func summarise(tallies map[cell]*tally, seed uint64) {
	fmt.Printf("\nThe crash table, seed %d\n\n%-48s %-40s %7s %5s  %-17s  %s\n", seed, "what happens", "when", "retries", "runs", "bodies / allowed", "outcome")
	for _, c := range cells() {
		one := tallies[c]
		if one == nil {
			continue
		}
		bodies := strconv.Itoa(one.most)
		if one.fewest != one.most {
			bodies = fmt.Sprintf("%d–%d", one.fewest, one.most)
		}
		var endings []string
		for _, e := range slices.Sorted(maps.Keys(one.endings)) {
			endings = append(endings, fmt.Sprintf("%s ×%d", e, one.endings[e]))
		}
		if one.again > 0 {
			endings = append(endings, fmt.Sprintf("once more ×%d", one.again))
		}
		fmt.Printf("%-48s %-40s %7d %5d  %-17s  %s\n", c.event, c.phase, c.retries, one.runs, fmt.Sprintf("%s / %d", bodies, c.bodies), strings.Join(endings, ", "))
	}
}
