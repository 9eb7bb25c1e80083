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
		select {
		case f.conns <- struct{}{}:
			conns.Go(func() {
				defer func() { <-f.conns }()
				f.serveConn(ctx, conn)
			})
		default:
			conn.Close()
			f.cfg.Observe(ResultOverflow)
		}
	}
}

// stream is a client's connection, on which answers may leave in another order than the queries came (RFC 7766).
type stream struct {
	conn net.Conn
	mu   sync.Mutex // held while a message is written
	end  func()     // stops the reading of queries
}

// write sends a message that starts with its prefix.
func (c *stream) write(framed []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := c.conn.Write(framed); err != nil {
		c.conn.Close() // half a message may be out: nothing can follow it, and who waits to write learns so at once
	}
}

// serveConn answers the queries of a connection until the client or ctx ends it, or it is idle. Queries in flight are
// still answered then: a client may have closed only its own direction.
func (f *front) serveConn(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { conn.SetReadDeadline(longAgo) })()
	c := &stream{conn: conn, end: cancel}
	var forwards sync.WaitGroup
	defer forwards.Wait()
	slots := make(chan struct{}, maxPipelined)
	for {
		slots <- struct{}{}
		conn.SetReadDeadline(time.Now().Add(idleTimeout))
		if ctx.Err() != nil { // after the deadline was set, as the end of ctx sets it too
			return
		}
		buf, n, err := readMessage(conn)
		if err != nil {
			return
		}
		q, ok := parse((*buf)[prefixSize:n])
		if !ok {
			f.cfg.Observe(ResultMalformed)
			return // nothing that follows can be trusted to be a message
		}
		forwards.Go(func() {
			defer func() { <-slots }()
			defer give(buf)
			f.cfg.Observe(f.respond(ctx, c, &q, (*buf)[:n]))
		})
	}
}

// respond deals with one query, whose message starts with its prefix.
func (f *front) respond(ctx context.Context, c *stream, q *query, framed []byte) (result string) {
	buf := take(bufferSize)
	defer give(buf)
	out := (*buf)[:prefixSize]
	reply, result := f.answer(out, q)
	switch {
	case result != "":
	case !f.lane.enter():
		result = ResultOverflow
		reply = q.failure(out)
	default:
		defer f.lane.leave()
		err := f.relay(ctx, c, q, framed)
		if err == nil {
			return ResultForwarded
		}
		f.log.Debug("dns query not forwarded", "network", "tcp", "error", err)
		result = ResultUpstreamFailed
		reply = q.failure(out)
	}
	if len(reply) > prefixSize {
		binary.BigEndian.PutUint16(reply, uint16(len(reply)-prefixSize))
		c.write(reply)
	}
	return result
}

var errNoAnswer = errors.New("the resolver sent something else than an answer to the query")

// relay asks the resolver over a connection of its own and passes the answer back.
func (f *front) relay(ctx context.Context, c *stream, q *query, framed []byte) error {
	dialer := net.Dialer{Timeout: f.cfg.Timeout}
	conn, err := dialer.DialContext(ctx, "tcp", f.Resolver.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	defer expire(ctx, conn, f.cfg.Timeout)()
	if _, err := conn.Write(framed); err != nil {
		return err
	}
	if err := relayMessage(c, conn, q.answeredBy); err != nil || !q.transfer() {
		return err
	}
	// A zone transfer goes on for as many messages as it takes, and only who reads the records knows which is the last.
	// So the connection ends when the resolver ends its own: the client then sees what it would see without us.
	for ctx.Err() == nil {
		stop := expire(ctx, conn, f.cfg.Timeout)
		err := relayMessage(c, conn, func([]byte) bool { return true })
		stop()
		if err != nil {
			break
		}
	}
	c.end()
	return nil
}

// relayMessage passes one message on as it is, if it is wanted.
func relayMessage(c *stream, from io.Reader, wanted func(msg []byte) bool) error {
	buf, n, err := readMessage(from)
	if err != nil {
		return err
	}
	defer give(buf)
	if !wanted((*buf)[prefixSize:n]) {
		return errNoAnswer
	}
	c.write((*buf)[:n])
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
