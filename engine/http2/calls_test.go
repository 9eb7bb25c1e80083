package http2

import (
	"testing"
	"time"
)

func BenchmarkCall(b *testing.B) {
	c := newCalls(b)
	b.ReportAllocs()
	for b.Loop() {
		c.call()
	}
}

// calls are calls of gRPC, one after the other, between two sessions.
type calls struct {
	t              testing.TB
	client, server *Session
	buf            []byte
	request        []byte
	answer         []byte
	now            time.Time
}

func newCalls(t testing.TB) *calls {
	p := new(Pool)
	return &calls{
		t: t, client: NewClient(p), server: NewServer(p), buf: make([]byte, 32<<10), now: time.Now(),
		request: []byte("POST /helloworld.Greeter/SayHello HTTP/1.1\r\nHost: greeter.mesh:50051\r\ncontent-type: application/grpc\r\n" +
			"user-agent: grpc-go/1.80.0\r\nte: trailers\r\ngrpc-timeout: 999m\r\ntransfer-encoding: chunked\r\n\r\n" +
			"c\r\n\x00\x00\x00\x00\x07\x0a\x05world\r\n0\r\n\r\n"),
		answer: []byte("HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ntransfer-encoding: chunked\r\n\r\n" +
			"12\r\n\x00\x00\x00\x00\x0d\x0a\x0bHello world\r\n0\r\ngrpc-status: 0\r\ngrpc-message: \r\n\r\n"),
	}
}

// pass passes what one session has to send to the other.
func (c *calls) pass(from, to *Session) {
	for len(from.Output()) > 0 {
		out := from.Output()
		if err := to.Feed(out, c.now); err != nil {
			c.t.Fatal(err)
		}
		from.Sent(len(out))
	}
}

func (c *calls) call() {
	asked := c.client.Open()
	if n, err := asked.Write(c.request); n != len(c.request) || err != nil {
		c.t.Fatalf("write the request: %d bytes, %v", n, err)
	}
	c.pass(c.client, c.server)
	served := c.server.Next()
	n, _ := served.Read(c.buf)
	if n != len(c.request) {
		c.t.Fatalf("%d bytes of the request came of %d: %q", n, len(c.request), c.buf[:n])
	}
	if n, err := served.Write(c.answer); n != len(c.answer) || err != nil {
		c.t.Fatalf("write the answer: %d bytes, %v", n, err)
	}
	served.Close(CodeCancel)
	c.pass(c.server, c.client)
	for c.client.Next() != nil {
	}
	if n, _ := asked.Read(c.buf); n != len(c.answer) {
		c.t.Fatalf("%d bytes of the answer came of %d: %q", n, len(c.answer), c.buf[:n])
	}
	asked.Close(CodeCancel)
}

// BenchmarkBody: the body of one answer, from a server's session through a client's.
func BenchmarkBody(b *testing.B) {
	c := newCalls(b)
	asked := c.client.Open()
	if _, err := asked.Write([]byte("GET / HTTP/1.1\r\nHost: web\r\n\r\n")); err != nil {
		b.Fatal(err)
	}
	c.pass(c.client, c.server)
	served := c.server.Next()
	if _, err := served.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 9000000000000000\r\n\r\n")); err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 64<<10)
	buf := make([]byte, 128<<10)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		for rest := data; len(rest) > 0; {
			n, err := served.Write(rest)
			if err != nil {
				b.Fatal(err)
			}
			rest = rest[n:]
			c.pass(c.server, c.client)
			for c.client.Next() != nil {
			}
			if _, err := asked.Read(buf); err != nil {
				b.Fatal(err)
			}
			c.pass(c.client, c.server)
			for c.server.Next() != nil {
			}
		}
	}
}
