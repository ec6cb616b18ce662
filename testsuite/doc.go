// Package testsuite tests code that uses concurry.
//
// There are three engines to test on, from fast to real:
//
//   - in this process, without Temporal: handle.Inline(impl).WithClock(clock.Clock())
//     with a [Clock], where waits take no time;
//   - Temporal's test environments with the engine inside: [NewWorkflowEnvironment],
//     where waits take the environment's time, those for limits too, and
//     [NewActivityEnvironment];
//   - a real Temporal server in a child process, one for a test package: [Server].
package testsuite
