package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// oddRequests are legal, however few send such.
func oddRequests() (all []string) {
	add := func(format string, parts ...string) {
		for _, part := range parts {
			all = append(all, strings.Replace(format, "%s", part, 1))
		}
	}
	add("GET %s HTTP/1.1\r\nHost: a\r\n\r\n",
		"/%2F", "/a%2fb%2F", "//", "//a///b//", "/a/../b", "/./a", "/a/.", "/..", "/../../a", "/%2e%2e/a", "/a;b=c", "/a;b/../c;d", "/%zz", "/%", "/%2", "/%00", "/a%0d%0ab", "/%C3%A9", "/%c3%a9", "/\xc3\xa9",
		"/\xff\xfe", "/{a}|<b>\"^`", "/a\\b", "/?", "/??", "/a?b?c=d&e=/f//g", "/a?%", "/a?b=\"c\"&d=<e>", "/a?\xe9", "/:80", "/@", "/a@b:c", "/http://b/", "/*", "/~a", "/a,b", "/!$&'()*+", "/[a]", "/a?[b]", "/a?b",
		"/"+strings.Repeat("a", 8000), "/?"+strings.Repeat("a=b&", 15000), "/"+strings.Repeat("a/../", 5000), "http://a/b", "http://a", "http://a?b", "HTTP://A/b/../c", "https://a/%2F")
	add("%s /a HTTP/1.1\r\nHost: a\r\n\r\n",
		"get", "Get", "G", "!#$%&'*+.^_`|~9", "PROPFIND", "M-SEARCH", "BREW", "PATCH", "TRACE", "DELETE", "PUT", "POST", "LINK", "VERSION-CONTROL", "QUERY", "PRI", "HTTP", strings.Repeat("M", 100))
	add("OPTIONS %s HTTP/1.1\r\nHost: a\r\n\r\n", "*", "/")
	add("GET / HTTP/1.1\r\nHost:%s\r\n\r\n", "", " ", "a", "\ta", " a\t ", " a:80", " A.Example:8080", " a_b", " [::1]", " [fd77::1]:80", " 127.0.0.1", " a.", " a..b", " xn--a", " -", " a:", " a;b", " a+b", " a%41", " a!$&'()*=", " a~")
	add("GET / HTTP/1.1\r\n%s\r\nHost: a\r\n\r\n",
		"X_A: b", "_: a", "x_real_ip: 1.2.3.4", "X-Forwarded-For: 1.2.3.4, 5.6.7.8", "X-FORWARDED-PROTO: https", "Forwarded: for=\"[::1]\";proto=https", "X-Real-IP: a", "Via: 1.1 a", "X-Request-ID: a", "traceparent: a", "X-A:", "X-A: ", "X-A:b",
		"X-A:\tb", "X-A:    b   ", "X-A: b\tc", "X-A: b  c", "X-A: \xc3\xa9", "X-A: \xe9\xff", "X-A: \"b", "X-A: b\\", "X-A: b: c", "X-A: ,", "x-a: b", "X-a: b", "x-A: b\r\nX-A: c", "X-A: b\r\nX-B: c\r\nX-A: d", "A: b\r\nA: b", "!#$%&'*+-.^_`|~9: a", "0: a",
		"Cookie: a=b; c=d", "Cookie: a=b\r\nCookie: c=d", "cookie: a=\"b;c\"; =d; e", "Cookie: "+strings.Repeat("a=b; ", 8000), "X-A: "+strings.Repeat("b", 60000), strings.Repeat("X", 5000)+": a", "Accept: */*\r\nAccept: a/b;q=0", "Range: bytes=0-,5-6", "If-None-Match: W/\"a\", *",
		"Authorization: Basic YTpi", "Proxy-Authorization: a", "Max-Forwards: 0", "Trailer: X-A", "Content-Encoding: a", "Upgrade-Insecure-Requests: 1", "Sec-WebSocket-Key: a", "HTTP2-Settings: a", "X-HTTP-Method-Override: DELETE", "Content-Length: 0",
		"Content-Type: a\r\nContent-Length: 00", "Date: yesterday", "Expect: 100-continue\r\nContent-Length: 0", "Last-Event-ID: \xf0\x9f\x98\x80", "X: "+strings.Repeat(" ", 1000)+"y", strings.TrimSuffix(strings.Repeat("Accept: a\r\n", 250), "\r\n"), "Content_Length: 5", "Transfer_Encoding: chunked",
		"Content-Length-: 5", "X-Content-Length: 5", "Hosts: b", "X-Host: b")
	add("POST / HTTP/1.1\r\nHost: a\r\n%s",
		"Content-Length: 5\r\n\r\nhello", "content-LENGTH:5\r\n\r\n\r\n\r\n\x00", "Content-Length: 0005\r\n\r\nhello", "Content-Length: 100000\r\n\r\n"+strings.Repeat("\x00\r\n\xff\n", 20000), "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
		fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(smuggled), smuggled), "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "transfer-ENCODING:CHUNKED\r\n\r\n0\r\n\r\n", "Transfer-Encoding: \tchunked\t\r\n\r\n00005\r\nhello\r\n000\r\n\r\n",
		"Transfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\na\r\n\r\n0\r\n\r\nGET\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n5;a\r\nhello\r\n5;a=b;c=\"d \\\" e\"\r\nhello\r\n0;f\r\n\r\n", "Transfer-Encoding: chunked\r\nTrailer: X-A\r\n\r\n5\r\nhello\r\n0\r\nX-A: \xc3\xa9\r\nX_B:\r\n\r\n",
		"Transfer-Encoding: chunked\r\n\r\n"+strings.Repeat("1\r\na\r\n", 1000)+"0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n186a0\r\n"+strings.Repeat("a", 100000)+"\r\n0\r\n\r\n")
	add("%s / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "GET", "DELETE", "OPTIONS", "HEAD", "TRACE", "a")
	add("GET / HTTP/1.0\r\n%s\r\n", "", "Host: a\r\n", "X-A: b\r\n", "Host: a\r\nExpect: a\r\n")
	// Every byte that may stand somewhere.
	add("GET /a%sb HTTP/1.1\r\nHost: a\r\n\r\n", bytesThat(isTarget)...)
	add("GET /?a=%s&b HTTP/1.1\r\nHost: a\r\n\r\n", bytesThat(isTarget)...)
	add("X%s / HTTP/1.1\r\nHost: a\r\n\r\n", bytesThat(isToken)...)
	add("GET / HTTP/1.1\r\nHost: a\r\nX%sY: b\r\n\r\n", bytesThat(isToken)...)
	add("GET / HTTP/1.1\r\nHost: a\r\nX-A: b%sc\r\n\r\n", bytesThat(isText)...)
	add("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n%s\r\n0\r\n\r\n", bytesThat(func(byte) bool { return true })...)
	return all
}

