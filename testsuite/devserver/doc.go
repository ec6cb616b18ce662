// Package devserver starts a real Temporal server on this machine, as a child
// process, for samples, tests and local work. It needs no network, no Docker
// and no running server.
//
//	srv, err := devserver.Start(ctx, devserver.Options{})
//	if err != nil { … }
//	defer srv.Stop()
//	c, err := srv.Dial(client.Options{})
//
// The program it runs is temporal-devserver. See [Find] for where it comes
// from; inside the repository of concurry it is built once, which takes
// minutes, and kept in the user's cache directory.
package devserver
