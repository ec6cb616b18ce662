// Package activityhost runs the attempts of methods as Temporal activities.
//
// A [Host] is one worker's. Its interceptor makes an execution of every activity
// task: that opens the journal which earlier server attempts have left in the
// heartbeat details, runs bodies, asks package engine what comes next, and waits in
// place or hands the call back to the server. What it writes of a call is the
// heartbeat's business (heartbeat.go), what it sends the server is in requests.go.
package activityhost
