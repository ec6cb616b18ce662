// Package activity declares Go types whose methods run as Temporal activities under a
// retry policy, and makes the typed handles with which workflows and programs call
// those methods. Package worker runs them.
//
//	type LLM struct{ client *http.Client }
//
//	func (l *LLM) Generate(ctx context.Context, prompt string) (Reply, error) { … }
//
//	var llm = activity.Define[*LLM]("LLM", activity.Options{
//		Retry:          retrypolicy.Policy{NumRetries: 5},
//		AttemptTimeout: 20 * time.Second,
//		CallTimeout:    2 * time.Minute,
//		TaskQueue:      "llm",
//	})
//
//	var Generate = activity.Method(llm, "Generate", (*LLM).Generate, activity.MethodOptions[string, Reply]{
//		RetryUntil: []validation.Validator[Reply]{confident},
//	})
//
// The same handle serves three callers:
//
//	reply, err := Generate.Execute(ctx, prompt).Get(ctx)    // workflow code
//	reply, err := Generate.Run(ctx, client, prompt)         // any program: a standalone activity
//	reply, err := Generate.Inline(&LLM{}).Call(ctx, prompt) // this process, no server
//
// [Func] declares a plain function in the same way. A handle's With gives single
// calls options of their own, Map calls it with many inputs, ExecuteLocal runs it as a
// local activity, and [InSession] keeps several calls on one worker. Submit is Run
// without waiting. Code that only calls takes a [Caller].
//
// Inside a method, [Previous] and [LastRefusal] tell what earlier attempts have come
// to, and [Ticket] lets somebody else deliver the result later. A file of methods
// needs no other package of this name: what methods use of Temporal's own is here
// too, such as [GetInfo] and [RecordHeartbeat].
//
// Functions for package variables, such as [Define], [Method] and [Func], panic where
// their namesakes with New return an error.
package activity
