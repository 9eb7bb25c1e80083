package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/engine/mesh"
)

// hostileAnswer is what an endpoint sends to have a proxy and a client differ in what they read, or to poison a connection that
// the next request may take.
type hostileAnswer struct {
	text   string
	kind   answerKind
	method string // of the request; empty: GET
	fields string // of the request
	end    func(*net.TCPConn)
	body   string // that the client gets
	last   bool   // the connection of the client ends with it
}

type answerKind int

const (
	noAnswer answerKind = iota // nobody can read it: the client is told so
	cutOff                     // what the client gets must not look whole
	surplus                    // the answer is fine, and the connection of no more use
)

// smuggledAnswer is what the next request must not get.
const smuggledAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled"

// The ways in which an endpoint ends a connection.
func inOrderly(c *net.TCPConn) { _ = c.CloseWrite() }
func stays(*net.TCPConn)       {}

func hostileAnswers() (all []hostileAnswer) {
	refused := func(format string, parts ...string) {
		for _, part := range parts {
			all = append(all, hostileAnswer{text: strings.Replace(format, "%s", part, 1) + smuggledAnswer, end: stays})
		}
	}
	refused("%s\r\nContent-Length: 0\r\n\r\n", "", "OK", "200 OK", "HTTP", "HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1 20", "HTTP/1.1 2000 OK", "HTTP/1.1 +20 OK", "HTTP/1.1 -20 OK", "HTTP/1.1 099 A", "HTTP/1.1 000 A",
		"HTTP/1.1 2x0 OK", "HTTP/1.1 200OK", " HTTP/1.1 200 OK", "HTTP/1.1  200 OK", "HTTP/1.1\t200 OK", "HTTP/1.1 200\tOK", "HTTP/1.1 \xb2\xb0\xb0 OK", "http/1.1 200 OK", "HTTP/1.2 200 OK", "HTTP/2.0 200 OK", "HTTP/2 200", "HTTP/0.9 200 OK",
		"HTTP/1.1.1 200 OK", "HTTP/11 200 OK", "HTTPS/1.1 200 OK", "ICY 200 OK", "HTTP/1.1 200 O\x00K", "HTTP/1.1 200 O\rK", "HTTP/1.1 200 O\nK", "HTTP/1.1 200 \x7f", "\r\nHTTP/1.1 200 OK", "\nHTTP/1.1 200 OK", "<html>", "220 a ESMTP", "SSH-2.0-a",
		"HTTP/1.1 200 OK\r\n X: y", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: a", "HTTP/1.1 101 Switching Protocols", "GET / HTTP/1.1")
	refused("HTTP/1.1 200 O%sK\r\nContent-Length: 0\r\n\r\n", bytesThat(func(c byte) bool { return !isText(c) })...)
	refused("HTTP/1.1 200 OK\r\nX-A: %s\r\nContent-Length: 0\r\n\r\n", wrongValues()...)
	refused("HTTP/1.1 200 OK\r\n%s: 5\r\n\r\n", wrongNames()...)
	refused("HTTP/1.1 200 OK\r\n%s\r\nContent-Length: 0\r\n\r\n", wrongFields...)
	for _, format := range []string{"HTTP/1.1 200 OK%sContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0%sX-A: b\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0%sTransfer-Encoding: chunked\r\n\r\n"} {
		for _, end := range wrongLineEnds {
			if end[0] != '\xe2' && end[0] != '\xc2' || !strings.HasPrefix(format, "HTTP/1.1 200 OK%s") { // there these are text
				refused(format, end)
			}
		}
	}
	refused("HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n", wrongLengths...)
	refused("HTTP/1.1 200 OK\r\nTransfer-Encoding: %s\r\n\r\n0\r\n\r\n", wrongCodings...)
	refused("HTTP/1.1 %s\r\n\r\n0\r\n\r\n", "200 OK\r\nContent-Length: 5\r\nContent-Length: 5", "200 OK\r\nContent-Length: 5\r\nContent-Length: 6", "200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", "200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 0",
		"200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "206 A\r\nContent-Length: 5, 5", "404 A\r\nContent-Length: +5", "204 A\r\nContent-Length: a", "304 A\r\nTransfer-Encoding: a")
	refused("HTTP/1.0 200 OK\r\nTransfer-Encoding: %s\r\n\r\n0\r\n\r\n", "chunked", "identity")
	large := strings.Repeat("a", 70<<10)
	refused("HTTP/1.1 200 OK\r\n%s\r\n\r\n", "X-A: "+large, large+": b", strings.Repeat("X-A: b\r\n", 300)+"X: y", "Connection: "+strings.Repeat("a, ", 100)+"a")
	refused("HTTP/1.1 200 %s\r\n\r\n", large)
	refused("HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n%s", "hello", "hello\r\n\r\n", "\r\n")
	refused("HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n%s", "0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n")
	return slices.Concat(all, wrongUpgrades(), cutAnswers(), brokenAnswers(), surplusAnswers())
}

// wrongUpgrades agree to what the client offers, and do not say so, or not only.
func wrongUpgrades() (all []hostileAnswer) {
	for _, fields := range []string{
		"", "Upgrade: a\r\n", "Connection: upgrade\r\n", "Connection: close\r\nUpgrade: a\r\n", "Connection: Upgrade, X-A\r\n", "Connection: upgrade\r\nUpgrade : a\r\n", "Connection: upgrade\r\n Upgrade: a\r\n", "Connection: upgrade\r\nUpgrade: a\nX: y\r\n",
	} {
		all = append(all, hostileAnswer{text: "HTTP/1.1 101 A\r\n" + fields + "\r\n" + smuggledAnswer, fields: "Connection: upgrade\r\nUpgrade: a\r\n", end: stays})
	}
	return all
}

// cutAnswers end too early: within the head, or within the body.
func cutAnswers() (all []hostileAnswer) {
	const head, chunked = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nX-A: b\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, end := range []func(*net.TCPConn){inOrderly, reset} {
		for at := 0; at < len(head)-1; at += 3 {
			all = append(all, hostileAnswer{text: head[:at], end: end})
		}
		for at := range 10 {
			all = append(all, hostileAnswer{text: head + "helloworld"[:at], kind: cutOff, end: end})
		}
		const body = "5\r\nhello\r\n3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n"
		for at := range body {
			all = append(all, hostileAnswer{text: chunked + body[:at], kind: cutOff, end: end})
		}
		all = append(all, hostileAnswer{text: "HTTP/1.1 103 Early Hints\r\nX-A: b\r\n\r\n", end: end}, hostileAnswer{text: "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200", end: end},
			hostileAnswer{text: strings.Replace(head, "10", "9223372036854775807", 1) + smuggledAnswer, kind: cutOff, end: end})
	}
	return append(all, hostileAnswer{text: "HTTP/1.1 200 OK\r\n\r\nhello", kind: cutOff, end: reset}, hostileAnswer{text: "HTTP/1.0 200 OK\r\n\r\nhello", kind: cutOff, end: reset},
		hostileAnswer{text: "HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello", kind: cutOff, end: inOrderly})
}

// brokenAnswers have a body of chunks that is none.
func brokenAnswers() (all []hostileAnswer) {
	for _, body := range slices.Concat(badChunks, badTrailers) {
		for _, before := range []string{"", "5\r\nhello\r\n"} {
			all = append(all, hostileAnswer{text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + before + body + smuggledAnswer, kind: cutOff, end: stays})
		}
	}
	return all
}

// surplusAnswers have more behind them than there should be.
func surplusAnswers() (all []hostileAnswer) {
	for text, body := range map[string]string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello": "hello", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n": "", "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello": "hello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n": "hello", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n": "",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n00\r\n\r\n": "hello", "HTTP/1.1 204 No Content\r\n\r\n": "", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n": "",
		"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n": "", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n": "", "HTTP/1.1 204 No Content\r\nContent-Length: 8\r\n\r\n": "",
		"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n": "", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1000) + "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello": "hello",
		"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n": "", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello": "hello", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello": "hello",
		"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello": "hello", "HTTP/1.1 200 OK\r\nConnection: Content-Length\r\nContent-Length: 5\r\n\r\nhello": "hello", "HTTP/1.1 999 A\r\nContent-Length: 5\r\n\r\nhello": "hello",
	} {
		for _, more := range []string{smuggledAnswer, "a", "\r\n", "0\r\n\r\n", "\x00", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"} {
			all = append(all, hostileAnswer{text: text + more, kind: surplus, end: stays, body: body})
		}
	}
	for _, text := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 200 OK\r\nContent-Length: 54\r\n\r\n" + smuggledAnswer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\nhello", "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
	} {
		all = append(all, hostileAnswer{text: text, kind: surplus, method: http.MethodHead, end: stays})
	}
	// This one ends with the connection, and all that comes is of it.
	return append(all, hostileAnswer{text: "HTTP/1.1 200 OK\r\n\r\nhello" + smuggledAnswer, kind: surplus, end: inOrderly, body: "hello" + smuggledAnswer, last: true})
}

