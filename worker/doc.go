// Package worker hosts definitions on a Temporal worker.
//
//	w := worker.New(c, "llm", worker.Options{})
//	worker.Register(w, llm, &LLM{…})
//	worker.RegisterFunc(w, Charge)
//	w.RegisterWorkflow(Summarise)
//	err := w.Run(worker.InterruptCh())
//
// A program that has a worker already keeps it and adds one line, the plugin, with
// policies for activities that it has, or with definitions:
//
//	worker.Plugin(worker.Policies{"ChargeCard": activity.Options{Retry: …}}, worker.Host(llm, &LLM{…}))
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
// # Waits and slots
//
// A wait in place, for the next attempt or for limits, keeps its slot from calls
// that could run. So at most a quarter of a worker's slots wait, of fewer than
// four none, and the server does the waiting of the others. A retry without a wait
// goes on in place. One that finds no place ends the call where the caller's
// options leave the server nothing, as MaximumAttempts 1 does.
//
// Slots are counted however there come to be some: by
// MaxConcurrentActivityExecutionSize, a Tuner, or Slots, whose number is what its
// resources allow at the moment. Suppliers that do not say how many they have, as
// Temporal's resource-based one, have as many as are handed out when they let the
// worker wait for another for 250 ms. That is remembered for a minute, and waits
// beyond a quarter leave for the server at once. Until then nobody stands in
// anybody's way, and nothing bounds them.
//
// Activities of sessions have slots, and a quarter, of their own. Local ones
// wait where they are, as nobody else can.
//
// # Stopping
//
// A worker that stops lets its open polls bring their tasks and runs them: see
// Worker.Stop. It refuses new sessions, so that another worker begins them.
//
// # Interceptors
//
// Interceptors in the options of Temporal's worker or client are outside of the
// engine. They run once for each server attempt, which may hold several attempts
// or none: what counts, times or authorizes a call there sees one call, and what
// it returns to the server. Inside puts interceptors around each attempt.
//
// # Encryption
//
// The journal and the refused results in it pass the client's DataConverter and
// codec. A RetryValidationError travels as an error, whose details Temporal's
// default failure converter leaves readable. The plugin on the client has refused
// results encoded in them with the client's DataConverter; a worker whose client
// encodes values and lacks it warns. The texts of errors, which are the reasons of
// attempts too, stay readable unless client.Options.FailureConverter is
// temporal.NewDefaultFailureConverter with that DataConverter and
// EncodeCommonAttributes.
package worker
