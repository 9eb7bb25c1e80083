package dns

import (
	"container/list"
	"context"
	"net"
	"sync"
	"time"
)

// streams are the connections of clients, of all bindings together.
type streams struct {
	mu  sync.Mutex
	max int
	all list.List // of *stream, first who has been idle, or has been busy, for longest
}

// stream is a client's connection, on which answers may leave in another order than the queries came (RFC 7766).
type stream struct {
	conn net.Conn
	end  context.CancelCauseFunc
	left chan struct{} // closed when everything that served the connection has ended

	streams *streams
	at      *list.Element // in streams.all, unless shed
	queries int           // in flight, under streams.mu

	writing sync.Mutex // held while a message is written
}

// enter makes conn a stream until it leaves. Serving it has to end with the context.
//
// When there are too many, the one that has been idle longest is closed, as a server may do at any time (RFC 7766);
// when none is idle, the one whose queries have been in flight longest. The new one waits until that one has left.
func (s *streams) enter(ctx context.Context, conn net.Conn) (context.Context, *stream) {
	ctx, end := context.WithCancelCause(ctx)
	c := &stream{conn: conn, end: end, left: make(chan struct{}), streams: s}
	if oldest := s.join(c); oldest != nil {
		oldest.end(errShed)
		oldest.conn.Close()
		<-oldest.left
	}
	return ctx, c
}

// join puts c last and returns the stream whose place it takes, if any.
func (s *streams) join(c *stream) (oldest *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all.Len() >= s.max {
		oldest = s.oldest()
		s.all.Remove(oldest.at)
	}
	c.at = s.all.PushBack(c)
	return oldest
}

func (s *streams) oldest() *stream {
	for e := s.all.Front(); e != nil; e = e.Next() {
		if c := e.Value.(*stream); c.queries == 0 {
			return c
		}
	}
	return s.all.Front().Value.(*stream)
}

func (c *stream) leave() {
	c.end(nil)
	c.streams.mu.Lock()
	c.streams.all.Remove(c.at)
	c.streams.mu.Unlock()
	close(c.left)
}

// begin counts a query as in flight until done.
func (c *stream) begin() {
	c.streams.mu.Lock()
	defer c.streams.mu.Unlock()
	if c.queries == 0 {
		c.streams.all.MoveToBack(c.at)
	}
	c.queries++
}

func (c *stream) done() {
	c.streams.mu.Lock()
	defer c.streams.mu.Unlock()
	c.queries--
	if c.queries == 0 {
		c.streams.all.MoveToBack(c.at)
	}
}

// write sends a message that starts with its prefix.
func (c *stream) write(framed []byte) {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := c.conn.Write(framed); err != nil {
		c.conn.Close() // half a message may be out: nothing can follow it, and who waits to write learns so at once
	}
}
