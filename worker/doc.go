// Package worker hosts definitions on a Temporal worker.
//
//	w := worker.New(c, "llm", worker.Options{})
//	worker.Register(w, llm, &LLM{…})
//	worker.RegisterFunc(w, Charge)
//	w.RegisterWorkflow(Summarise)
//	err := w.Run(worker.InterruptCh())
//
// A program that has a worker already keeps it and adds one line, the plugin:
//
//	worker.Plugin(worker.Policies{"ChargeCard": activity.Options{Retry: …}})
//
// # Policies and the caller's own activity options
//
// An activity named in Policies is governed on this worker however it is called:
// its body is started at most NumRetries+1 times, once without retries, whatever
// the caller's RetryPolicy says. What the caller's options bound earlier ends the
// call earlier, always with the last outcome itself:
//
//   - MaximumAttempts bounds how often the server gets the call to wait. Waits in
//     place go on within one server attempt; with MaximumAttempts 1 they are all
//     there are. Unlimited, Temporal's default, leaves the number to the policy.
//   - NonRetryableErrorTypes end the call where it would go to the server.
//   - StartToCloseTimeout bounds one server attempt. Retries that do not fit into
//     what is left of it go to the server; a body that runs into it is cut off,
//     and counts.
//   - ScheduleToCloseTimeout bounds the call. A wait that does not fit is not
//     begun.
//   - Without HeartbeatTimeout the engine does not heartbeat by itself: a
//     cancellation arrives with the next attempt, a dead worker is noticed at
//     StartToCloseTimeout.
//
// # Encryption
//
// The journal and the refused results in it pass the client's DataConverter and
// codec. A RetryValidationError travels as an error, and Temporal's default
// failure converter leaves errors and their details readable: with a codec, set
// client.Options.FailureConverter to temporal.NewDefaultFailureConverter with
// the same DataConverter, and EncodeCommonAttributes for the reasons too.
package worker