// TestHostileAnswers has an endpoint answer so. No client may take that for another answer, nor for a whole one that it is not,
// and no other request may be sent where that came from.
func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	cases := hostileAnswers()
	if len(cases) < 300 {
		t.Errorf("there are %d hostile answers", len(cases))
	}
	at, reused := hostileEndpoint(t, cases)
	r := httpRig(t, at)
	for i, h := range cases {
		method := h.method
		if method == "" {
			method = http.MethodGet
		}
		client := r.dial(virtual)
		if err := client.SetDeadline(time.Now().Add(giveUp)); err != nil {
			t.Fatal(err)
		}
		send(t, client, fmt.Sprintf("%s /%d HTTP/1.1\r\nHost: a\r\n%s\r\n"+"GET /clean HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", method, i, h.fields))
		c := readAll(client, []string{method})
		client.Close()
		r.logged("connection closed")
		fail := func(want string) {
			t.Helper()
			t.Errorf("to %s %.300q: want %s; the client got %d answers, %.100q, complete: %v", method, h.text, want, len(c.answers), c.bodies, c.complete)
		}
		switch {
		case h.kind == noAnswer && (len(c.answers) != 1 || c.answers[0].StatusCode != 502 || !c.complete ||
			c.bodies[0] != string(reasonOf(h))+"\n"):
			fail("it to be refused")
		case h.kind == cutOff && (len(c.answers) != 0 || c.complete):
			fail("it to be cut off")
		case h.kind == surplus && h.last && !slices.Equal(c.bodies, []string{h.body}):
			fail("that answer")
		case h.kind == surplus && !h.last && (!slices.Equal(c.bodies, []string{h.body, "clean"}) || !c.complete):
			fail("that answer and the one to the next request")
		}
		client = r.dial(virtual)
		if _, body := get(t, client, bufio.NewReader(client), "GET /clean HTTP/1.1\r\nHost: a\r\n\r\n"); body != "clean" {
			t.Errorf("after %.300q a clean request is answered %q", h.text, body)
		}
		client.Close()
		r.logged("connection closed")
		if n := reused.Swap(0); n > 0 {
			t.Errorf("after %.300q its connection is used again", h.text)
		}
	}
}

