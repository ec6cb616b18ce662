// Package opentelemetry shows a call's attempts in its trace: [SpanEvents] is
// an observer that adds an event per attempt to the span that the call runs in.
//
// In an activity that is the span of Temporal's tracing interceptor. The two
// packages have one name; this one is the alias here:
//
//	tracing, err := opentelemetry.NewTracingInterceptor(opentelemetry.TracerOptions{})
//	c, err := client.Dial(client.Options{Interceptors: []interceptor.ClientInterceptor{tracing}})
//	w := worker.New(c, "llm", worker.Options{}, worker.Observe(attempts.SpanEvents))
//
// with
//
//	import (
//		attempts "github.com/concurry-go/concurry/contrib/opentelemetry"
//		"go.temporal.io/sdk/contrib/opentelemetry"
//	)
//
// In a program without Temporal it is any span of the context that Call is
// given, and activity.Options has the observer.
//
// Attempts that follow each other on one worker are events of one span.
// Temporal's interceptor begins a new one each time the server hands the call
// out, after a long wait or a crash; the numbers go on there.
//
// # Events
//
// The name is always "concurry.attempt". The attributes are
//
//	attribute                type    on        value
//	concurry.method          string  all       the activity type
//	concurry.attempt         int     all       the attempt's number, from 1, over all workers
//	concurry.verdict         string  all       "accepted", "failed", "refused" or "lost"
//	concurry.decision        string  all       "accept", "retry" or "give up"
//	concurry.elapsed         double  all       seconds since the call's first attempt started
//	error.type               string  failed    the error's Temporal type, or its Go type; not for errors without one
//	concurry.reason          string  an error  its text, or why a validator refused; at most 1 KiB
//	concurry.wait            double  retry     seconds until the next attempt
//	concurry.wait_on_server  bool    retry     whether the Temporal server does the waiting
//	concurry.stop            string  give up   why there is no further attempt, such as "retries spent"
//
// All but the numbers and the reason have few values. The reason can quote from
// results, as the error itself does, which Temporal's interceptor records too.
//
// # What is left to the span's owner
//
// Temporal's interceptor gives the span of a server attempt that hands its call back
// the status Error, with activity.ErrResultPending: the engine sends the hand-back
// itself, and no error is benign for the interceptor but an application error.
//
// No span is begun, ended or given a status, and no error is recorded: who
// began it does that, once, from what the call returns. Temporal's interceptor
// records the error, and sets the status Error where it ends the call. A program that falls back on the best refused
// result has not failed at all.
package opentelemetry
