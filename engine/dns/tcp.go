package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	idleTimeout  = 10 * time.Second // without a query, or within one
	writeTimeout = 10 * time.Second // for a client that does not read
	maxPipelined = 16               // queries in flight of one connection; the next one is not read before one has ended
	prefixSize   = 2                // bytes of the length before each message
)

// serveTCP accepts connections until ctx ends or the listener is closed.
func (f *front) serveTCP(ctx context.Context, accept func() (net.Conn, error)) error {
	var conns sync.WaitGroup
	defer conns.Wait()
	var errs pause
	for {
		conn, err := accept()
		if err != nil {
			if errs.outlive(ctx, err) {
				f.log.Warn("dns connection not accepted", "error", err)
				continue
			}
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		errs = pause{}
		ctx, c := f.streams.enter(ctx, conn)
		conns.Go(func() {
			defer c.leave()
			f.serveConn(ctx, c)
			if wasShed(ctx) {
				f.cfg.Observe(ResultOverflow)
			}
		})
	}
}

// serveConn answers the queries of a connection until the client or ctx ends it, or it is idle. Queries in flight are
// still answered then: a client may have closed only its own direction.
func (f *front) serveConn(ctx context.Context, c *stream) {
	defer c.conn.Close()
	reading, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(reading, func() { c.conn.SetReadDeadline(longAgo) })()
	var forwards sync.WaitGroup
	defer forwards.Wait()
	slots := make(chan struct{}, maxPipelined)
	for {
		slots <- struct{}{}
		c.conn.SetReadDeadline(time.Now().Add(idleTimeout))
		if reading.Err() != nil { // after the deadline was set, as the end of reading sets it too
			return
		}
		buf, n, err := readMessage(c.conn)
		if err != nil {
			return
		}
		q, ok := parse((*buf)[prefixSize:n])
		if !ok {
			f.cfg.Observe(ResultMalformed)
			return // nothing that follows can be trusted to be a message
		}
		c.begin()
		forwards.Go(func() {
			defer func() { <-slots }()
			defer c.done()
			defer give(buf)
			result := f.respond(ctx, c, &q, (*buf)[:n])
			f.cfg.Observe(result)
			if q.transfer() && result == ResultForwarded {
				stop() // the resolver has ended its connection, so the client's ends
			}
		})
	}
}

// respond deals with one query, whose message starts with its prefix.
func (f *front) respond(ctx context.Context, c *stream, q *query, framed []byte) (result string) {
	buf := take(bufferSize)
	defer give(buf)
	out := (*buf)[:prefixSize]
	reply, result := f.answer(out, q, maxMessage)
	if result == "" {
		if result = f.forwardTCP(ctx, c, q, framed); result == ResultForwarded {
			return result
		}
		reply = q.failure(out)
	}
	if len(reply) > prefixSize {
		binary.BigEndian.PutUint16(reply, uint16(len(reply)-prefixSize))
		c.write(reply)
	}
	return result
}

// forwardTCP asks the resolver and passes the answer back. With any result but forwarded the client still waits for one.
func (f *front) forwardTCP(ctx context.Context, c *stream, q *query, framed []byte) (result string) {
	ctx, leave, ok := f.lane.enter(ctx)
	if !ok {
		return ResultOverflow
	}
	defer leave()
	err := f.relay(ctx, leave, c, q, framed)
	switch {
	case err == nil:
		return ResultForwarded
	case wasShed(ctx):
		return ResultOverflow
	}
	f.log.Debug("dns query not forwarded", "network", "tcp", "error", err)
	return ResultUpstreamFailed
}

var errNoAnswer = errors.New("the resolver sent something else than an answer to the query")

// relay asks the resolver over a connection of its own and passes the answer back.
func (f *front) relay(ctx context.Context, leave func(), c *stream, q *query, framed []byte) error {
	dialer := net.Dialer{Timeout: f.cfg.Timeout}
	conn, err := dialer.DialContext(ctx, "tcp", f.Resolver.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	buf, n, err := f.exchangeTCP(ctx, conn, framed)
	if err != nil {
		return err
	}
	defer give(buf)
	if !q.answeredBy((*buf)[prefixSize:n]) {
		return errNoAnswer
	}
	if q.transfer() {
		return f.relayTransfer(ctx, c, (*buf)[:n], conn)
	}
	conn.Close()
	leave() // a client that does not read must not hold a place
	c.write((*buf)[:n])
	return nil
}

// exchangeTCP sends a query and reads the first message that comes back. Give the buffer back.
func (f *front) exchangeTCP(ctx context.Context, conn net.Conn, framed []byte) (buf *[]byte, n int, err error) {
	defer expire(ctx, conn, f.cfg.Timeout)()
	if _, err := conn.Write(framed); err != nil {
		return nil, 0, err
	}
	return readMessage(conn)
}

// relayTransfer passes on the first message of a zone transfer and those that follow it.
//
// It goes on for as many messages as it takes, and only who reads the records knows which is the last. So it ends when
// the resolver ends its connection, upon which the client's ends too: the client sees what it would see without us.
func (f *front) relayTransfer(ctx context.Context, c *stream, first []byte, conn net.Conn) error {
	// A client that does not read holds a place here. Half a transfer is worth nothing, so shedding it ends the stream.
	defer context.AfterFunc(ctx, func() {
		if wasShed(ctx) {
			c.conn.Close()
		}
	})()
	c.write(first)
	for ctx.Err() == nil {
		stop := expire(ctx, conn, f.cfg.Timeout)
		buf, n, err := readMessage(conn)
		stop()
		if err != nil {
			break
		}
		c.write((*buf)[:n])
		give(buf)
	}
	if wasShed(ctx) {
		return errShed
	}
	return nil
}

// readMessage reads a message, which stands with its prefix in the first n bytes of the buffer. Give the buffer back.
func readMessage(r io.Reader) (buf *[]byte, n int, err error) {
	var prefix [prefixSize]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return nil, 0, err
	}
	n = prefixSize + int(binary.BigEndian.Uint16(prefix[:]))
	buf = take(n)
	copy(*buf, prefix[:])
	if _, err := io.ReadFull(r, (*buf)[prefixSize:n]); err != nil {
		give(buf)
		return nil, 0, err
	}
	return buf, n, nil
}
