package http2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// priorKnowledge is HTTP/2 without TLS.
func priorKnowledge() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}

// otherClient returns a client of another's making, for a session of ours.
func otherClient(t *testing.T, answer func(m *messageRead) []byte) *http.Client {
	transport := &http.Transport{
		Protocols: priorKnowledge(),
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			drive(t, ours, NewServer(new(Pool)), answering(t, answer))
			return theirs, nil
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestServerOfAnotherClient(t *testing.T) {
	client := otherClient(t, func(m *messageRead) []byte {
		return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nX-Target: %s\r\nX-Sum: %s\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n%x\r\n%s\r\n0\r\nX-End: %d\r\n\r\n",
			m.head.Target(m.text), field(m, "x-in"), max(1, len(m.body)), cmpOr(string(m.body), "-"), len(m.body))
	})
	var group sync.WaitGroup
	for i := range 40 {
		group.Go(func() {
			body := strings.Repeat("0123456789", i*i*40)
			req, err := http.NewRequestWithContext(t.Context(), "POST", fmt.Sprintf("http://web.mesh/x/%d?a=b", i), strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			if i%2 == 0 {
				req.ContentLength = -1
			}
			req.Header.Set("X-In", fmt.Sprint(i))
			res, err := client.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			got, err := io.ReadAll(res.Body)
			if err != nil {
				t.Errorf("request %d: %v", i, err)
			}
			if want := cmpOr(body, "-"); string(got) != want {
				t.Errorf("request %d: %d bytes came back of %d", i, len(got), len(want))
			}
			if res.Header.Get("X-Target") != fmt.Sprintf("/x/%d?a=b", i) || res.Header.Get("X-Sum") != fmt.Sprint(i) {
				t.Errorf("request %d: answered with %v", i, res.Header)
			}
			if got := res.Trailer.Get("X-End"); got != fmt.Sprint(len(body)) {
				t.Errorf("request %d: trailer %q", i, got)
			}
		})
	}
	group.Wait()
}

func cmpOr(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// otherServer returns a session of ours with a server of another's making.
func otherServer(t *testing.T, handler http.Handler, serve func(*Stream)) *driver {
	ours, theirs := net.Pipe()
	server := &http.Server{Protocols: priorKnowledge(), Handler: handler}
	listener := pipeListener{make(chan net.Conn, 1)}
	listener.conns <- theirs
	var group sync.WaitGroup
	group.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	t.Cleanup(func() { server.Close(); group.Wait() })
	return drive(t, ours, NewClient(new(Pool)), serve)
}

// pipeListener accepts connections that are there.
type pipeListener struct{ conns chan net.Conn }

func (l pipeListener) Accept() (net.Conn, error) {
	conn, ok := <-l.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (l pipeListener) Close() error {
	close(l.conns)
	return nil
}

func (l pipeListener) Addr() net.Addr { return &net.UnixAddr{} }

func TestClientOfAnotherServer(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Trailer", "X-End")
		w.Header().Set("X-Seen", r.Host+r.URL.String())
		w.Write(body)
		w.Header().Set("X-End", r.Trailer.Get("X-Tail"))
	})
	type result struct {
		i int
		m *messageRead
		e error
	}
	results := make(chan result, 100)
	d := otherServer(t, handler, func(s *Stream) {
		k := s.User.(*talk)
		k.pump(s)
		m, n, err := readMessage(k.came, false, 0)
		if err == nil && m != nil && n != len(k.came) {
			err = fmt.Errorf("%d bytes of %d", n, len(k.came))
		}
		if k.err != nil {
			err = k.err
		}
		if m != nil || err != nil {
			results <- result{int(s.ID() / 2), m, err}
			s.Close(CodeCancel)
		}
	})
	const requests = 40
	bodies := map[int]string{}
	d.do(func() {
		for i := range requests {
			s := d.session.Open()
			body := strings.Repeat("abcdefgh", i*i*30)
			bodies[i] = body
			k := &talk{toWrite: fmt.Appendf(nil, "POST /p/%d HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\nTrailer: X-Tail\r\n\r\n%x\r\n%s\r\n0\r\nX-Tail: %d\r\n\r\n", i, len(body)+1, body+"!", i)}
			s.User = k
			k.write(s)
		}
	})
	for range requests {
		r := <-results
		if r.e != nil {
			t.Fatalf("request %d: %v", r.i, r.e)
		}
		if r.m.head.Status() != 200 || !bytes.Equal(r.m.body, []byte(bodies[r.i]+"!")) || field(r.m, "x-seen") != fmt.Sprintf("web/p/%d", r.i) {
			t.Errorf("request %d: %d bytes came back of %d", r.i, len(r.m.body), len(bodies[r.i])+1)
		}
		if string(r.m.tail) != fmt.Sprintf("x-end: %d\r\n\r\n", r.i) {
			t.Errorf("request %d: trailers %q", r.i, r.m.tail)
		}
	}
}
