package main

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

// outcome is how a call ended.
type outcome struct {
	Ending ending
	Stop   retrypolicy.Stop // why it was not retried, where that is told
	Body   int              // the attempt whose result or error it is; 0 if nobody knows
	Act    act              // of that attempt, as its error tells; empty without one
	Call   string           // the call that the result or error names; empty without one
	Text   string
}

// ending is a kind of outcome.
type ending string

const (
	endsWell      ending = "success"
	endsBodys     ending = "a body's error"
	endsRefused   ending = "RetryValidationError"
	endsLost      ending = "AttemptLost"
	endsCanceled  ending = "canceled"
	endsDeadline  ending = "an attempt's deadline"
	endsAbandoned ending = "abandoned"
	endsGoexit    ending = "a body that ended its goroutine"
	endsWaiting   ending = "LimitWait"
	endsBetween   ending = "a hand-back's failure"
	endsTimedOut  ending = "timeout"
	endsSession   ending = "ErrSessionFailed"
	endsStrange   ending = "something else"
)

// named finds what a body's error, or panic, says of it.
var named = regexp.MustCompile(`(failed|busy|fatal|panic) of body ([^/\s]+)/(\d+)`)

// outcomeOf is what a call's end tells. It is for workflow code too.
func outcomeOf(out output, err error) outcome {
	if err == nil {
		return outcome{Ending: endsWell, Body: out.N, Call: out.Call}
	}
	o := outcome{Ending: endingOf(err), Text: err.Error()}
	stop, _ := retrypolicy.StopOf(err)
	o.Stop = stop.Stop
	if o.Ending == endsBodys {
		m := named.FindStringSubmatch(o.Text)
		o.Call = m[2]
		o.Body, _ = strconv.Atoi(m[3])
		o.Act = map[string]act{"busy": isBusy, "fatal": isFatal, "panic": panics}[m[1]]
	}
	return o
}

func endingOf(err error) ending {
	var refused *validation.RetryValidationError
	app, isApp := errors.AsType[*temporal.ApplicationError](err)
	_, timedOut := errors.AsType[*temporal.TimeoutError](err)
	switch {
	case errors.Is(err, workflow.ErrSessionFailed), isApp && strings.Contains(app.Message(), workflow.ErrSessionFailed.Error()):
		return endsSession
	case validation.As(err, &refused):
		return endsRefused
	case retrypolicy.IsLost(err):
		return endsLost
	case temporal.IsCanceledError(err):
		return endsCanceled
	case isApp && app.Type() == "LimitWait":
		return endsWaiting
	case isApp && !timedOut && slices.Contains([]string{"ResultRefused", "JournalUnreadable", "JournalUnrecorded"}, app.Type()):
		return endsBetween
	case named.MatchString(err.Error()):
		return endsBodys
	case isApp && strings.Contains(app.Message(), "abandoned"):
		return endsAbandoned
	case isApp && strings.Contains(app.Message(), "ended its goroutine"):
		return endsGoexit
	case isApp && strings.Contains(app.Message(), context.DeadlineExceeded.Error()):
		return endsDeadline
	case timedOut:
		return endsTimedOut
	default:
		return endsStrange
	}
}

// isEnd reports whether err is the end of a call, and not of a request about it.
func isEnd(err error) bool {
	if err == nil || errors.Is(err, workflow.ErrSessionFailed) {
		return true
	}
	_, isApp := errors.AsType[*temporal.ApplicationError](err)
	_, timedOut := errors.AsType[*temporal.TimeoutError](err)
	_, canceled := errors.AsType[*temporal.CanceledError](err)
	_, terminated := errors.AsType[*temporal.TerminatedError](err)
	_, ofWorkflow := errors.AsType[*temporal.WorkflowExecutionError](err)
	_, panicked := errors.AsType[*temporal.PanicError](err)
	return panicked || isApp || timedOut || canceled || terminated || ofWorkflow
}

// String names the outcome.
func (o outcome) String() string {
	s := string(o.Ending)
	if o.Stop != "" {
		s += ", " + string(o.Stop)
	}
	return s
}
