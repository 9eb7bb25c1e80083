package http1

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
)

// lf writes CR and LF as LF, for messages that are read by people.
func lf(text []byte) string { return strings.ReplaceAll(string(text), "\r\n", "\n") }

func crlf(text string) []byte { return []byte(strings.ReplaceAll(text, "\n", "\r\n")) }

func TestAppendRequest(t *testing.T) {
	const odd = "pOsT /a//b?c HTTP/1.1\nhOST: a\nX-Odd:\t odd \t\nEmpty:\nX-Odd: 2\ncontent-length:  005\n\n"
	tests := map[string]struct {
		in    string
		edits Edits
		want  string
	}{
		"as it came":         {odd, Edits{}, odd},
		"empty lines before": {"\n\n" + odd, Edits{}, odd},
		"of the connection": {
			"GET / HTTP/1.1\nHost: a\nConnection: keep-alive, X-Hop ,te\nKeep-Alive: 5\nx-hop: 1\nProxy-Connection: a\nA: b\nTE: gzip\nUpgrade: websocket\nX-Hop: 2\n\n",
			Edits{}, "GET / HTTP/1.1\nHost: a\nA: b\n\n",
		},
		"named but kept": {
			"POST / HTTP/1.1\nConnection: Host, Content-Length, Authorization, X-Forwarded-For, Traceparent, X-Hop\nX-Hop: b\nHost: a\nContent-Length: 5\nAuthorization: b\nX-Forwarded-For: c\nTraceparent: d\n\n",
			Edits{}, "POST / HTTP/1.1\nHost: a\nContent-Length: 5\nAuthorization: b\nX-Forwarded-For: c\nTraceparent: d\n\n",
		},
		"framing that is named": {
			"POST / HTTP/1.1\nConnection: Transfer-Encoding, Trailer\nHost: a\nTransfer-Encoding: Chunked\nTrailer: b\n\n",
			Edits{}, "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: Chunked\nTrailer: b\n\n",
		},
		"names in two fields": {
			"GET / HTTP/1.1\nHost: a\nConnection: B\nB: 1\nC: 2\nCC: 3\nConnection: C\n\n",
			Edits{}, "GET / HTTP/1.1\nHost: a\nCC: 3\n\n",
		},
		"trailers accepted": {
			"GET / HTTP/1.1\nHost: a\nTE: trailers\nA: b\n\n",
			Edits{}, "GET / HTTP/1.1\nHost: a\nTE: trailers\nA: b\nConnection: TE\n\n",
		},
		"trailers among codings": {
			"GET / HTTP/1.1\nConnection: TE, close\nHost: a\nte: deflate;q=0.5,Trailers\n\n",
			Edits{}, "GET / HTTP/1.1\nConnection: TE\nHost: a\nTE: trailers\n\n",
		},
		"upgrade": {
			"GET / HTTP/1.1\nConnection: keep-alive, Upgrade\nHost: a\nUpgrade: websocket\nSec-WebSocket-Key: b\n\n",
			Edits{Upgrade: true}, "GET / HTTP/1.1\nConnection: Upgrade\nHost: a\nUpgrade: websocket\nSec-WebSocket-Key: b\n\n",
		},
		"upgrade that there is not": {"GET / HTTP/1.1\nHost: a\n\n", Edits{Upgrade: true}, "GET / HTTP/1.1\nHost: a\n\n"},
		"upgrade to h2c": {
			"GET / HTTP/1.1\nHost: a\nConnection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: b\n\n",
			Edits{}, "GET / HTTP/1.1\nHost: a\n\n",
		},
		"close":            {odd, Edits{Close: true}, strings.TrimSuffix(odd, "\n") + "Connection: close\n\n"},
		"close where kept": {"GET / HTTP/1.1\nConnection: keep-alive\nHost: a\nConnection: b\n\n", Edits{Close: true}, "GET / HTTP/1.1\nConnection: close\nHost: a\n\n"},
		"keep":             {"GET / HTTP/1.0\n\n", Edits{KeepAlive: true}, "GET / HTTP/1.0\nConnection: keep-alive\n\n"},
		"target":           {odd, Edits{Target: []byte("/new?x")}, strings.Replace(odd, "/a//b?c", "/new?x", 1)},
		"target of empty lines and hops": {
			"\nGET http://a/b HTTP/1.1\nHost: a\nConnection: close\nA: b\n\n",
			Edits{Target: []byte("/")}, "GET / HTTP/1.1\nHost: a\nA: b\n\n",
		},
		"edits": {
			"GET / HTTP/1.1\nHost: a\nA: 1\nB: 2\na: 3\nC: 4\nD: 5\n\n",
			Edits{
				Remove: []string{"b", "missing"},
				Set:    []Field{{"a", []byte("set")}, {"host", []byte("new")}, {"E", []byte("6")}},
				Add:    []Field{{"C", []byte("added")}, {"B", []byte("back")}},
			},
			"GET / HTTP/1.1\nC: 4\nD: 5\na: set\nhost: new\nE: 6\nC: added\nB: back\n\n",
		},
		"edits of framing": {
			"POST / HTTP/1.1\nHost: a\nContent-Length: 5\n\n",
			Edits{Remove: []string{"content-length"}}, "POST / HTTP/1.1\nHost: a\nContent-Length: 5\n\n",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var h Head
			raw := crlf(test.in)
			if n, err := ParseRequest(raw, &h); n != len(raw) {
				t.Fatalf("parsed %d bytes, error %v", n, err)
			}
			if got := lf(AppendRequest([]byte("before "), raw, &h, &test.edits)); got != "before "+test.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, test.want)
			}
		})
	}
}

