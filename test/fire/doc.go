// Package fire proves the engine's promises about attempts with real worker
// processes on a real server: killed, stopped, cut off, paused and shut down
// while a body runs and while a call waits, for its next attempt or for a limit,
// in place and on the server. Requests are lost, come late, twice or in another
// order, bytes stand still, codecs fail for a while, workers without the plugin
// or without the method come in between, and sessions lose their worker.
//
// Bodies are counted by a ledger, a file that every started body appends a
// line to before anything else. Whatever happens, a call never starts more
// than NumRetries+1 of them, and never hangs. What it held of a limit, the next
// call gets.
package fire
