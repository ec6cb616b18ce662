package activity

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/concurry-go/concurry/internal/chain"
	"github.com/concurry-go/concurry/internal/engine"
	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

// Options are what all methods of a definition have in common. The zero value
// is no retries and no timeout; Temporal needs one of the timeouts.
//
// Where callers and workers are different programs, numbers, waits and timeouts
// are the caller's, and travel with the call; filters, cases, validators,
// budgets, limits and observers are the worker's. Give both the same definition
// and the same configuration.
type Options struct {
	// Retry is what is retried, and when. Its zero value is one attempt.
	Retry retrypolicy.Policy

	// AttemptTimeout bounds one attempt of a method's body. Its context ends
	// then; one second later a body that goes on is abandoned. Zero is no
	// bound but the call's.
	AttemptTimeout time.Duration

	// CallTimeout bounds a call: queueing, all attempts and all waits. Zero is
	// no bound.
	CallTimeout time.Duration

	// HeartbeatTimeout is how long Temporal waits for a heartbeat before it treats
	// the worker as lost and lets another one continue the call. The engine
	// heartbeats by itself, until the method does. Zero means 10 seconds.
	// NoHeartbeat means no heartbeats: then a dead worker is noticed only by a
	// timeout, and a cancellation never reaches a body. Methods without retries,
	// validators and limits are plain activities, which have no heartbeats either.
	HeartbeatTimeout time.Duration

	// ForeignWorkers is true if workers without this package serve the methods, in
	// another language for instance. Temporal's own retry policy is all
	// there is then: exactly NumRetries retries, the same first wait and cap,
	// no filters, no validators, no jitter. Set where calls are made.
	ForeignWorkers bool

	// RetryConfig tunes the policies of methods from outside, key by key, over
	// Retry here and in MethodOptions: by method name, or AllMethods. Cases keep
	// their own numbers. A name that is no method's is an error.
	RetryConfig retrypolicy.Configs

	// NamedFilters are the filters that RetryConfig's retry_on can name; those that
	// it names are asked instead of those in Retry, and no other. Without a
	// RetryConfig they are an error.
	NamedFilters map[string]retrypolicy.Filter

	// Observers are called after every attempt: on the worker, or in this process if
	// the method runs in it.
	Observers []retrypolicy.Observer

	// Limits bound what the methods hold at one time, and take within a time:
	// see package limits. What a method requires is acquired before each of its
	// attempts and released after it; limits.Held is that in the method, to say
	// how much was used. Methods can acquire more themselves, with
	// limits.Acquire. A *limits.Declaration makes sets for each worker; a set
	// that this program has made itself is shared by all who name it. Nil is no
	// limits.
	Limits limits.Source

	// Requires are the units of Limits that every attempt takes: it starts when
	// all of them can be had at once. Nil is none but call limits, which every
	// call takes a unit of.
	Requires limits.Units

	// TaskQueue is where workers of this definition poll. Submit needs it;
	// workflows use their own queue if it is empty.
	TaskQueue string

	// JournalBytes bounds the refused results that a call carries along from attempt
	// to attempt. The oldest are dropped, and counted in
	// RetryValidationError.LeftOut. Zero means 64 KiB; the maximum is 512 KiB.
	JournalBytes int
}

// NoHeartbeat as Options.HeartbeatTimeout switches automatic heartbeats off.
const NoHeartbeat time.Duration = -1

// MethodOptions are what one method has beside, or instead of, its
// definition's Options. Its type parameters are the method's input and output,
// so that a validator of another type does not compile.
type MethodOptions[In, Out any] struct {
	// RetryUntil are the validators that a result must pass. A refused result is
	// retried while retries are left. Validators must be safe for concurrent use.
	RetryUntil []validation.Validator[Out]

	// Requires replaces the definition's if it is not nil.
	Requires limits.Units

	// RequiresOf returns what an attempt requires beside Requires, by the call's
	// input, such as the tokens that a prompt takes. If a limit is in both, the two
	// amounts are added. Zero amounts are ignored. A request larger than a limit's
	// capacity ends the call with an error. RequiresOf runs on every worker that
	// receives the call, so it must depend on the input alone. It must be safe for
	// concurrent use.
	RequiresOf func(In) limits.Units

	// LimitKey returns which of several independent sets of Options.Limits bounds
	// a call, such as the tenant's. It must be safe for concurrent use. Nil means
	// one set for all calls, that of the key "".
	LimitKey func(In) string

	// NamedValidators are the validators that Options.RetryConfig's retry_until can
	// name; those that it names are asked after RetryUntil, and no other. Without a
	// RetryConfig they are an error.
	NamedValidators map[string]validation.Validator[Out]

	// Retry replaces the definition's whole policy, filters included, if it is
	// not nil.
	Retry *retrypolicy.Policy

	// AttemptTimeout and CallTimeout replace the definition's if not zero.
	AttemptTimeout, CallTimeout time.Duration

	// ActivityType replaces the name under which Temporal knows the method,
	// "Definition.Method": for methods renamed while calls are running.
	ActivityType string
}