func TestAppendResponse(t *testing.T) {
	tests := map[string]struct {
		in    string
		edits Edits
		want  string
	}{
		"as it came":           {"HTTP/1.1 200\nA:b\nSet-Cookie: c\nset-cookie: d\n\n", Edits{}, "HTTP/1.1 200\nA:b\nSet-Cookie: c\nset-cookie: d\n\n"},
		"of the connection":    {"HTTP/1.1 200 OK\nConnection: close, Upgrade\nUpgrade: h2,h2c\nContent-Length: 5\n\n", Edits{}, "HTTP/1.1 200 OK\nContent-Length: 5\n\n"},
		"upgrade granted":      {"HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\n\n", Edits{Upgrade: true}, "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\n\n"},
		"body that cannot be":  {"HTTP/1.1 204 No Content\nContent-Length: 5\nA: b\n\n", Edits{}, "HTTP/1.1 204 No Content\nA: b\n\n"},
		"chunks that cannot":   {"HTTP/1.1 204 No Content\nA: b\nTransfer-Encoding: chunked\n\n", Edits{}, "HTTP/1.1 204 No Content\nA: b\n\n"},
		"no body":              {"HTTP/1.1 204 No Content\nContent-Length: 0\n\n", Edits{}, "HTTP/1.1 204 No Content\nContent-Length: 0\n\n"},
		"body that would be":   {"HTTP/1.1 304 Not Modified\nContent-Length: 5\n\n", Edits{}, "HTTP/1.1 304 Not Modified\nContent-Length: 5\n\n"},
		"edits and connection": {"HTTP/1.1 200 OK\nServer: a\n\n", Edits{Remove: []string{"server"}, Add: []Field{{"B", []byte("c")}}, Close: true}, "HTTP/1.1 200 OK\nConnection: close\nB: c\n\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var h Head
			raw := crlf(test.in)
			if n, err := ParseResponse(raw, &h, MethodGet); n != len(raw) {
				t.Fatalf("parsed %d bytes, error %v", n, err)
			}
			if got := lf(AppendResponse(nil, raw, &h, &test.edits)); got != test.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, test.want)
			}
		})
	}
}