// hostileEndpoint gives the answers, and counts the requests that come on a connection on which one was given.
func hostileEndpoint(t *testing.T, cases []hostileAnswer) (at netip.AddrPort, reused *atomic.Int64) {
	reused = &atomic.Int64{}
	at = endpoint(t, func(c *net.TCPConn) {
		in := bufio.NewReader(c)
		spoiled := false
		for {
			request, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if spoiled {
				reused.Add(1)
			}
			i, err := strconv.Atoi(request.URL.Path[1:])
			if err != nil {
				send(t, c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nclean")
				continue
			}
			spoiled = true
			if _, err := io.WriteString(c, cases[i].text); err != nil {
				return // enough of it was read
			}
			cases[i].end(c)
		}
	})
	return at, reused
}

// reasonOf returns what the client is told of an answer that is none: that it is wrong, or that it is not there.
func reasonOf(h hostileAnswer) mesh.Reason {
	if !strings.HasSuffix(h.text, smuggledAnswer) {
		return mesh.ReasonEndpointReset
	}
	return mesh.ReasonBadAnswer
}

// TestLateAnswers has an endpoint say something on a connection that is idle, as some do before they close it. It must not be taken for
// the answer to the next request, which goes out at once or when meshd has had time to look.
func TestLateAnswers(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		smuggledAnswer, "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", "HTTP/1.1 200 OK\r\nX-A: ", "H", "\r\n", "\x00", "0\r\n\r\n", "smuggled",
	} {
		for _, waits := range []bool{false, true} {
			conns := make(chan *net.TCPConn, 2)
			ended := make(chan bool, 2)
			at := endpoint(t, func(c *net.TCPConn) {
				in := bufio.NewReader(c)
				for {
					if _, err := http.ReadRequest(in); err != nil {
						ended <- true
						return
					}
					send(t, c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nclean")
					conns <- c
				}
			})
			r := httpRig(t, at)
			client := r.dial(virtual)
			in := bufio.NewReader(client)
			for i := range 2 {
				if _, body := get(t, client, in, plain); body != "clean" {
					t.Fatalf("behind %q request %d is answered %q", text, i, body)
				}
				c := <-conns
				if i > 0 {
					break
				}
				send(t, c, text)
				if waits {
					<-ended
				} else {
					r.eventually("meshd has been sent that", func() bool { return unacknowledged(t, c) == 0 })
				}
			}
			client.Close()
			r.logged("connection closed")
			if !waits {
				<-ended
			}
		}
	}
}

// unacknowledged returns how many bytes the peer of a connection has not got yet.
func unacknowledged(t *testing.T, c *net.TCPConn) (n int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	// Who has closed the connection has got all.
	_ = raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}
