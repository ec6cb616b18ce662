// Package onserver has the engine's tests in every place where it runs: in process,
// in Temporal's test environments and on a real server.
package onserver
