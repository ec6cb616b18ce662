package main

import (
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

// Facts are the results of FactsWorkflow.
type Facts struct {
	Price  Fact `json:"price"`
	Stock  Fact `json:"stock"`
	Rating Fact `json:"rating"`
}

// FactsWorkflow asks for three facts at once. Each call retries by its own
// policy, on the worker; the workflow only waits for the results.
func FactsWorkflow(ctx workflow.Context, price, stock, rating Query) (facts Facts, err error) {
	p := Price.Execute(ctx, price)
	s := Stock.Execute(ctx, stock)
	r := Rating.Execute(ctx, rating)
	if facts.Price, err = p.Get(ctx); err != nil {
		return facts, err
	}
	if facts.Stock, err = s.Get(ctx); err != nil {
		return facts, err
	}
	facts.Rating, err = r.Get(ctx)
	return facts, err
}

// DescribeWorkflow gets a card that passed its validators.
func DescribeWorkflow(ctx workflow.Context, q Query) (Card, error) {
	return Describe.Execute(ctx, q).Get(ctx)
}

// TranslateWorkflow gets the best translation there is.
func TranslateWorkflow(ctx workflow.Context, q Query) (Choice, error) {
	return choose(Translate.Execute(ctx, q).Get(ctx))
}

// Choice is a translation, and what became of the attempts if none was good
// enough.
type Choice struct {
	Translation
	Refused []Row `json:"refused,omitempty"`
}

// choose makes a fallback of the best refused result. It is the same code in a
// workflow and in any other program.
func choose(t Translation, err error) (Choice, error) {
	var rve *validation.RetryValidationError
	if !validation.As(err, &rve) {
		return Choice{Translation: t}, err
	}
	best, err := validation.Best(rve, func(t Translation) float64 { return t.Confidence })
	return Choice{Translation: best, Refused: rows(rve.Outcomes)}, err
}

// OrderWorkflow orders a book, or fails.
func OrderWorkflow(ctx workflow.Context, q Query) (Receipt, error) {
	return Order.Execute(ctx, q).Get(ctx)
}

// rows are outcomes as results and histories can hold them.
func rows(outcomes []retrypolicy.Outcome) []Row {
	all := make([]Row, len(outcomes))
	for i, o := range outcomes {
		all[i] = Row{Attempt: o.Number, Verdict: string(o.Verdict), Wait: o.Wait, Reason: o.Reason}
	}
	return all
}
