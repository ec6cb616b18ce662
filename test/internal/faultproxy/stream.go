package faultproxy

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// relay passes a stream on, message by message, until the server ends it.
func (p *Proxy) relay(full string, client grpc.ServerStream) error {
	ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(client.Context(), incoming(client.Context())))
	defer cancel()
	server, err := p.upstream.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, full)
	if err != nil {
		return err
	}
	go func() {
		if errors.Is(pump(client, server), io.EOF) {
			_ = server.CloseSend()
			return
		}
		cancel() // the client is gone, or the server, which the other direction tells
	}()
	if header, err := server.Header(); err == nil {
		if err := client.SendHeader(foreign(header)); err != nil {
			return err
		}
	}
	err = pump(server, client)
	client.SetTrailer(foreign(server.Trailer()))
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

var errReceiver = status.Error(codes.Canceled, "faultproxy: the receiver of the stream is gone")

// side is what both sides of a stream have.
type side interface {
	SendMsg(m any) error
	RecvMsg(m any) error
}

// pump passes messages on until one direction ends; io.EOF is a regular end of
// from.
func pump(from, to side) error {
	for {
		var f frame
		if err := from.RecvMsg(&f); err != nil {
			return err
		}
		if err := to.SendMsg(&f); err != nil {
			return errReceiver // not err, which can be io.EOF
		}
	}
}
