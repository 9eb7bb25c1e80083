package dns

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

func TestPipelinedOutOfOrder(t *testing.T) {
	release := make(chan struct{})
	r := start(t, Config{}, startResolver(t, loopback4, func(_ string, query []byte) [][]byte {
		<-release
		return [][]byte{asAnswer(query)}
	}))
	c := r.dial(t, "tcp")
	send(t, c, pack(t, "example.com.", dnsmessage.TypeA, withID(1)))
	if m := unpack(t, ask(t, c, pack(t, "billing.mesh.", dnsmessage.TypeA, withID(2)))); m.ID != 2 {
		t.Errorf("query %d was answered first, want 2", m.ID)
	}
	close(release)
	if m := unpack(t, receive(t, c)); m.ID != 1 {
		t.Errorf("query %d was answered last, want 1", m.ID)
	}
}

func TestPipelineIsBounded(t *testing.T) {
	const sent = 2 * maxPipelined
	var mu sync.Mutex
	var now, most int
	asked, release := make(chan struct{}, sent), make(chan struct{})
	r := start(t, Config{}, startResolver(t, loopback4, func(_ string, query []byte) [][]byte {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		asked <- struct{}{}
		<-release
		mu.Lock()
		now--
		mu.Unlock()
		return [][]byte{asAnswer(query)}
	}))
	c := r.dial(t, "tcp")
	for id := range uint16(sent) {
		send(t, c, pack(t, "example.com.", dnsmessage.TypeA, withID(id)))
	}
	for range maxPipelined {
		<-asked
	}
	close(release)
	answered := map[uint16]bool{}
	for range sent {
		answered[unpack(t, receive(t, c)).ID] = true
	}
	mu.Lock()
	defer mu.Unlock()
	if len(answered) != sent || most > maxPipelined {
		t.Errorf("%d of %d queries were answered, %d at once; want all, at most %d at once", len(answered), sent, most, maxPipelined)
	}
}

func TestHalfClosedClientIsAnswered(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	r := start(t, Config{}, startResolver(t, loopback4, func(_ string, query []byte) [][]byte {
		asked <- struct{}{}
		<-release
		return [][]byte{asAnswer(query)}
	}))
	c := r.dial(t, "tcp")
	send(t, c, pack(t, "example.com.", dnsmessage.TypeA))
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	<-asked
	close(release)
	if m := unpack(t, receive(t, c)); m.ID != 0xbeef {
		t.Errorf("got %v, want the answer", m.GoString())
	}
	wantClosed(t, c)
}

func TestTransferIsPassedWhole(t *testing.T) {
	query := pack(t, "example.com.", dnsmessage.TypeAXFR)
	later := asAnswer(pack(t, "example.com.", dnsmessage.TypeAXFR, func(m *dnsmessage.Message) { m.Questions = nil }), 'x')
	parts := [][]byte{asAnswer(query, 'x'), later, later, {}}
	r := start(t, Config{}, startResolver(t, loopback4, func(string, []byte) [][]byte { return parts }))
	c := r.dial(t, "tcp")
	send(t, c, query)
	for _, want := range parts[:3] {
		if got := receive(t, c); !bytes.Equal(got, want) {
			t.Errorf("part %x, want %x", got, want)
		}
	}
	wantClosed(t, c)
	r.want(t, ResultForwarded)
}

func TestBadAnswerByTCP(t *testing.T) {
	for name, answer := range map[string][]byte{
		"none":  {},
		"other": asAnswer(pack(t, "example.org.", dnsmessage.TypeA)),
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, Config{}, startResolver(t, loopback4, func(string, []byte) [][]byte { return [][]byte{answer} }))
			c := r.dial(t, "tcp")
			m := unpack(t, ask(t, c, pack(t, "example.com.", dnsmessage.TypeA)))
			if m.RCode != dnsmessage.RCodeServerFailure {
				t.Errorf("got %v, want SERVFAIL", m.GoString())
			}
			r.want(t, ResultUpstreamFailed)
			checkRecords(t, unpack(t, ask(t, c, pack(t, "billing.mesh.", dnsmessage.TypeA))), "244.1.2.3")
		})
	}
}

func TestMalformedEndsConnection(t *testing.T) {
	r := start(t, Config{}, startResolver(t, loopback4, nobody(t)))
	c := r.dial(t, "tcp")
	send(t, c, []byte("GET /"))
	wantClosed(t, c)
	r.want(t, ResultMalformed)
}

// pipeListener accepts, after a few errors, the one connection that it has.
func pipeListener(ctx context.Context, conn net.Conn) func() (net.Conn, error) {
	calls := 0
	return func() (net.Conn, error) {
		calls++
		switch {
		case calls <= 3:
			return nil, os.NewSyscallError("accept4", syscall.EMFILE)
		case calls == 4:
			return conn, nil
		}
		<-ctx.Done()
		return nil, os.ErrDeadlineExceeded
	}
}

func TestIdleConnectionEnds(t *testing.T) {
	parts := map[string]func(query []byte) []byte{
		"between queries": func([]byte) []byte { return nil },
		"in the length":   func(query []byte) []byte { return frame(query)[:1] },
		"in a query":      func(query []byte) []byte { return frame(query)[:9] },
	}
	for name, part := range parts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				client, server := net.Pipe()
				defer client.Close()
				s := newServer(t, Config{})
				f := &front{Server: s, lane: lane{room: s.room}, log: s.log}
				ended := make(chan error)
				go func() { ended <- f.serveTCP(ctx, pipeListener(ctx, server)) }()
				query := pack(t, "billing.mesh.", dnsmessage.TypeA)
				client.Write(frame(query))
				reply, _, err := readMessage(client)
				if err != nil {
					t.Fatal(err)
				}
				checkRecords(t, unpack(t, (*reply)[prefixSize:prefixSize+int(binary.BigEndian.Uint16(*reply))]), "244.1.2.3")
				client.Write(part(query))
				client.SetDeadline(time.Now().Add(time.Hour))
				wantClosed(t, client)
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A client that sends and never reads must not hold a connection for ever.
func TestClientThatDoesNotReadEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		s := newServer(t, Config{})
		f := &front{Server: s, lane: lane{room: s.room}, log: s.log}
		ended := make(chan struct{})
		ctx, c := s.streams.enter(t.Context(), server)
		defer c.leave()
		go func() { f.serveConn(ctx, c); close(ended) }()
		client.Write(frame(pack(t, "billing.mesh.", dnsmessage.TypeA)))
		<-ended
	})
}

func TestClosedListenerEndsServe(t *testing.T) {
	r := newServer(t, Config{})
	u, l := listen(t, loopback4)
	l.Close()
	err := r.Serve(t.Context(), Binding{Resolver: l.Addr().(*net.TCPAddr).AddrPort(), UDP: u, TCP: l})
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve over a closed listener: %v, want %v", err, net.ErrClosed)
	}
}
