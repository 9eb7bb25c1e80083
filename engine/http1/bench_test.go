package http1

import (
	"bytes"
	"testing"
)

var (
	benchRequest = crlf("GET /v2/orders/17?full=1 HTTP/1.1\nHost: billing.mesh\nUser-Agent: curl/7.88.1\nAccept: */*\n" +
		"Accept-Encoding: gzip, deflate, br\nCookie: session=0123456789abcdef0123456789abcdef\n" +
		"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\nX-Request-Id: 6f1c2b1e-6a0f-4a39-8f62-5d9b1c1f0c11\n\n")
	benchHops = crlf("GET / HTTP/1.1\nHost: billing.mesh\nConnection: keep-alive, X-Hop\nX-Hop: 1\nKeep-Alive: 5\nTE: trailers\n" +
		"X-A-Name-That-Is-Longer-Than-A-Small-Buffer-On-The-Stack: 1\nUpgrade: h2c\n\n")
	benchResponse = crlf("HTTP/1.1 200 OK\nServer: nginx/1.22.1\nDate: Wed, 25 Nov 2026 03:00:00 GMT\nContent-Type: text/html\n" +
		"Content-Length: 70\nLast-Modified: Wed, 25 Nov 2026 02:00:00 GMT\nETag: \"65616f2c-46\"\nAccept-Ranges: bytes\n\n")
	benchChunks = append(append([]byte("10000\r\n"), bytes.Repeat([]byte("x"), 1<<16)...), "\r\n0\r\n\r\n"...)
)

// works returns what the data path does for each message, by name.
func works(t testing.TB) map[string]func() {
	var h, hops, response Head
	var body Body
	var dst []byte
	edits := Edits{Remove: []string{"server"}, Set: []Field{{"x-request-id", []byte("1")}}, Add: []Field{{"Via", []byte("a")}}, Close: true, Upgrade: true}
	parse := func(h *Head, raw []byte, response bool) {
		var n int
		var err error
		if response {
			n, err = ParseResponse(raw, h, MethodGet)
		} else {
			n, err = ParseRequest(raw, h)
		}
		if n != len(raw) || err != nil {
			t.Fatalf("%q: parsed %d bytes, error %v", raw, n, err)
		}
	}
	parse(&h, benchRequest, false)
	parse(&hops, benchHops, false)
	parse(&response, benchResponse, true)
	refused := []byte("GET / HTTP/3.0\r\n\r\n")
	var bad Head
	return map[string]func(){
		"ParseRequest":        func() { parse(&h, benchRequest, false) },
		"ParseRequestHops":    func() { parse(&hops, benchHops, false) },
		"ParseResponse":       func() { parse(&response, benchResponse, true) },
		"Refuse":              func() { _, _ = ParseRequest(refused, &bad) },
		"AppendRequest":       func() { dst = AppendRequest(dst[:0], benchRequest, &h, &Edits{}) },
		"AppendRequestHops":   func() { dst = AppendRequest(dst[:0], benchHops, &hops, &Edits{KeepAlive: true}) },
		"AppendRequestEdits":  func() { dst = AppendRequest(dst[:0], benchRequest, &h, &edits) },
		"AppendResponse":      func() { dst = AppendResponse(dst[:0], benchResponse, &response, &Edits{}) },
		"AppendResponseEdits": func() { dst = AppendResponse(dst[:0], benchResponse, &response, &edits) },
		"AppendAnswer":        func() { dst = AppendAnswer(dst[:0], Answer{Status: 503, Body: "no endpoint\n", Fields: edits.Add}) },
		"Find":                func() { h.Find(benchRequest, "x-missing", 0) },
		"Chunks64K": func() {
			body.Begin(Framing{Kind: ChunkedBody})
			if n, done, err := body.Feed(benchChunks); n != len(benchChunks) || !done || err != nil {
				t.Fatal(n, done, err)
			}
		},
		"CanonicalPath": func() { dst, _ = CanonicalPath(dst[:0], []byte("/v2//orders/%2e/17/../18%c3%a9")) },
	}
}

func BenchmarkWorks(b *testing.B) {
	for name, work := range works(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				work()
			}
		})
	}
}
