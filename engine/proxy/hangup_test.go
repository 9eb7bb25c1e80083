package proxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/mesh"
)

// hangUp has a client end its side while its request is under way, and waits until the endpoint has seen that.
func hangUp(t *testing.T, client *net.TCPConn, from *bufio.Reader) {
	t.Helper()
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	wantEOF(t, from)
}

// TestClientHangsUp wants an endpoint to learn that a client has gone away, though it has nothing to tell it yet, and to take no
// blame for what it does then.
func TestClientHangsUp(t *testing.T) {
	for _, begun := range []string{"", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"} {
		at, conns := accepting(t)
		other, _ := accepting(t)
		r := routed(t, mesh.Destination{Retry: &mesh.Retry{Attempts: 3, On: []string{"5xx", "reset"}}}, at, other)
		for _, e := range r.group().Endpoints() {
			if e.Address == other {
				e.MarkDown(time.Now(), "so that all goes to the other one")
			}
		}
		for range 6 { // one more than what ejects
			client, server, from := inFlight(t, r, conns)
			send(t, server, begun)
			want(t, client, begun)
			hangUp(t, client, from)
			server.Close()
			r.wantEnd(mesh.ReasonClientReset)
		}
		for _, e := range r.group().Endpoints() {
			if e.Address == at {
				r.wantState("after six clients that have gone away", e, balance.Up)
			}
		}
	}
}

// TestAnswerAfterHangUp wants a client that says at once that it has no other request to get its answer.
func TestAnswerAfterHangUp(t *testing.T) {
	at, conns := accepting(t)
	r := httpRig(t, at)
	client, server, from := inFlight(t, r, conns)
	hangUp(t, client, from)
	send(t, server, answer)
	if told, err := io.ReadAll(client); err != nil || string(told) != answer {
		t.Errorf("the client is told %q, %v", told, err)
	}
	r.wantEnd(mesh.ReasonDone)
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("read from a connection that cannot carry another request: %v", err)
	}
	server.Close()
	_, other, _ := inFlight(t, r, conns)
	send(t, other, answer)
}

// TestHangUpBehindRequests wants the end of what a client says to reach the endpoint behind its last request.
func TestHangUpBehindRequests(t *testing.T) {
	at, conns := accepting(t)
	r := httpRig(t, at)
	client := r.dial(virtual)
	send(t, client, plain+plain+plain)
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	server := <-conns
	from := bufio.NewReader(server)
	for range 3 {
		if _, err := http.ReadRequest(from); err != nil {
			t.Fatal(err)
		}
		send(t, server, answer)
	}
	wantEOF(t, from)
	if told, err := io.ReadAll(client); err != nil || string(told) != answer+answer+answer {
		t.Errorf("the client is told %q, %v", told, err)
	}
	r.wantEnd(mesh.ReasonDone)
}

// TestLongPoll wants nothing but the two who talk to end a request that no route limits, however long it waits for its answer, or
// for the rest of it.
func TestLongPoll(t *testing.T) {
	at, conns := accepting(t)
	r := httpRig(t, at)
	client, server, _ := inFlight(t, r, conns)
	for _, part := range []string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n", "0\r\n\r\n"} {
		for range 12 {
			r.inLoops(func(l *loop) {
				l.now = time.Now().Add(2 * time.Hour)
				l.nextTend = l.now
				l.expire()
				l.tend()
			})
		}
		send(t, server, part)
		want(t, client, part)
	}
	client.Close()
	r.wantEnd(mesh.ReasonDone)
}
