package dns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
)

// maxMessage is the size of the largest message of DNS, by either transport.
const maxMessage = 65535

// plainPayload is the size of the largest answer by UDP that a client without EDNS takes.
const plainPayload = 512

// serveUDP reads queries until ctx ends or the socket is closed; answers of our own are written by the same goroutine.
func (f *front) serveUDP(ctx context.Context) error {
	defer f.forwards.Wait()
	in, out := make([]byte, maxMessage), make([]byte, 0, bufferSize)
	var errs pause
	for {
		n, client, err := f.UDP.ReadFromUDPAddrPort(in)
		if err != nil {
			if errs.outlive(ctx, err) {
				f.log.Warn("dns query not read", "error", err)
				continue
			}
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		errs = pause{}
		if result := f.receive(ctx, in[:n], out, client); result != "" {
			f.cfg.Observe(result)
		}
	}
}

// receive deals with one query, and returns its result unless that is left to a forward.
func (f *front) receive(ctx context.Context, msg, out []byte, client netip.AddrPort) string {
	q, ok := parse(msg)
	if !ok {
		return ResultMalformed
	}
	if reply, result := f.answer(out, &q, max(q.payload, plainPayload)); result != "" {
		f.send(reply, client)
		return result
	}
	ctx, leave, ok := f.lane.enter(ctx)
	if !ok {
		return ResultOverflow
	}
	f.forwardUDP(ctx, leave, q, msg, client)
	return ""
}

// forwardUDP asks the resolver, in a goroutine of its own, and passes the answer back. It leaves the lane at its end.
func (f *front) forwardUDP(ctx context.Context, leave func(), q query, msg []byte, client netip.AddrPort) {
	// One buffer serves for the query and then for its answer. An answer that is larger than the client announced to
	// take would be cut by the client's own buffer too.
	buf := take(max(len(msg), q.payload, bufferSize))
	size := copy(*buf, msg)
	f.forwards.Go(func() {
		defer leave()
		defer give(buf)
		n, err := f.exchangeUDP(ctx, &q, *buf, size)
		switch {
		case err == nil:
			f.send((*buf)[:n], client)
			f.cfg.Observe(ResultForwarded)
			return
		case wasShed(ctx):
			f.cfg.Observe(ResultOverflow)
			return
		case errors.Is(err, os.ErrDeadlineExceeded):
			// Silence is passed on as silence: the client has its own timeout and its own number of tries.
		default:
			f.send(q.failure((*buf)[:0]), client)
		}
		f.log.Debug("dns query not forwarded", "network", "udp", "error", err)
		f.cfg.Observe(ResultUpstreamFailed)
	})
}

// exchangeUDP sends the query in buf[:n] and reads its answer into buf.
//
// A socket of its own for each query gives each a source port that the kernel chose at random, and tells us of a
// port that is closed. What does not answer the query is ignored: it may come from somebody who guesses.
func (f *front) exchangeUDP(ctx context.Context, q *query, buf []byte, n int) (int, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(f.Resolver))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	defer expire(ctx, conn, f.cfg.Timeout)()
	if _, err := conn.Write(buf[:n]); err != nil {
		return 0, err
	}
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return 0, err
		}
		if q.answeredBy(buf[:n]) {
			return n, nil
		}
	}
}

// send writes an answer to a client, which may be gone.
func (f *front) send(reply []byte, client netip.AddrPort) {
	if len(reply) == 0 {
		return
	}
	if _, err := f.UDP.WriteToUDPAddrPort(reply, client); err != nil {
		f.log.Debug("dns answer not sent", "client", client.String(), "error", err)
	}
}
