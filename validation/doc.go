// Package validation judges what methods return.
//
// A [Validator] says why a result is not good enough. A refused result is
// retried while there are retries left; after that the call ends with a
// [RetryValidationError], which carries the refused results, the newest ones
// where they are large. Find it on either side of the wire with [As]:
//
//	reply, err := Generate.Execute(ctx, prompt).Get(ctx)
//	var rve *validation.RetryValidationError
//	if validation.As(err, &rve) {
//		reply, err = validation.Best(rve, func(r Reply) float64 { return r.Score })
//	}
package validation