// FuncOptions are the options of a plain function: a definition's and a method's in
// one. Each field means what it means there.
type FuncOptions[In, Out any] struct {
	// Retry is what is retried, and when; see [Options].
	Retry retrypolicy.Policy
	// AttemptTimeout bounds one attempt, CallTimeout the call; HeartbeatTimeout
	// is how long Temporal waits for a heartbeat; see [Options].
	AttemptTimeout, CallTimeout, HeartbeatTimeout time.Duration
	// ForeignWorkers is true if workers without this package serve the function;
	// see [Options].
	ForeignWorkers bool
	// RetryUntil are the validators a result must pass; see [MethodOptions].
	RetryUntil []validation.Validator[Out]
	// RetryConfig tunes Retry from outside, by the function's name, or AllMethods.
	// NamedFilters and NamedValidators are what it can name. See [Options] and
	// [MethodOptions].
	RetryConfig     retrypolicy.Configs
	NamedFilters    map[string]retrypolicy.Filter
	NamedValidators map[string]validation.Validator[Out]
	// Observers are called after every attempt; see [Options].
	Observers []retrypolicy.Observer
	// Limits bound the function's calls; Requires and RequiresOf are the units of
	// an attempt, LimitKey chooses one of several sets. See [Options] and
	// [MethodOptions].
	Limits     limits.Source
	Requires   limits.Units
	RequiresOf func(In) limits.Units
	LimitKey   func(In) string
	// TaskQueue is where workers of the function poll; see [Options].
	TaskQueue string
	// JournalBytes bounds the refused results a call carries along; see [Options].
	JournalBytes int
}

// split returns the options as those of a definition and of its method.
func (o *FuncOptions[In, Out]) split() (Options, MethodOptions[In, Out]) {
	definition := Options{
		Retry: o.Retry, AttemptTimeout: o.AttemptTimeout, CallTimeout: o.CallTimeout, HeartbeatTimeout: o.HeartbeatTimeout,
		ForeignWorkers: o.ForeignWorkers, RetryConfig: o.RetryConfig, NamedFilters: o.NamedFilters, Observers: o.Observers,
		Limits: o.Limits, Requires: o.Requires, TaskQueue: o.TaskQueue, JournalBytes: o.JournalBytes,
	}
	method := MethodOptions[In, Out]{
		RetryUntil: o.RetryUntil, NamedValidators: o.NamedValidators, RequiresOf: o.RequiresOf, LimitKey: o.LimitKey,
	}
	return definition, method
}

func (o *Options) check() error {
	var errs []error
	if err := o.Retry.Check(); err != nil {
		errs = append(errs, within("Retry.", err))
	}
	errs = append(errs, checkNamed("NamedFilters", len(o.NamedFilters), o.RetryConfig))
	errs = append(errs, checkTimeouts(o.AttemptTimeout, o.CallTimeout))
	if o.CallTimeout > 0 && o.AttemptTimeout > o.CallTimeout {
		errs = append(errs, &retrypolicy.FieldError{Field: "AttemptTimeout", Value: o.AttemptTimeout, Allowed: fmt.Sprintf("must not be above CallTimeout, %v", o.CallTimeout)})
	}
	if o.ForeignWorkers {
		errs = append(errs, o.checkForeign())
	}
	errs = append(errs, within("Limits: ", checkSource(o.Limits)))
	for i, observer := range o.Observers {
		if observer == nil {
			errs = append(errs, &retrypolicy.FieldError{Field: fmt.Sprintf("Observers[%d]", i), Value: "nil", Allowed: "must be a function"})
		}
	}
	if o.HeartbeatTimeout < 0 && o.HeartbeatTimeout != NoHeartbeat || o.HeartbeatTimeout > 0 && o.HeartbeatTimeout < time.Second {
		errs = append(errs, &retrypolicy.FieldError{Field: "HeartbeatTimeout", Value: o.HeartbeatTimeout, Allowed: "must be at least 1s, 0 (the default, 10s) or NoHeartbeat"})
	}
	if o.JournalBytes < 0 || o.JournalBytes > engine.MaxJournalBytes {
		errs = append(errs, &retrypolicy.FieldError{Field: "JournalBytes", Value: o.JournalBytes, Allowed: fmt.Sprintf("must be from 0 (the default, %d) to %d", engine.DefaultJournalBytes, engine.MaxJournalBytes)})
	}
	return errors.Join(errs...)
}

