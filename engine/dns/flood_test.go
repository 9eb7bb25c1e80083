package dns

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// startHalfDead runs a resolver that says nothing of silent.example, and tells asked that it was asked for it. Any
// other query it answers.
func startHalfDead(t *testing.T, asked chan<- struct{}) *running {
	t.Helper()
	return start(t, Config{Timeout: time.Hour}, startResolver(t, loopback4, func(network string, query []byte) [][]byte {
		q, _ := parse(query)
		if !q.plain || lower(q.question.Name) != "silent.example" {
			return [][]byte{asAnswer(query)}
		}
		asked <- struct{}{}
		if network == "udp" {
			return nil
		}
		<-t.Context().Done() // an open connection, without an answer
		return nil
	}))
}

// sockets returns how many file descriptors the process has open.
func sockets(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// wantAnswers asks for a name of the resolver and for one of the mesh.
func wantAnswers(t *testing.T, c net.Conn) {
	t.Helper()
	if m := unpack(t, ask(t, c, pack(t, "example.com.", dnsmessage.TypeA))); m.RCode != dnsmessage.RCodeSuccess {
		t.Errorf("got %v, want the resolver's answer", m.GoString())
	}
	checkRecords(t, unpack(t, ask(t, c, pack(t, "billing.mesh.", dnsmessage.TypeA))), "244.1.2.3")
}

// One client asks without end for names whose servers are silent. Others must not notice.
func TestFloodShedsItself(t *testing.T) {
	const bound = defaultInflight / 2
	asked := make(chan struct{}, 1)
	r := startHalfDead(t, asked)
	flooder, udp, tcp := r.dial(t, "udp"), r.dial(t, "udp"), r.dial(t, "tcp")
	checkRecords(t, unpack(t, ask(t, tcp, pack(t, "billing.mesh.", dnsmessage.TypeA))), "244.1.2.3") // it is accepted
	flood := func(n int) {
		for range n {
			send(t, flooder, pack(t, "silent.example.", dnsmessage.TypeA))
			<-asked
		}
	}
	before := sockets(t)
	flood(bound + 100)
	if n := sockets(t) - before; n != bound {
		t.Errorf("the flood holds %d sockets, want %d", n, bound)
	}
	for range 20 {
		flood(20)
		wantAnswers(t, udp)
		wantAnswers(t, tcp)
	}
	shed := 0
	for len(r.results) > 0 {
		if <-r.results == ResultOverflow {
			shed++
		}
	}
	if shed < 500 {
		t.Errorf("%d queries were shed, want at least the 500 for which there was no room", shed)
	}
}

// By TCP a client waits for an answer and gets one.
func TestShedByTCPIsAnswered(t *testing.T) {
	asked := make(chan struct{}, 1)
	r := startHalfDead(t, asked)
	first := r.dial(t, "tcp")
	send(t, first, pack(t, "silent.example.", dnsmessage.TypeA))
	<-asked
	flooder := r.dial(t, "udp")
	for range defaultInflight / 2 {
		send(t, flooder, pack(t, "silent.example.", dnsmessage.TypeA))
		<-asked
	}
	if m := unpack(t, receive(t, first)); m.RCode != dnsmessage.RCodeServerFailure {
		t.Errorf("got %v, want SERVFAIL", m.GoString())
	}
	r.want(t, ResultOverflow)
	wantAnswers(t, first)
}

// newFront returns a front of its own, and a stream with the client's end of it.
func newFront(t *testing.T, resolver netip.AddrPort) (context.Context, *front, *stream, net.Conn) {
	t.Helper()
	s := newServer(t, Config{})
	client, server := net.Pipe()
	t.Cleanup(func() { client.Close(); server.Close() })
	ctx, c := s.streams.enter(t.Context(), server)
	return ctx, &front{Server: s, Binding: Binding{Resolver: resolver}, lane: lane{room: s.room}, log: s.log}, c, client
}

func TestSlowReaderHoldsNoPlace(t *testing.T) {
	resolver := startResolver(t, loopback4, func(_ string, query []byte) [][]byte { return [][]byte{asAnswer(query)} })
	ctx, f, c, client := newFront(t, resolver)
	query := pack(t, "example.com.", dnsmessage.TypeA)
	q, _ := parse(query)
	left, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- f.relay(ctx, func() { close(left) }, c, &q, frame(query)) }()
	select {
	case <-left:
	case err := <-ended:
		t.Fatalf("the place was held until the end, with error %v", err)
	}
	buf, n, err := readMessage(client)
	if err != nil || !bytes.Equal((*buf)[prefixSize:n], asAnswer(query)) {
		t.Errorf("error %v, want the answer", err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A transfer holds its place for as long as the client takes to read it, and has to give it up at once all the same.
func TestShedTransferEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, f, c, client := newFront(t, netip.AddrPort{})
		defer c.leave()
		resolver, upstream := net.Pipe()
		defer resolver.Close()
		defer upstream.Close()
		ended := make(chan error, 1)
		go func() { ended <- f.relayTransfer(ctx, c, frame([]byte("first")), upstream) }()
		synctest.Wait() // until it waits for the client to read
		c.end(errShed)
		synctest.Wait()
		select {
		case err := <-ended:
			if !errors.Is(err, errShed) {
				t.Errorf("the transfer ended with %v, want %v", err, errShed)
			}
		default:
			t.Error("the transfer goes on")
		}
		wantClosed(t, client)
	})
}
