package activity_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/validation"
)

// Reply is what a language model answers.
type Reply struct {
	Text       string
	Confidence float64
}

// LLM is a worker; scripted stands for the service behind it.
type LLM struct{ scripted []Reply }

var errOverloaded = errors.New("overloaded")

// Generate asks for an answer, and tells what was wrong with the last one.
func (l *LLM) Generate(ctx context.Context, prompt string) (Reply, error) {
	if _, reason, ok := activity.LastRefusal[Reply](ctx); ok {
		prompt += " (your last answer was refused: " + reason + ")"
	}
	fmt.Println("asking:", prompt)
	r := l.scripted[0]
	l.scripted = l.scripted[1:]
	if r.Text == "" {
		return Reply{}, errOverloaded
	}
	return r, nil
}

func confident(r Reply, a retrypolicy.Attempt) error {
	wanted := 0.9
	if a.Number > 2 {
		wanted = 0.7 // better than nothing
	}
	if r.Confidence < wanted {
		return fmt.Errorf("confidence %.1f, want %.1f", r.Confidence, wanted)
	}
	return nil
}

var llm = activity.Define[*LLM]("LLM", activity.Options{
	Retry: retrypolicy.Policy{
		NumRetries: 3,
		RetryOn:    []retrypolicy.Filter{retrypolicy.ErrorIs(errOverloaded)},
	},
	AttemptTimeout: 20 * time.Second,
	CallTimeout:    2 * time.Minute,
})

var Generate = activity.Method(llm, "Generate", (*LLM).Generate, activity.MethodOptions[string, Reply]{
	RetryUntil: []validation.Validator[Reply]{confident},
})

// A worker is declared once: what is retried, when, and what is good enough.
// Inline runs it in this process; Execute and Submit run it on Temporal.
func Example() {
	model := &LLM{scripted: []Reply{{}, {"hm", 0.4}, {"a boy and a desert", 0.8}}}
	clock := testsuite.NewClock() // does not really wait
	reply, err := Generate.Inline(model).WithClock(clock.Clock()).Call(context.Background(), "Dune?")
	fmt.Println(reply, err)
	// Output:
	// asking: Dune?
	// asking: Dune?
	// asking: Dune? (your last answer was refused: confidence 0.4, want 0.9)
	// {a boy and a desert 0.8} <nil>
}

// When no result is good enough, the best one can be the fallback.
func ExampleMethod_fallback() {
	model := &LLM{scripted: []Reply{{"one", 0.1}, {"two", 0.6}, {"three", 0.3}, {"four", 0.2}}}
	reply, err := Generate.Inline(model).WithClock(testsuite.NewClock().Clock()).Call(context.Background(), "Dune?")
	var rve *validation.RetryValidationError
	if validation.As(err, &rve) {
		fmt.Println(rve.Attempts, "attempts")
		reply, err = validation.Best(rve, func(r Reply) float64 { return r.Confidence })
	}
	fmt.Println(reply, err)
	// Output:
	// asking: Dune?
	// asking: Dune? (your last answer was refused: confidence 0.1, want 0.9)
	// asking: Dune? (your last answer was refused: confidence 0.6, want 0.9)
	// asking: Dune? (your last answer was refused: confidence 0.3, want 0.7)
	// 4 attempts
	// {two 0.6} <nil>
}

// Plain functions are methods too.
func ExampleFunc() {
	double := activity.Func("Double", func(_ context.Context, n int) (int, error) { return 2 * n, nil },
		activity.FuncOptions[int, int]{Retry: retrypolicy.Policy{NumRetries: 2}, CallTimeout: time.Minute})
	fmt.Println(double.Inline().Call(context.Background(), 21))
	// Output: 42 <nil>
}

// Options read from configuration are checked without a panic.
func ExampleNewDefinition() {
	retries := -1
	_, err := retrypolicy.Config{NumRetries: &retries, RetryAlgorithm: "cubic"}.Policy()
	fmt.Println(err)
	_, err = activity.NewDefinition[*LLM]("LLM", activity.Options{CallTimeout: -time.Second})
	fmt.Println(err)
	// Output:
	// num_retries -1: must be from 0 to 1000000
	// retry_algorithm "cubic": must be "exponential", "linear", "fibonacci" or "constant"
	// LLM: CallTimeout -1s: must be positive, or 0 for no bound
}
