package dns

import (
	"context"
	"net"
	"testing"
	"testing/synctest"

	"golang.org/x/net/dns/dnsmessage"
)

// guest is a stream that leaves as soon as it is shed.
func guest(t *testing.T, s *streams) (context.Context, *stream) {
	t.Helper()
	client, server := net.Pipe()
	t.Cleanup(func() { client.Close(); server.Close() })
	ctx, c := s.enter(t.Context(), server)
	context.AfterFunc(ctx, c.leave)
	return ctx, c
}

func TestStreamsShedIdleFirst(t *testing.T) {
	s := &streams{max: 3}
	one, busy := guest(t, s)
	busy.begin()
	two, used := guest(t, s)
	three, _ := guest(t, s)
	used.begin()
	used.begin()
	used.done()
	used.done()
	four, late := guest(t, s)
	if wasShed(one) || wasShed(two) || !wasShed(three) {
		t.Errorf("shed: %v, %v, %v; want the third, idle for longest", wasShed(one), wasShed(two), wasShed(three))
	}
	used.begin()
	late.begin()
	busy.begin()
	five, _ := guest(t, s)
	if !wasShed(one) || wasShed(two) || wasShed(four) || wasShed(five) {
		t.Errorf("shed: %v, %v, %v, %v; want the first, busy for longest", wasShed(one), wasShed(two), wasShed(four), wasShed(five))
	}
	if s.all.Len() != s.max {
		t.Errorf("%d streams, want %d", s.all.Len(), s.max)
	}
	busy.done() // a stream that was shed may still count its queries
}

// A connection is not served before the one that it replaces has ended, even if that one is stuck in a write.
func TestStreamsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &streams{max: 1}
		client, server := net.Pipe()
		ctx, first := s.enter(t.Context(), server)
		entered := make(chan *stream, 1)
		go func() {
			_, second := s.enter(t.Context(), client)
			entered <- second
		}()
		wantClosed(t, client)
		synctest.Wait()
		if !wasShed(ctx) || len(entered) > 0 {
			t.Errorf("the first is shed: %v; the second has entered: %v", wasShed(ctx), len(entered) > 0)
		}
		first.leave()
		(<-entered).leave()
	})
}

func TestIdleConnectionsMakeRoom(t *testing.T) {
	asked := make(chan struct{}, 1)
	r := startHalfDead(t, asked)
	mesh := pack(t, "billing.mesh.", dnsmessage.TypeA)
	waiting, used := r.dial(t, "tcp"), r.dial(t, "tcp")
	send(t, waiting, pack(t, "silent.example.", dnsmessage.TypeA))
	<-asked
	var idle []net.Conn
	for range maxConns - 2 {
		idle = append(idle, r.dial(t, "tcp"))
	}
	for _, c := range []net.Conn{idle[len(idle)-1], used} { // they are accepted in turn, so all have been
		ask(t, c, mesh)
		r.want(t, ResultAnswered)
	}
	before := sockets(t)
	for i := range 20 {
		checkRecords(t, unpack(t, ask(t, r.dial(t, "tcp"), mesh)), "244.1.2.3")
		wantClosed(t, idle[i])
		r.want(t, ResultOverflow)
		r.want(t, ResultAnswered)
	}
	checkRecords(t, unpack(t, ask(t, used, mesh)), "244.1.2.3")
	if n := sockets(t) - before; n != 20 { // the clients' own
		t.Errorf("20 more connections hold %d sockets, want 20", n)
	}
	send(t, waiting, mesh)
	if m := unpack(t, receive(t, waiting)); len(m.Answers) != 1 {
		t.Errorf("got %v, want the connection with a query in flight kept", m.GoString())
	}
}

// Nobody is idle when each connection waits for a silent server.
func TestBusyConnectionsMakeRoom(t *testing.T) {
	asked := make(chan struct{}, 1)
	r := startHalfDead(t, asked)
	var busy []net.Conn
	for range maxConns {
		c := r.dial(t, "tcp")
		send(t, c, pack(t, "silent.example.", dnsmessage.TypeA))
		<-asked
		busy = append(busy, c)
	}
	wantAnswers(t, r.dial(t, "tcp"))
	wantClosed(t, busy[0])
}
