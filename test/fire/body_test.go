package fire

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/concurry-go/concurry/retrypolicy"
)

// body is what the first body of a call does; later ones fail at once.
type body string

const (
	// bodyFails returns an error at once.
	bodyFails body = "fails"
	// bodyBlocks waits for its context.
	bodyBlocks body = "blocks"
	// bodyIgnores goes on for 8 seconds, whatever its context says.
	bodyIgnores body = "ignores"
	// bodyKills kills its own process in the third body, or the last if that
	// is earlier; the ones before fail at once.
	bodyKills body = "kills"
	// bodyLasts takes 3 seconds unless its context ends.
	bodyLasts body = "lasts"
	// bodyGated waits for the file Free unless its context ends.
	bodyGated body = "gated"
)

// burner is the worker under fire.
type burner struct {
	setup *setup
	room  *room       // nil unless the process takes it
	ended atomic.Bool // the first body here has
}

// Next is the call after the one under fire; it tells where it ran.
func (*burner) Next(context.Context, string) (int, error) { return os.Getpid(), nil }

// Burn is the method under fire.
func (b *burner) Burn(ctx context.Context, _ string) (string, error) {
	n, err := b.enter()
	if err != nil {
		return "", retrypolicy.Permanent(err)
	}
	if b.setup.Body == bodyKills && n == min(3, b.setup.Retries+1) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	defer b.ended.Store(true)
	b.setup.look(ctx)
	if n == b.setup.Hangs {
		<-ctx.Done()
		return "", ctx.Err()
	}
	if n > 1 {
		return "", errBurnt
	}
	if b.room != nil && b.setup.Retries > 0 {
		b.room.takeNext()
	}
	switch b.setup.Body {
	case bodyBlocks:
		<-ctx.Done()
		return "", ctx.Err()
	case bodyGated:
		if err := b.setup.gate(ctx); err != nil {
			return "", err
		}
	case bodyIgnores:
		time.Sleep(8 * time.Second)
	case bodyLasts:
		select {
		case <-time.After(3 * time.Second):
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	if b.setup.After > 0 {
		return "", retrypolicy.After(errBurnt, b.setup.After)
	}
	return "", errBurnt
}

// gate waits for the file Free.
func (s *setup) gate(ctx context.Context) error {
	for !exists(s.Free) {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

var errBurnt = errors.New("burnt")

// enter counts a started body, in the file that outlives every process, and
// returns the count.
func (b *burner) enter() (int, error) { return enter(b.setup.Ledger) }

func enter(ledger string) (int, error) {
	f, err := os.OpenFile(ledger, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	if _, err := fmt.Fprintf(f, "%d %s\n", os.Getpid(), time.Now().Format(time.RFC3339Nano)); err != nil {
		return 0, err
	}
	return started(ledger)
}

// started is how many bodies the ledger counts.
func started(ledger string) (int, error) {
	content, err := os.ReadFile(ledger)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	return strings.Count(string(content), "\n"), err
}
