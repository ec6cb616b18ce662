// Package engine decides what comes next in a call.
//
// [Spec] is a method's policy, [Journal] what a call remembers of its attempts, and
// [Spec.Judge] the step from the outcome of an attempt to a [Decision]; [Spec.Resume]
// is the same for a server attempt that finds a journal. Time and chance come in with
// a [Clock], so all of it is pure. Two drivers turn decisions into waits and bodies:
// package activityhost on a Temporal worker, and [Loop] in this process. A policy
// behaves the same in both.
package engine