// oddAnswers are legal too.
func oddAnswers() (all []string) {
	for _, head := range []string{
		"200 ", "200", "200 \xc3\xa9", "200 a\tb", "200  ", "299 A", "999 A", "600", "404 200 OK", "200 OK\r\nX_A: b", "200 OK\r\nX-A:", "200 OK\r\nX-A:b", "200 OK\r\nx-a:   b  ", "200 OK\r\nX-A: \xe9\xff", "200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b",
		"200 OK\r\nServer: a\r\nDate: yesterday\r\nVia: b", "200 OK\r\n!#$%&'*+-.^_`|~9: a", "200 OK\r\nX: " + strings.Repeat("y", 60000), strings.TrimSuffix("200 OK\r\n"+strings.Repeat("Set-Cookie: a\r\n", 240), "\r\n"), "200 OK\r\nHost: a\r\nHost: b",
		"301 A\r\nLocation: //b\\c/../d", "401 A\r\nWWW-Authenticate: a, b", "206 A\r\nContent-Range: a", "200 OK\r\nTrailer: X", "200 OK\r\nX-A: b\r\nx-a: c\r\nX-A: b", "500 A\r\nRetry-After: a", "418 I'm a teapot",
	} {
		for _, rest := range []string{
			"\r\nContent-Length: 5\r\n\r\nhello", "\r\ncontent-LENGTH:05\r\n\r\nhello", "\r\nTransfer-Encoding: chunked\r\n\r\n05;a=\"b\"\r\nhello\r\n0\r\nX_A: \xff\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n",
		} {
			all = append(all, "HTTP/1.1 "+head+rest)
		}
	}
	for _, c := range bytesThat(isText) {
		all = append(all, "HTTP/1.1 200 a"+c+"b\r\nX-A: b"+c+"c\r\nContent-Length: 1\r\n\r\n"+c)
	}
	for _, c := range bytesThat(isToken) {
		all = append(all, "HTTP/1.1 200 A\r\nX"+c+"Y: b\r\nTransfer-Encoding: chunked\r\n\r\n1;a"+c+"b\r\na\r\n0\r\nX"+c+": b\r\n\r\n")
	}
	return append(all, "HTTP/1.1 100 Continue\r\nX-A: b\r\n\r\nHTTP/1.1 103 \r\nLink:a\r\n\r\nHTTP/1.1 204 A\r\nX-A: b\r\n\r\n", "HTTP/1.1 304 A\r\nContent-Length: 100\r\nETag: a\r\n\r\n", "HTTP/1.1 204 A\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 205 A\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 102 A\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 199 A\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
}

// giveUp is when a test no longer waits for bytes that should be there at once.
const giveUp = 20 * time.Second

// TestOddRequestsTravelAsTheyAre wants each of them at the endpoint byte for byte.
func TestOddRequestsTravelAsTheyAre(t *testing.T) {
	t.Parallel()
	requests := oddRequests()
	if len(requests) < 100 {
		t.Errorf("there are %d odd requests", len(requests))
	}
	var current atomic.Pointer[string]
	came := make(chan string, 1)
	at := endpoint(t, func(c *net.TCPConn) {
		var all []byte
		buf := make([]byte, 64<<10)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			all = append(all, buf[:n]...)
			if want := *current.Load(); len(all) >= len(want) || !strings.HasPrefix(want, string(all)) {
				came <- string(all)
				all = nil
				send(t, c, "HTTP/1.1 204 No Content\r\n\r\n")
			}
		}
	})
	r := httpRig(t, at)
	for _, request := range requests {
		current.Store(&request)
		client := r.dial(virtual)
		if err := client.SetDeadline(time.Now().Add(giveUp)); err != nil {
			t.Fatal(err)
		}
		send(t, client, request)
		answer, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil || answer.StatusCode != 204 {
			t.Errorf("%.300q is answered %v, %v", request, answer, err)
			select {
			case <-came:
			default:
			}
		} else if got := <-came; got != request {
			t.Errorf("%.300q arrives as %.300q", request, got)
		}
		client.Close()
		r.logged("connection closed")
	}
}

// TestOddAnswersTravelAsTheyAre wants each of them at the client byte for byte.
func TestOddAnswersTravelAsTheyAre(t *testing.T) {
	t.Parallel()
	answers := oddAnswers()
	if len(answers) < 100 {
		t.Errorf("there are %d odd answers", len(answers))
	}
	var next atomic.Int64
	at := endpoint(t, func(c *net.TCPConn) {
		in := bufio.NewReader(c)
		for {
			if _, err := http.ReadRequest(in); err != nil {
				return
			}
			send(t, c, answers[next.Load()])
		}
	})
	r := httpRig(t, at)
	client := r.dial(virtual)
	for i, answer := range answers {
		next.Store(int64(i))
		if err := client.SetDeadline(time.Now().Add(giveUp)); err != nil {
			t.Fatal(err)
		}
		send(t, client, plain)
		got := make([]byte, len(answer))
		if n, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, []byte(answer)) {
			t.Fatalf("%.300q arrives as %.300q, %v", answer, got[:n], err)
		}
	}
	if n := r.heads(); n != len(answers) {
		t.Errorf("%d answers came to %d requests", len(answers), n)
	}
}
