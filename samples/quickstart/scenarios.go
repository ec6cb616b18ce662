package main

import (
	"context"
	"errors"
	"fmt"

	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/activity"
)

// scenario is one thing to see: in this process, from a workflow and from plain
// Go as a standalone activity.
type scenario struct {
	title, text             string
	inline, workflow, plain func(context.Context, *show) error
}

var scenarios = []scenario{
	{
		"1. Errors are retried if a filter says so; waits grow by one of three algorithms",
		"From a wait of 50 ms: times 1, 2, 4 (exponential), 1, 2, 3 (linear), 1, 1, 2 (Fibonacci).",
		factsInline, factsFromWorkflow, factsFromGo,
	},
	{
		"2. A model is asked until its answer is JSON that passes the validators",
		"Each attempt tells the service what was wrong before, which it has from activity.Previous.",
		describeInline, describeFromWorkflow, describeFromGo,
	},
	{
		"3. No result is good enough, and the best one is the fallback",
		"The call ends with a RetryValidationError, which has every refused result.",
		translateInline, translateFromWorkflow, translateFromGo,
	},
	{
		"4. An error that no retry mends ends the call at once",
		"There are five retries left, but the method says that this error is permanent.",
		orderInline, orderFromWorkflow, orderFromGo,
	},
}

const (
	byWorkflow = "called by a workflow"
	byGo       = "called by plain Go, as a standalone activity"
	inProcess  = "called by plain Go in this process"
)

// factMethods differ in nothing but their backoff.
var factMethods = []struct {
	id, name string
	handle   *activity.MethodHandle[*Books, Query, Fact]
}{
	{"price", "Books.Price (exponential)", Price},
	{"stock", "Books.Stock (linear)", Stock},
	{"rating", "Books.Rating (Fibonacci)", Rating},
}

func factsInline(ctx context.Context, s *show) error {
	for _, method := range factMethods {
		q := s.query(method.id + "-inline")
		fact, err := method.handle.Inline(s.books).Call(ctx, q)
		if err != nil {
			return err
		}
		s.print(method.name, inProcess, s.timeline.accepted(q, fact))
	}
	return nil
}

func factsFromWorkflow(ctx context.Context, s *show) error {
	price, stock, rating := s.query("price-workflow"), s.query("stock-workflow"), s.query("rating-workflow")
	var facts Facts
	if err := s.run(ctx, "facts", &facts, FactsWorkflow, price, stock, rating); err != nil {
		return err
	}
	s.print("Books.Price (exponential)", byWorkflow, s.timeline.accepted(price, facts.Price))
	s.print("Books.Stock (linear)", byWorkflow, s.timeline.accepted(stock, facts.Stock))
	s.print("Books.Rating (Fibonacci)", byWorkflow, s.timeline.accepted(rating, facts.Rating))
	return nil
}

func factsFromGo(ctx context.Context, s *show) error {
	for _, method := range factMethods {
		q := s.query(method.id)
		fact, err := submit(ctx, s, method.handle.Handle, q)
		if err != nil {
			return err
		}
		s.print(method.name, byGo, s.timeline.accepted(q, fact))
	}
	return nil
}

func describeInline(ctx context.Context, s *show) error {
	q := s.query("describe-inline")
	card, err := Describe.Inline(s.books).Call(ctx, q)
	if err != nil {
		return err
	}
	s.print("Books.Describe", inProcess, s.timeline.accepted(q, card))
	s.printFeedback(q)
	return nil
}

func describeFromWorkflow(ctx context.Context, s *show) error {
	q := s.query("describe-workflow")
	var card Card
	if err := s.run(ctx, "describe", &card, DescribeWorkflow, q); err != nil {
		return err
	}
	s.print("Books.Describe", byWorkflow, s.timeline.accepted(q, card))
	s.printFeedback(q)
	return nil
}

func describeFromGo(ctx context.Context, s *show) error {
	q := s.query("describe")
	card, err := submit(ctx, s, Describe.Handle, q)
	if err != nil {
		return err
	}
	s.print("Books.Describe", byGo, s.timeline.accepted(q, card))
	s.printFeedback(q)
	return nil
}

func translateInline(ctx context.Context, s *show) error {
	q := s.query("translate-inline")
	choice, err := choose(Translate.Inline(s.books).Call(ctx, q))
	if err != nil {
		return err
	}
	s.print("Books.Translate", inProcess, s.timeline.refused(q, choice.Refused))
	s.printf("   fallback: %+v\n", choice.Translation)
	return nil
}

func translateFromWorkflow(ctx context.Context, s *show) error {
	q := s.query("translate-workflow")
	var choice Choice
	if err := s.run(ctx, "translate", &choice, TranslateWorkflow, q); err != nil {
		return err
	}
	s.print("Books.Translate", byWorkflow, s.timeline.refused(q, choice.Refused))
	s.printf("   fallback: %+v\n", choice.Translation)
	return nil
}

func translateFromGo(ctx context.Context, s *show) error {
	q := s.query("translate")
	choice, err := choose(submit(ctx, s, Translate.Handle, q))
	if err != nil {
		return err
	}
	s.print("Books.Translate", byGo, s.timeline.refused(q, choice.Refused))
	s.printf("   fallback: %+v\n", choice.Translation)
	return nil
}

func orderInline(ctx context.Context, s *show) error {
	q := s.query("order-inline")
	_, err := Order.Inline(s.books).Call(ctx, q)
	failure, err := unauthorizedBy(err)
	if err != nil {
		return err
	}
	s.print("Books.Order", inProcess, s.timeline.failed(q, failure))
	return nil
}

func orderFromWorkflow(ctx context.Context, s *show) error {
	q := s.query("order-workflow")
	failure, err := unauthorizedBy(s.run(ctx, "order", nil, OrderWorkflow, q))
	if err != nil {
		return err
	}
	s.print("Books.Order", byWorkflow, s.timeline.failed(q, failure))
	return nil
}

func orderFromGo(ctx context.Context, s *show) error {
	q := s.query("order")
	_, err := submit(ctx, s, Order.Handle, q)
	failure, err := unauthorizedBy(err)
	if err != nil {
		return err
	}
	s.print("Books.Order", byGo, s.timeline.failed(q, failure))
	return nil
}

// unauthorizedBy is the error of the method, if err is what it should be: Go
// types do not cross the wire, but their names do.
func unauthorizedBy(err error) (failure, unexpected error) {
	if status, ok := errors.AsType[*StatusError](err); ok { // in process
		return status, nil
	}
	if app, ok := errors.AsType[*temporal.ApplicationError](err); ok && app.Type() == "StatusError" {
		return app, nil
	}
	return nil, fmt.Errorf("the order should fail with a StatusError, not: %w", err)
}

// submit runs a method as a standalone activity: no workflow, but everything
// else that Temporal gives.
func submit[Out any](ctx context.Context, s *show, method activity.Handle[Query, Out], q Query) (Out, error) {
	call, err := method.With(activity.CallOptions{ID: q.Call, Summary: q.Title}).Submit(ctx, s.temporal, q)
	if err != nil {
		var none Out
		return none, err
	}
	return call.Get(ctx)
}
