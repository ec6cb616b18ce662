package activity_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/limits"
)

// Writer writes texts, of which every word is a token.
type Writer struct{}

// Write says what it has used: what was acquired beyond that is given back.
func (Writer) Write(ctx context.Context, prompt string) (string, error) {
	words := strings.Fields(prompt)
	return strings.ToUpper(words[0]), limits.Held(ctx).Use(limits.Units{"tokens": len(words)})
}

var tokens = limits.MustNew(limits.Resource("connections", 2), limits.Rate("tokens", 1000, time.Minute))

// Every attempt requires a connection, and tokens by its input.
func Example_limits() {
	writer := activity.Define[Writer]("Writer", activity.Options{
		CallTimeout: time.Minute,
		Limits:      tokens,
		Requires:    limits.Units{"connections": 1},
	})
	write := activity.Method(writer, "Write", Writer.Write, activity.MethodOptions[string, string]{
		RequiresOf: func(prompt string) limits.Units { return limits.Units{"tokens": len(prompt)} },
	})

	texts, err := write.Inline(Writer{}).Map(context.Background(), []string{"one fine day", "two", "three more"})
	fmt.Println(texts, err)
	for _, l := range tokens.Snapshot().Limits {
		fmt.Printf("%s: %.0f of %.0f\n", l.Name, l.InUse, l.Capacity)
	}
	// Output:
	// [ONE TWO THREE] <nil>
	// connections: 0 of 2
	// tokens: 6 of 1000
}
