// Package faultproxy is a gRPC proxy between a Temporal client and a server
// that does to the client's requests what networks do: it loses them, loses
// their answers, delivers them late, twice, or behind a later one, cuts
// connections and lets bytes stand still.
//
//	p, err := faultproxy.Start(server.HostPort())
//	c, err := client.Dial(client.Options{HostPort: p.Address()})
//
//	beat := p.Apply(faultproxy.Rule{
//		Method: "RecordActivityTaskHeartbeat", Times: 1, Fault: faultproxy.Hold(faultproxy.CutOff),
//	})
//	<-beat.Hit()       // the client has sent one, and been told that the connection is gone
//	beat.Release()
//	<-beat.Delivered() // the server has it now, after everything that came since
//
// Rules are about single unary requests, which is all that Temporal's services
// have. What no rule matches passes unchanged: deadlines, metadata, trailers,
// status details, and cancellations, so that a poll that a client gives up is
// given up at the server too and takes no task with it. Streams always pass.
//
// Cut and Stall are about whole connections. They are transport faults: bytes
// that stand still are in order, and arrive when the proxy resumes.
//
// Connections are plain text (h2c), as those of a dev server.
package faultproxy
