// Package main must not compile: the validator judges another type than the
// method returns.
package main

import (
	"context"
	"time"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

type llm struct{}

func (llm) Generate(context.Context, string) (string, error) { return "", nil }

func positive(n int, _ retrypolicy.Attempt) error { return nil }

func main() {
	d := activity.Define[llm]("LLM", activity.Options{CallTimeout: time.Second})
	activity.Method(d, "Generate", llm.Generate, activity.MethodOptions[string, string]{
		RetryUntil: []validation.Validator[string]{positive},
	})
}
