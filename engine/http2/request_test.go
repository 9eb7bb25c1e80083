package http2

import (
	"errors"
	"testing"

	"github.com/meshd/meshd/engine/http1"
)

var get = []string{":method: GET", ":scheme: http", ":path: /", ":authority: web"}

func with(fields []string, more ...string) []string {
	return append(fields[:len(fields):len(fields)], more...)
}

// TestRequests: what requests of HTTP/2 are in HTTP/1.1, and which are none.
func TestRequests(t *testing.T) {
	post := []string{":method: POST", ":scheme: http", ":path: /", ":authority: web"}
	const malformed = ""
	for name, test := range map[string]struct {
		fields []string
		open   bool // a body follows
		want   string
	}{
		"plain":                   {get, false, "GET / HTTP/1.1\r\nHost: web\r\n\r\n"},
		"order":                   {with(get, "b: 1", "a: 2", "b: 1"), false, "GET / HTTP/1.1\r\nHost: web\r\nb: 1\r\na: 2\r\nb: 1\r\n\r\n"},
		"empty value":             {with(get, "a: "), false, "GET / HTTP/1.1\r\nHost: web\r\na: \r\n\r\n"},
		"bytes":                   {with(get, "a: \xff\x80\tb"), false, "GET / HTTP/1.1\r\nHost: web\r\na: \xff\x80\tb\r\n\r\n"},
		"crumbs":                  {with(get, "cookie: a=1", "x: y", "cookie: b=2"), false, "GET / HTTP/1.1\r\nHost: web\r\ncookie: a=1; b=2\r\nx: y\r\n\r\n"},
		"host only":               {with(get[:3], "host: other"), false, "GET / HTTP/1.1\r\nHost: other\r\n\r\n"},
		"no authority":            {get[:3], false, "GET / HTTP/1.1\r\nHost: \r\n\r\n"},
		"empty host":              {with(get[:3], "host: "), false, malformed},
		"connect to nobody":       {[]string{":method: CONNECT"}, false, malformed},
		"host too":                {with(get, "host: WEB"), false, "GET / HTTP/1.1\r\nHost: web\r\n\r\n"},
		"trailers wanted":         {with(get, "te: trailers"), false, "GET / HTTP/1.1\r\nHost: web\r\nte: trailers\r\n\r\n"},
		"options":                 {[]string{":method: OPTIONS", ":scheme: https", ":path: *", ":authority: web"}, false, "OPTIONS * HTTP/1.1\r\nHost: web\r\n\r\n"},
		"connect":                 {[]string{":method: CONNECT", ":authority: web:80"}, true, "CONNECT web:80 HTTP/1.1\r\nHost: web:80\r\n\r\n"},
		"length, no body":         {with(post, "content-length: 0"), false, "POST / HTTP/1.1\r\nHost: web\r\ncontent-length: 0\r\n\r\n"},
		"chunks":                  {post, true, "POST / HTTP/1.1\r\nHost: web\r\ntransfer-encoding: chunked\r\n\r\n"},
		"length":                  {with(post, "content-length: 7"), true, "POST / HTTP/1.1\r\nHost: web\r\ncontent-length: 7\r\n\r\n"},
		"length before trailers":  {with(post, "content-length: 7", "trailer: x"), true, "POST / HTTP/1.1\r\nHost: web\r\ntransfer-encoding: chunked\r\ntrailer: x\r\n\r\n"},
		"length in gRPC":          {with(post, "content-length: 7", "content-type: application/grpc+x"), true, "POST / HTTP/1.1\r\nHost: web\r\ntransfer-encoding: chunked\r\ncontent-type: application/grpc+x\r\n\r\n"},
		"upper case":              {with(get, "A: 1"), false, malformed},
		"no name":                 {with(get, " : 1"), false, malformed},
		"colon in a name":         {with(get, "a:b: 1"), false, malformed},
		"bytes in a name":         {with(get, "a\xff: 1"), false, malformed},
		"line in a name":          {with(get, "a\r\nb: 1"), false, malformed},
		"line in a value":         {with(get, "a: b\r\nhost: c"), false, malformed},
		"line feed in a value":    {with(get, "a: b\nc: d"), false, malformed},
		"zero in a value":         {with(get, "a: \x00"), false, malformed},
		"control in a value":      {with(get, "a: \x01"), false, malformed},
		"space before a value":    {with(get, "a:  b"), false, malformed},
		"tab behind a value":      {with(get, "a: b\t"), false, malformed},
		"connection":              {with(get, "connection: close"), false, malformed},
		"keep-alive":              {with(get, "keep-alive: 1"), false, malformed},
		"proxy-connection":        {with(get, "proxy-connection: close"), false, malformed},
		"upgrade":                 {with(get, "upgrade: h2c"), false, malformed},
		"transfer-encoding":       {with(post, "transfer-encoding: chunked"), true, malformed},
		"te":                      {with(get, "te: gzip"), false, malformed},
		"te and more":             {with(get, "te: trailers, gzip"), false, malformed},
		"unknown pseudo-field":    {with(get, ":protocol: websocket"), false, malformed},
		"of an answer":            {with(get, ":status: 200"), false, malformed},
		"late pseudo-field":       {[]string{":method: GET", ":scheme: http", "a: b", ":path: /", ":authority: web"}, false, malformed},
		"method twice":            {with(get, ":method: GET"), false, malformed},
		"path twice":              {with(get, ":path: /"), false, malformed},
		"authority twice":         {with(get, ":authority: web"), false, malformed},
		"no method":               {get[1:], false, malformed},
		"no scheme":               {[]string{":method: GET", ":path: /", ":authority: web"}, false, malformed},
		"no path":                 {[]string{":method: GET", ":scheme: http", ":authority: web"}, false, malformed},
		"bad method":              {[]string{":method: G T", ":scheme: http", ":path: /", ":authority: web"}, false, malformed},
		"smuggling method":        {[]string{":method: GET / HTTP/1.1\r\nx: y\r\n\r\nGET", ":scheme: http", ":path: /", ":authority: web"}, false, malformed},
		"other scheme":            {[]string{":method: GET", ":scheme: ftp", ":path: /", ":authority: web"}, false, malformed},
		"smuggling scheme":        {[]string{":method: GET", ":scheme: http://x/?", ":path: /", ":authority: web"}, false, malformed},
		"empty path":              {[]string{":method: GET", ":scheme: http", ":path: ", ":authority: web"}, false, malformed},
		"path without slash":      {[]string{":method: GET", ":scheme: http", ":path: x", ":authority: web"}, false, malformed},
		"star":                    {[]string{":method: GET", ":scheme: http", ":path: *", ":authority: web"}, false, malformed},
		"space in a path":         {[]string{":method: GET", ":scheme: http", ":path: / HTTP/1.1", ":authority: web"}, false, malformed},
		"fragment":                {[]string{":method: GET", ":scheme: http", ":path: /#a", ":authority: web"}, false, malformed},
		"bad authority":           {[]string{":method: GET", ":scheme: http", ":path: /", ":authority: a b"}, false, malformed},
		"user in authority":       {[]string{":method: GET", ":scheme: http", ":path: /", ":authority: u@web"}, false, malformed},
		"path in authority":       {[]string{":method: GET", ":scheme: http", ":path: /", ":authority: web/x"}, false, malformed},
		"empty authority":         {[]string{":method: GET", ":scheme: http", ":path: /", ":authority: "}, false, malformed},
		"other host":              {with(get, "host: other"), false, malformed},
		"host twice":              {with(get, "host: web", "host: web"), false, malformed},
		"connect with a path":     {[]string{":method: CONNECT", ":path: /", ":authority: web:80"}, true, malformed},
		"connect without a port":  {[]string{":method: CONNECT", ":authority: web"}, true, malformed},
		"length twice":            {with(post, "content-length: 7", "content-length: 7"), true, malformed},
		"length of no digits":     {with(post, "content-length: +7"), true, malformed},
		"length and list":         {with(post, "content-length: 7, 7"), true, malformed},
		"empty length":            {with(post, "content-length: "), true, malformed},
		"length too large":        {with(post, "content-length: 9223372036854775808"), true, malformed},
		"length without the body": {with(post, "content-length: 7"), false, malformed},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, NewServer(new(Pool)))
			flags := uint8(flagEndStream)
			if test.open {
				flags = 0
			}
			p.headers(1, flags, test.fields...)
			p.headers(3, flagEndStream, get...) // the connection goes on in any case
			if err := p.feed(); err != nil {
				t.Fatal(err)
			}
			s := p.session.Next()
			if test.want == malformed {
				if got := p.texts(); len(got) != 1 || got[0] != "reset 1 PROTOCOL_ERROR" {
					t.Errorf("answered with %q", got)
				}
				if s == nil || s.ID() != 3 {
					t.Error("the next request has not come")
				}
				return
			}
			buf := make([]byte, 1000)
			n, err := s.Read(buf)
			if string(buf[:n]) != test.want || err != nil {
				t.Errorf("read %q, %v", buf[:n], err)
			}
			if n, err := s.Read(buf); n != 0 || !errors.Is(err, ErrNothing) {
				t.Errorf("read %d bytes more, %v", n, err)
			}
			var h http1.Head
			if _, err := http1.ParseRequest([]byte(test.want), &h); err != nil {
				t.Errorf("nobody can read that: %v", err)
			}
		})
	}
}
