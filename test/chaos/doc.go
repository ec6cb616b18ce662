// Command chaos looks for schedules of faults that break what is promised about
// attempts (docs/attempts.md). From the root of the repository:
//
//	go run ./test/chaos -seed 7 -for 120s
//
// It starts a Temporal dev server with a file, and worker processes, each behind
// a proxy of its own. For as long as -for says it keeps -calls calls under way,
// of methods with many policies, submitted and from workflows, in sessions and
// as local activities, whose bodies succeed, fail, panic, block, ignore their
// context, heartbeat themselves and kill their process. Meanwhile faults happen,
// and overlap freely: processes are killed, shut down and frozen, connections cut
// and stalled, single requests lost, held, doubled and reordered, the server
// killed, restarted and frozen, activities paused and reset, calls canceled. A
// doubled request arrives twice before its answer: of a copy that comes later
// nobody could know.
//
// The seed decides everything but the machine's own timing: policies, calls,
// faults and their moments. Their hash is printed, so that two runs of one seed
// can be told to be of one schedule. Without -seed one is drawn, and printed.
//
// Every body writes a line into the ledger, a file outside all processes, before
// it does anything else, and another one when it holds nothing any more. When the
// time is over, faults stop, everything is mended, and the calls have the time of
// -settle to end. Then it is judged:
//
//   - no call started more bodies than its policy allows; a reset gives a new
//     budget. Local activities are exempt: they start over with their worker;
//   - no attempt's number was used twice within one budget;
//   - every call ended, with an outcome that its policy and its bodies explain;
//   - bodies of one worker, or session, never held more of a limit than there is;
//   - heartbeat details that a body finds are those of an earlier body of its call;
//   - at the end workers hold nothing and run no goroutine of the library that
//     they did not start with;
//   - no worker process ended on its own account.
//
// A violation is printed with the call's policy, its bodies and the faults around
// them, the directory with ledger and faults is kept, and the exit status is 1. It is 2
// where the program itself could not go on.
//
// -without leaves out faults and kinds of calls by name, such as those of
// requests that the server gets late:
//
//	go run ./test/chaos -seed 7 -without hold,reorder
package main
