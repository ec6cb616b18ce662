// Package attempt is the engine: it runs a method's attempts, judges them and
// decides what comes next.
//
// [Journal] is what a call remembers, [Spec.Judge] the pure step from one
// outcome to the next decision. Two drivers turn decisions into waiting and
// running: the interceptor of a [Host], for activities on a Temporal worker, and
// [Loop], for calls inside this process. A policy behaves the same in both.
package attempt