// checkSource checks limits.
func checkSource(source limits.Source) error {
	missing := func(what, by string) error {
		return &retrypolicy.FieldError{Field: what, Value: "nil", Allowed: "must be made by " + by}
	}
	switch s := source.(type) {
	case *limits.Declaration:
		if s == nil {
			return missing("declaration", "limits.PerWorker, PerSession or PerSessionOrWorker")
		}
		return s.Check()
	case *limits.Set:
		if s == nil {
			return missing("set", "limits.New")
		}
	case *limits.Keyed:
		if s == nil {
			return missing("keyed set", "limits.NewKeyed")
		}
	case *limits.Pool:
		if s == nil {
			return missing("pool", "limits.NewPool")
		}
	}
	return nil
}

// checkForeign refuses what workers without this package would ignore.
func (o *Options) checkForeign() error {
	var errs []error
	bad := func(field string, set bool, value any) {
		if set {
			errs = append(errs, &retrypolicy.FieldError{Field: field, Value: value, Allowed: "must be unset with ForeignWorkers, which would ignore it"})
		}
	}
	bad("Retry.RetryOn", len(o.Retry.RetryOn) > 0, fmt.Sprintf("%d filters", len(o.Retry.RetryOn)))
	bad("Retry.Cases", len(o.Retry.Cases) > 0, fmt.Sprintf("%d cases", len(o.Retry.Cases)))
	bad("Retry.MaxElapsed", o.Retry.MaxElapsed != 0, o.Retry.MaxElapsed)
	bad("Retry.Budget", o.Retry.Budget != nil, "a budget")
	bad("Limits", o.Limits != nil, "some")
	bad("Observers", len(o.Observers) > 0, fmt.Sprintf("%d observers", len(o.Observers)))
	return errors.Join(errs...)
}

// checkForeignCaller refuses what calls of activities that exist already decide
// themselves.
func (o *Options) checkForeignCaller() error {
	var errs []error
	bad := func(field string, set bool, value any) {
		if set {
			errs = append(errs, &retrypolicy.FieldError{Field: field, Value: value, Allowed: "must be unset in Policies: the caller's own activity options decide it"})
		}
	}
	bad("CallTimeout", o.CallTimeout != 0, o.CallTimeout)
	bad("HeartbeatTimeout", o.HeartbeatTimeout > 0, o.HeartbeatTimeout)
	bad("TaskQueue", o.TaskQueue != "", o.TaskQueue)
	bad("ForeignWorkers", o.ForeignWorkers, true)
	return errors.Join(errs...)
}

// configured is o with the policy that RetryConfig makes of its own, for the
// method of a name, and what that says of validators.
func (o *Options) configured(name string) (retrypolicy.Policy, []string, error) {
	config := o.RetryConfig.For(name)
	p, err := config.Over(o.Retry, o.NamedFilters)
	if err != nil {
		return p, nil, within("RetryConfig.", err)
	}
	return p, config.RetryUntil, nil
}

// checkNamed refuses what only a configuration can name where there is none: it
// would never be asked.
func checkNamed(field string, n int, configs retrypolicy.Configs) error {
	if n == 0 || configs != nil {
		return nil
	}
	return &retrypolicy.FieldError{Field: field, Value: fmt.Sprintf("%d of them", n), Allowed: "must be empty without a RetryConfig, which alone can name them; what always holds belongs into Retry.RetryOn and RetryUntil"}
}

// checkConfigNames refuses configurations of methods that are none.
func checkConfigNames(configs retrypolicy.Configs, known []string) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		if name != retrypolicy.AllMethods && !slices.Contains(known, name) {
			errs = append(errs, &retrypolicy.FieldError{Field: "RetryConfig", Value: name, Allowed: fmt.Sprintf("must be %q or a method: %s", retrypolicy.AllMethods, strings.Join(known, ", "))})
		}
	}
	return errors.Join(errs...)
}

func checkTimeouts(attemptTimeout, callTimeout time.Duration) error {
	var errs []error
	check := func(field string, value time.Duration) {
		if value < 0 || value > retrypolicy.MaxDuration {
			errs = append(errs, &retrypolicy.FieldError{Field: field, Value: value, Allowed: "must be positive, or 0 for no bound"})
		}
	}
	check("AttemptTimeout", attemptTimeout)
	check("CallTimeout", callTimeout)
	return errors.Join(errs...)
}

// within puts a prefix before the field of every FieldError in err.
func within(prefix string, err error) error {
	return chain.Each(err, func(e error) error {
		if field, ok := errors.AsType[*retrypolicy.FieldError](e); ok {
			return &retrypolicy.FieldError{Field: prefix + field.Field, Value: field.Value, Allowed: field.Allowed}
		}
		return e
	})
}

// heartbeat is HeartbeatTimeout with its default applied; 0 is none.
func (o *Options) heartbeat() time.Duration {
	switch {
	case o.HeartbeatTimeout == 0:
		return engine.DefaultHeartbeat
	case o.HeartbeatTimeout < 0:
		return 0
	default:
		return o.HeartbeatTimeout
	}
}