func TestAppendAnswer(t *testing.T) {
	tests := map[string]struct {
		answer Answer
		want   string
	}{
		"body":     {Answer{Status: 503, Body: "no endpoint\n"}, "HTTP/1.1 503 Service Unavailable\nContent-Type: text/plain; charset=utf-8\nContent-Length: 12\n\nno endpoint\n"},
		"to HEAD":  {Answer{Status: 400, Body: "bad\n", Close: true, Bodiless: true}, "HTTP/1.1 400 Bad Request\nConnection: close\nContent-Type: text/plain; charset=utf-8\nContent-Length: 4\n\n"},
		"redirect": {Answer{Status: 301, Fields: []Field{{"Location", []byte("/x")}}}, "HTTP/1.1 301 Moved Permanently\nLocation: /x\nContent-Length: 0\n\n"},
		"none":     {Answer{Status: 204, Body: "not sent"}, "HTTP/1.1 204 No Content\n\n"},
		"unknown":  {Answer{Status: 299}, "HTTP/1.1 299 \nContent-Length: 0\n\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := AppendAnswer(nil, test.answer)
			if lf(got) != test.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, test.want)
			}
			to := MethodGet
			if test.answer.Bodiless {
				to = MethodHead
			}
			var h Head
			n, err := ParseResponse(got, &h, to)
			if err != nil || h.Status() != test.answer.Status || h.KeepAlive() == test.answer.Close {
				t.Fatalf("it is read as status %d, error %v", h.Status(), err)
			}
			if f := h.Framing(); int(f.Length) != len(got)-n {
				t.Errorf("it announces %d bytes and has %d", f.Length, len(got)-n)
			}
		})
	}
}

// TestPhrases: what people read is what they know.
func TestPhrases(t *testing.T) {
	renamed := map[int]string{413: "Content Too Large"} // by RFC 9110
	for status, phrase := range phrases {
		want := http.StatusText(status)
		if renamed[status] != "" {
			want = renamed[status]
		}
		if phrase != want {
			t.Errorf("status %d is %q, want %q", status, phrase, want)
		}
	}
}

func TestEditable(t *testing.T) {
	tests := map[string]bool{
		"x-anything": true, "Host": false, "authorization": true, "X-Forwarded-For": true, "a_b": true,
		"connection": false, "Keep-Alive": false, "upgrade": false, "TE": false, "Content-Length": false,
		"transfer-encoding": false, "Trailer": false, "proxy-connection": false, "": false, "a b": false, "a:": false, "é": false,
	}
	for name, want := range tests {
		if got := Editable(name); got != want {
			t.Errorf("Editable(%q) = %v, want %v", name, got, want)
		}
	}
	values := map[string]bool{"": true, "a b\tc": true, "é": true, " a": false, "a\t": false, "a\r\nb": false, "a\x00": false}
	for value, want := range values {
		if got := ValidValue(value); got != want {
			t.Errorf("ValidValue(%q) = %v, want %v", value, got, want)
		}
	}
}

func TestAccess(t *testing.T) {
	raw := crlf("PUT http://A.example:80/p/q?r=/s HTTP/1.1\nHost: a.EXAMPLE:80\nX-A: 1\nx-a:  2 \nAuthorization: b\n\n")
	var h Head
	if _, err := ParseRequest(raw, &h); err != nil {
		t.Fatal(err)
	}
	first := h.Find(raw, "X-a", 0)
	second := h.Find(raw, "X-a", first+1)
	name, value := h.Field(raw, second)
	authorization, ok := h.Value(raw, Authorization)
	_, expects := h.Value(raw, Expect)
	switch {
	case string(h.Method(raw)) != "PUT" || h.MethodID() != MethodPut || !h.MethodID().Idempotent():
		t.Error("method")
	case h.Form() != FormAbsolute || string(h.Authority(raw)) != "A.example:80":
		t.Errorf("authority %q", h.Authority(raw))
	case string(h.Path(raw)) != "/p/q" || string(h.Query(raw)) != "r=/s":
		t.Errorf("path %q, query %q", h.Path(raw), h.Query(raw))
	case h.Len() != 4 || first != 1 || second != 2 || h.Find(raw, "X-a", 3) != -1:
		t.Errorf("fields %d, x-a is %d and %d", h.Len(), first, second)
	case string(name) != "x-a" || string(value) != "2" || string(authorization) != "b" || !ok || expects:
		t.Errorf("field %q: %q, authorization %q %v, expect %v", name, value, authorization, ok, expects)
	}
	request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil || request.URL.Path != string(h.Path(raw)) || request.URL.RawQuery != string(h.Query(raw)) {
		t.Errorf("net/http reads URL %v, error %v", request.URL, err)
	}
}
