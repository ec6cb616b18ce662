// Package failure is what error a caller gets: how the end of a call looks in this
// process, and how it travels as a Temporal failure. Packages retrypolicy and
// validation read what it writes. docs/errors.md is this table for users, with ends
// that are not the method's own, and TestErrorsThatCallersGet tries it.
//
//	what happened                     in process                    application error type   cause
//	-----------------------------------------------------------------------------------------------------------
//	last attempt failed               StopError around its error    the error's own          RetryStopped, then its own
//	last attempt panicked             StopError, "panic: …"         PanicError               none: the SDK drops it
//	last result was refused           RetryValidationError          of the same name         RetryStopped
//	last attempt left no outcome      (a crash ends the program)    AttemptLost              RetryStopped
//	no room in limits, no attempt     limits.WaitError              LimitWait                RetryStopped
//	no room in limits, later          as the last attempt's         as the last attempt's
//	out of CallTimeout                as the last attempt's, with StopCallTimeout; see errors.md
//
// An application error of type RetryStopped has the details [stop, attempts, detail]
// and, where the journal had outcomes, a document of the attempts (wire.Trail). Every
// end is non-retryable: the server would start the call over otherwise.
package failure
