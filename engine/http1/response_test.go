package http1

import (
	"strings"
	"testing"
)

func TestResponse(t *testing.T) {
	tests := []struct {
		raw  string // without the empty line
		to   Method
		want string
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 5", MethodGet, "200 1.1 length=5 keep"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", MethodGet, "200 1.1 chunked keep"},
		{"HTTP/1.1 200 OK", MethodGet, "200 1.1 close"},
		{"HTTP/1.1 200 OK\r\nConnection: keep-alive", MethodGet, "200 1.1 close"},
		{"HTTP/1.0 200 OK", MethodGet, "200 1.0 close"},
		{"HTTP/1.0 200 OK\r\nContent-Length: 5", MethodGet, "200 1.0 length=5"},
		{"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive", MethodGet, "200 1.0 length=5 keep"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close", MethodGet, "200 1.1 length=5"},
		{"HTTP/1.1 200 \r\nContent-Length: 0", MethodGet, "200 1.1 length=0 keep"},
		{"HTTP/1.1 200\r\nContent-Length: 0", MethodGet, "200 1.1 length=0 keep"},
		{"HTTP/1.1 200 \xc3\xa9 \t!\r\nContent-Length: 0", MethodGet, "200 1.1 length=0 keep"},
		{"HTTP/1.1 299 Odd\r\nContent-Length: 0", MethodGet, "299 1.1 length=0 keep"},
		{"HTTP/1.1 999 Denied\r\nContent-Length: 0", MethodGet, "999 1.1 length=0 keep"},
		{"HTTP/1.1 404 Not Found\r\nHost: a b\r\nHost: c\r\nContent-Length: 0", MethodGet, "404 1.1 length=0 keep"},

		{"HTTP/1.1 200 OK\r\nContent-Length: 5", MethodHead, "200 1.1 none keep"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", MethodHead, "200 1.1 none keep"},
		{"HTTP/1.1 200 OK", MethodHead, "200 1.1 none keep"},
		{"HTTP/1.1 304 Not Modified\r\nContent-Length: 5", MethodGet, "304 1.1 none keep"},
		{"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked", MethodGet, "304 1.1 none keep"},
		{"HTTP/1.1 204 No Content", MethodGet, "204 1.1 none keep"},
		{"HTTP/1.1 204 No Content\r\nContent-Length: 0", MethodGet, "204 1.1 none keep"},
		{"HTTP/1.1 204 No Content\r\nContent-Length: 5", MethodGet, "204 1.1 none"},
		{"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked", MethodGet, "204 1.1 none"},
		{"HTTP/1.1 100 Continue", MethodPost, "100 1.1 none keep"},
		{"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload", MethodGet, "103 1.1 none keep"},
		{"HTTP/1.1 100 Continue\r\nContent-Length: 5", MethodPost, "100 1.1 none"},
		{"HTTP/1.1 205 Reset Content\r\nContent-Length: 0", MethodPost, "205 1.1 length=0 keep"},
		{"HTTP/1.1 200 OK", MethodConnect, "200 1.1 none keep"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", MethodConnect, "200 1.1 none"},
		{"HTTP/1.1 403 Forbidden\r\nContent-Length: 5", MethodConnect, "403 1.1 length=5 keep"},
		{"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket", MethodGet, "101 1.1 none keep upgrade"},
		{"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade", MethodGet, "101 1.1 none keep"},
		{"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c", MethodGet, "101 1.1 none keep"},
		{"HTTP/1.0 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket", MethodGet, "101 1.0 none"},
		{"HTTP/1.1 200 OK\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0", MethodGet, "200 1.1 length=0 keep"},
		{"HTTP/1.1 426 Upgrade Required\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0", MethodGet, "426 1.1 length=0 keep"},

		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", MethodGet, "conflicting-framing"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", MethodHead, "conflicting-framing"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5", MethodGet, "bad-content-length"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5, 5", MethodGet, "bad-content-length"},
		{"HTTP/1.1 200 OK\r\nContent-Length: -1", MethodHead, "bad-content-length"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked", MethodGet, "bad-transfer-encoding"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity", MethodGet, "bad-transfer-encoding"},
		{"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked", MethodGet, "bad-transfer-encoding"},
		{"HTTP/1.1 200 OK\r\nA: b\r\n c", MethodGet, "bad-field"},
		{"HTTP/1.1 200 OK\r\nA : b", MethodGet, "bad-field"},
		{"HTTP/1.1 200 OK\r\nA: b\nSet-Cookie: c", MethodGet, "bad-field"},
		{"HTTP/1.1 200 OK\r\nA: b\rSet-Cookie: c", MethodGet, "bad-field"},
		{"HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", MaxFields) + "A: b", MethodGet, "too-many-fields"},
		{"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("b", MaxHead), MethodGet, "head-too-large"},
		{"HTTP/1.1 200 " + strings.Repeat("b", MaxHead), MethodGet, "head-too-large"},
		{"HTTP/1.1 20 OK", MethodGet, "bad-status-line"},
		{"HTTP/1.1 2000 OK", MethodGet, "bad-status-line"},
		{"HTTP/1.1 099 OK", MethodGet, "bad-status-line"},
		{"HTTP/1.1 2x0 OK", MethodGet, "bad-status-line"},
		{"HTTP/1.1 +20 OK", MethodGet, "bad-status-line"},
		{"HTTP/1.1 -20 OK", MethodGet, "bad-status-line"},
		{"HTTP/1.1  200 OK", MethodGet, "bad-status-line"},
		{"HTTP/1.1\t200 OK", MethodGet, "unsupported-version"},
		{"HTTP/1.1 200\tOK", MethodGet, "bad-status-line"},
		{"HTTP/1.1 200 O\nK", MethodGet, "bad-status-line"},
		{"HTTP/1.1 200 O\x00K", MethodGet, "bad-status-line"},
		{"HTTP/1.1", MethodGet, "bad-status-line"},
		{" HTTP/1.1 200 OK", MethodGet, "bad-status-line"},
		{"\r\nHTTP/1.1 200 OK", MethodGet, "bad-status-line"},
		{"HTTP/1.10 200 OK", MethodGet, "unsupported-version"},
		{"HTTP/2.0 200 OK", MethodGet, "unsupported-version"},
		{"http/1.1 200 OK", MethodGet, "bad-status-line"},
		{"ICY 200 OK", MethodGet, "bad-status-line"},
		{"GET / HTTP/1.1", MethodGet, "bad-status-line"},
		{"hello", MethodGet, "bad-status-line"},
	}
	for _, test := range tests {
		m := message{raw: []byte(test.raw + "\r\n\r\n"), response: true, to: test.to}
		if got := m.check(t); got != test.want {
			t.Errorf("%.100q is %s, want %s", test.raw, got, test.want)
		}
	}
}
