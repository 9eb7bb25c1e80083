package http2

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/meshd/meshd/engine/http1"
)

// ask begins a request at a session in the role of a client.
func ask(t *testing.T, s *Session, request string) *Stream {
	t.Helper()
	stream := s.Open()
	if n, err := stream.Write([]byte(request)); n != len(request) || err != nil {
		t.Fatalf("%d bytes of a request of %d were taken: %v", n, len(request), err)
	}
	return stream
}

// readAll reads what there is now.
func readAll(s *Stream) (string, error) {
	var text []byte
	for buf := make([]byte, 500); ; {
		n, err := s.Read(buf)
		text = append(text, buf[:n]...)
		if err != nil {
			return string(text), err
		}
	}
}

// TestAnswers: what answers of HTTP/2 are in HTTP/1.1, and which are none.
func TestAnswers(t *testing.T) {
	const (
		getRequest  = "GET / HTTP/1.1\r\nHost: web\r\n\r\n"
		headRequest = "HEAD / HTTP/1.1\r\nHost: web\r\n\r\n"
		oldRequest  = "GET / HTTP/1.0\r\nHost: web\r\n\r\n"
		malformed   = ""
	)
	fields := func(flags uint8, fields ...string) func(*peer) {
		return func(p *peer) { p.headers(1, flags, fields...) }
	}
	data := func(flags uint8, text string) func(*peer) {
		return func(p *peer) { p.frame(kindData, flags, 1, []byte(text)) }
	}
	for name, test := range map[string]struct {
		request string
		frames  []func(*peer)
		want    string
		err     error
	}{
		"no body":               {getRequest, []func(*peer){fields(flagEndStream, ":status: 200", "a: b")}, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\na: b\r\n\r\n", ErrNothing},
		"no body may be":        {getRequest, []func(*peer){fields(flagEndStream, ":status: 204")}, "HTTP/1.1 204 No Content\r\n\r\n", ErrNothing},
		"not modified":          {getRequest, []func(*peer){fields(flagEndStream, ":status: 304", "content-length: 5")}, "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", ErrNothing},
		"head":                  {headRequest, []func(*peer){fields(flagEndStream, ":status: 200", "content-length: 5")}, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", ErrNothing},
		"head that ends late":   {headRequest, []func(*peer){fields(0, ":status: 200"), data(flagEndStream, "")}, "HTTP/1.1 200 OK\r\n\r\n", ErrNothing},
		"unknown status":        {getRequest, []func(*peer){fields(flagEndStream, ":status: 299", "content-length: 0")}, "HTTP/1.1 299 \r\ncontent-length: 0\r\n\r\n", ErrNothing},
		"length":                {getRequest, []func(*peer){fields(0, ":status: 200", "content-length: 3"), data(0, "ab"), data(flagEndStream, "c")}, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", ErrNothing},
		"chunks":                {getRequest, []func(*peer){fields(0, ":status: 200"), data(0, "ab"), data(flagEndStream, "c")}, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", ErrNothing},
		"trailers":              {getRequest, []func(*peer){fields(0, ":status: 200"), data(0, "ab"), fields(flagEndStream, "grpc-status: 0", "x: ")}, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\ngrpc-status: 0\r\nx: \r\n\r\n", ErrNothing},
		"trailers and length":   {getRequest, []func(*peer){fields(0, ":status: 200", "content-length: 2"), data(0, "ab"), fields(flagEndStream, "x: y")}, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab", ErrNothing},
		"early":                 {getRequest, []func(*peer){fields(0, ":status: 103", "link: x"), fields(flagEndStream, ":status: 204")}, "HTTP/1.1 103 \r\nlink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", ErrNothing},
		"old":                   {oldRequest, []func(*peer){fields(0, ":status: 200"), data(flagEndStream, "ab")}, "HTTP/1.1 200 OK\r\n\r\nab", io.EOF},
		"old, with length":      {oldRequest, []func(*peer){fields(0, ":status: 200", "content-length: 2", "trailer: x"), data(flagEndStream, "ab")}, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntrailer: x\r\n\r\nab", ErrNothing},
		"no status":             {getRequest, []func(*peer){fields(flagEndStream, "a: b")}, malformed, nil},
		"status of two digits":  {getRequest, []func(*peer){fields(flagEndStream, ":status: 20")}, malformed, nil},
		"status of letters":     {getRequest, []func(*peer){fields(flagEndStream, ":status: 2x0")}, malformed, nil},
		"status below 100":      {getRequest, []func(*peer){fields(flagEndStream, ":status: 099")}, malformed, nil},
		"switching":             {getRequest, []func(*peer){fields(0, ":status: 101")}, malformed, nil},
		"early that ends":       {getRequest, []func(*peer){fields(flagEndStream, ":status: 100")}, malformed, nil},
		"a path":                {getRequest, []func(*peer){fields(flagEndStream, ":status: 200", ":path: /")}, malformed, nil},
		"data first":            {getRequest, []func(*peer){data(0, "a")}, malformed, nil},
		"short":                 {getRequest, []func(*peer){fields(flagEndStream, ":status: 200", "content-length: 3")}, malformed, nil},
		"no length":             {getRequest, []func(*peer){fields(0, ":status: 200", "content-length: x")}, malformed, nil},
		"connection":            {getRequest, []func(*peer){fields(0, ":status: 200", "connection: close")}, malformed, nil},
		"body in place of none": {headRequest, []func(*peer){fields(0, ":status: 200", "content-length: 1"), data(flagEndStream, "a")}, malformed, nil},
		"too many early":        {getRequest, slices.Repeat([]func(*peer){fields(0, ":status: 103")}, maxEarly+1), malformed, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, NewClient(new(Pool)))
			s := ask(t, p.session, test.request)
			p.sent()
			for _, frame := range test.frames {
				frame(p)
			}
			if err := p.feed(); err != nil {
				t.Fatal(err)
			}
			text, err := readAll(s)
			if test.want == malformed {
				var reset *ResetError
				if !errors.As(err, &reset) || reset.Code != CodeProtocol || !reset.Ours || reset.Untouched {
					t.Errorf("read ended with %v", err)
				}
				if m, _, err := readMessage([]byte(text), false, s.requested()); m != nil && m.head.Status() >= 200 {
					t.Errorf("a whole answer was read: %q, %v", text, err)
				}
				if got := p.texts(); len(got) != 1 || got[0] != "reset 1 PROTOCOL_ERROR" {
					t.Errorf("answered with %q", got)
				}
				return
			}
			if text != test.want || !errors.Is(err, test.err) {
				t.Errorf("read %q, %v", text, err)
			}
		})
	}
}

// requested returns the method of a request as engine/http1 wants it.
func (t *Stream) requested() http1.Method {
	if t.method == methodHead {
		return http1.MethodHead
	}
	return http1.MethodGet
}

// TestWrittenRequests: what requests of HTTP/1.1 are in HTTP/2.
func TestWrittenRequests(t *testing.T) {
	const pseudo = "|:method: GET|:scheme: http|:authority: web|:path: /"
	for name, test := range map[string]struct {
		request string
		want    []string
	}{
		"plain":     {"GET / HTTP/1.1\r\nHost: web\r\nX-A: b\r\nx-a: B\r\n\r\n", []string{"fields 1 5" + pseudo + "|x-a: b|x-a: B"}},
		"absolute":  {"GET http://web/x?y HTTP/1.1\r\nHost: web\r\n\r\n", []string{"fields 1 5|:method: GET|:scheme: http|:authority: web|:path: /x?y"}},
		"no path":   {"GET http://web?y HTTP/1.1\r\nHost: web\r\n\r\n", []string{"fields 1 5|:method: GET|:scheme: http|:authority: web|:path: /?y"}},
		"star":      {"OPTIONS * HTTP/1.1\r\nHost: web\r\n\r\n", []string{"fields 1 5|:method: OPTIONS|:scheme: http|:authority: web|:path: *"}},
		"all":       {"OPTIONS http://web HTTP/1.1\r\nHost: web\r\n\r\n", []string{"fields 1 5|:method: OPTIONS|:scheme: http|:authority: web|:path: *"}},
		"no host":   {"GET / HTTP/1.1\r\nHost: \r\n\r\n", []string{"fields 1 5|:method: GET|:scheme: http|:path: /"}},
		"its own":   {"GET / HTTP/1.1\r\nHost: web\r\nConnection: TE, close\r\nKeep-Alive: 1\r\nProxy-Connection: x\r\nTE: gzip, trailers\r\nUpgrade: x\r\n\r\n", []string{"fields 1 5" + pseudo + "|te: trailers"}},
		"te":        {"GET / HTTP/1.1\r\nHost: web\r\nTE: gzip\r\n\r\n", []string{"fields 1 5" + pseudo}},
		"length":    {"GET / HTTP/1.1\r\nHost: web\r\nContent-Length: 2\r\n\r\nab", []string{"fields 1 4" + pseudo + "|content-length: 2", `data 1 1 "ab"`}},
		"no length": {"GET / HTTP/1.1\r\nHost: web\r\nContent-Length: 0\r\n\r\n", []string{"fields 1 5" + pseudo + "|content-length: 0"}},
		"chunks":    {"GET / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2;x\r\nbc\r\n0\r\n\r\n", []string{"fields 1 4" + pseudo, `data 1 1 "abc"`}},
		"no chunks": {"GET / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []string{"fields 1 4" + pseudo, `data 1 1 ""`}},
		"trailers":  {"GET / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-B:  c \r\nd:\r\n\r\n", []string{"fields 1 4" + pseudo, `data 1 0 "a"`, "fields 1 5|x-b: c|d: "}},
	} {
		for _, piece := range []int{1, 7, 1000} {
			p := newPeer(t, NewClient(new(Pool)))
			s := p.session.Open()
			for text := range slices.Chunk([]byte(test.request), piece) {
				if n, err := s.Write(text); n != len(text) || err != nil {
					t.Fatalf("%s: %d bytes of %d were taken: %v", name, n, len(text), err)
				}
			}
			if got := p.texts(); !slices.Equal(got, test.want) {
				t.Errorf("%s: in pieces of %d: sent %q, want %q", name, piece, got, test.want)
			}
			if _, err := s.Write([]byte("x")); !errors.Is(err, ErrOver) {
				t.Errorf("%s: written behind the end: %v", name, err)
			}
		}
	}
}

// TestWrittenAnswers: what answers of HTTP/1.1 are in HTTP/2.
func TestWrittenAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		method, answer string
		want           []string
	}{
		"length":       {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\nX: y\r\n\r\nab", []string{"fields 1 4|:status: 200|content-length: 2|x: y", `data 1 1 "ab"`}},
		"chunks":       {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", []string{"fields 1 4|:status: 200", `data 1 1 "ab"`}},
		"no chunks":    {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []string{"fields 1 5|:status: 200"}},
		"head":         {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", []string{"fields 1 5|:status: 200|content-length: 2"}},
		"not modified": {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", []string{"fields 1 5|:status: 304|content-length: 2"}},
		"no content":   {"GET", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", []string{"fields 1 5|:status: 204"}},
		"empty":        {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", []string{"fields 1 5|:status: 200|content-length: 0"}},
		"gRPC":         {"POST", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nContent-Type: application/grpc\r\ngrpc-status: 12\r\n\r\n", []string{"fields 1 5|:status: 200|content-type: application/grpc|grpc-status: 12"}},
		"early":        {"GET", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", []string{"fields 1 4|:status: 103|link: x", "fields 1 5|:status: 204"}},
	} {
		for _, piece := range []int{1, 7, 1000} {
			p := newPeer(t, NewServer(new(Pool)))
			p.headers(1, flagEndStream, ":method: "+test.method, ":scheme: http", ":path: /", ":authority: web")
			if err := p.feed(); err != nil {
				t.Fatal(err)
			}
			s := p.session.Next()
			for text := range slices.Chunk([]byte(test.answer), piece) {
				if n, err := s.Write(text); n != len(text) || err != nil {
					t.Fatalf("%s: %d bytes of %d were taken: %v", name, n, len(text), err)
				}
			}
			s.Close(CodeInternal)
			if got := p.texts(); !slices.Equal(got, test.want) {
				t.Errorf("%s: in pieces of %d: sent %q, want %q", name, piece, got, test.want)
			}
			if p.session.active != 0 {
				t.Errorf("%s: the stream still counts", name)
			}
		}
	}
}

// TestEndlessAnswer: an answer that ends with its connection ends with End.
func TestEndlessAnswer(t *testing.T) {
	p := newPeer(t, NewServer(new(Pool)))
	p.headers(1, flagEndStream, get...)
	if err := p.feed(); err != nil {
		t.Fatal(err)
	}
	s := p.session.Next()
	for _, text := range []string{"HTTP/1.0 200 OK\r\n\r\n", "ab"} {
		if _, err := s.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"fields 1 4|:status: 200", `data 1 0 "ab"`}
	if got := p.texts(); !slices.Equal(got, want) {
		t.Errorf("sent %q, want %q", got, want)
	}
	if err := s.End(); err != nil {
		t.Error(err)
	}
	if got := p.texts(); !slices.Equal(got, []string{`data 1 1 ""`}) {
		t.Errorf("the end is sent as %q", got)
	}
}

// TestUnwritable: what is no message is refused.
func TestUnwritable(t *testing.T) {
	server := newPeer(t, NewServer(new(Pool)))
	server.headers(1, flagEndStream, get...)
	server.headers(3, flagEndStream, get...)
	if err := server.feed(); err != nil {
		t.Fatal(err)
	}
	client := newPeer(t, NewClient(new(Pool)))
	for name, test := range map[string]struct {
		stream *Stream
		text   string
		want   error
	}{
		"upgrade":    {server.session.Next(), "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", ErrUpgrade},
		"bad answer": {server.session.Next(), "HTTP/1.1 2x0\r\n\r\n", http1.ErrStatusLine},
		"connect":    {client.session.Open(), "CONNECT web:80 HTTP/1.1\r\nHost: web\r\n\r\n", http1.ErrTarget},
		"bad body":   {client.session.Open(), "GET / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\nx", http1.ErrChunk},
		"too large":  {client.session.Open(), "GET / HTTP/1.1\r\nHost: web\r\nx: " + strings.Repeat("y", http1.MaxHead), http1.ErrTooLarge},
	} {
		if _, err := test.stream.Write([]byte(test.text)); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}
