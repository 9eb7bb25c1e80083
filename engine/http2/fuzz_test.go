package http2

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/http1"
)

// script makes bytes of a connection of what a fuzzer has made: frames, most of them in order, or the bytes themselves.
func script(data []byte, request bool) []byte {
	s := steps{data}
	if s.byte()%4 == 0 {
		return s.data
	}
	e, _ := newCoders()
	p := &peer{encoder: e}
	if request {
		p.out = append(p.out, Preface...)
	}
	p.frame(kindSettings, 0, 0, nil)
	for s.more() {
		id := uint32(s.byte()%16 | 1)
		flags := uint8(s.byte()) & (flagEndStream | flagPadded)
		switch s.byte() % 12 {
		case 0, 1, 2:
			fields := with(get)
			if !request {
				fields = []string{fmt.Sprintf(":status: %d", []int{200, 204, 304, 103, 404}[s.byte()%5])}
			}
			for range s.byte() % 4 {
				f := s.nextField()
				fields = append(fields, f.Name+": "+f.Value)
			}
			if s.byte()%3 == 0 {
				fields = append(fields, fmt.Sprintf("content-length: %d", s.byte()%30))
			}
			p.headers(id, flags&flagEndStream, fields...)
		case 3, 4, 5:
			p.frame(kindData, flags, id, s.bytes(40))
		case 6:
			p.frame(kindData, flags&flagEndStream, id, make([]byte, s.byte()*64))
		case 7:
			p.word(kindReset, id, uint32(s.byte()%14))
		case 8:
			p.word(kindWindow, id&^uint32(s.byte()%2), uint32(s.byte()<<(s.byte()%28)))
		case 9:
			p.headers(id, flags&flagEndStream, "x-"+string(s.bytes(5))+": v")
		case 10:
			p.frame(kindSettings, 0, 0, appendSetting(nil, uint16(s.byte()%7), uint32(s.byte()<<(s.byte()%28))))
		case 11:
			p.frame(kind(s.byte()%12), uint8(s.byte()), id&^uint32(s.byte()%2), s.bytes(30))
		}
	}
	return p.out
}

// watch feeds bytes to a session in pieces, and checks what its users see and what it holds. answer is written to each stream
// of which something has come.
func watch(t *testing.T, session *Session, data []byte, piece int, answer string) {
	type seen struct {
		text    []byte
		written int
	}
	buf := make([]byte, 300)
	use := func(s *Stream) {
		k, _ := s.User.(*seen)
		if k == nil {
			k = &seen{}
			s.User = k
		}
		var failed error
		for {
			n, err := s.Read(buf)
			k.text = append(k.text, buf[:n]...)
			if err == nil && n == 0 {
				t.Fatal("a read brought nothing, and no error")
			}
			if err != nil {
				if !errors.Is(err, ErrNothing) && !errors.Is(err, io.EOF) {
					failed = err
				}
				break
			}
		}
		if len(k.text) < 4096 || failed != nil {
			checkRead(t, session.client, s, k.text)
		}
		if !session.client && failed == nil {
			n, err := s.Write([]byte(answer[k.written:]))
			k.written += n
			failed = err
		}
		if failed != nil || !session.client && k.written == len(answer) {
			s.Close(CodeCancel)
		}
	}
	now := time.Unix(1, 0)
	for len(data) > 0 {
		n := min(len(data), piece)
		err := session.Feed(data[:n], now)
		data = data[n:]
		held := 0
		for _, s := range session.streams {
			held += s.head + s.data + s.tail
		}
		if held > connectionWindow+mostLent+maxUnread+maxBlock {
			t.Fatalf("%d bytes are held", held)
		}
		for s := session.Next(); s != nil; s = session.Next() {
			use(s)
		}
		if pending := len(session.Output()); pending > outMost+maxBlock {
			t.Fatalf("%d bytes are to be sent", pending)
		}
		session.Sent(len(session.Output()) * n % 3 / 2)
		if err != nil {
			break
		}
	}
	session.Lost()
	for s := session.Next(); s != nil; s = session.Next() {
		s.Close(CodeCancel)
	}
	for _, s := range session.streams {
		if k, ok := s.User.(*seen); ok {
			checkRead(t, session.client, s, k.text)
		}
		s.Close(CodeCancel)
	}
	if !session.client && session.Len() != 0 || session.active != 0 || session.unread != 0 {
		t.Fatalf("%d streams are left, %d count, %d bytes are unread", session.Len(), session.active, session.unread)
	}
}

// checkRead checks that what was read is one message, or the beginning of one.
func checkRead(t *testing.T, response bool, s *Stream, text []byte) {
	for {
		m, n, err := readMessage(text, !response, s.requested())
		switch {
		case err != nil:
			t.Fatalf("read what is no message: %v in %.200q", err, text)
		case m == nil:
			return
		case response && m.head.Status() < 200:
			text = text[n:]
			continue
		case n != len(text):
			t.Fatalf("read %d bytes behind a message: %.200q", len(text)-n, text)
		}
		return
	}
}

// FuzzServer looks for bytes of a client that break a session, or that become no request.
func FuzzServer(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte, piece uint8) {
		watch(t, NewServer(new(Pool)), script(data, true), int(piece)+1, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")
	})
}

// FuzzClient looks for bytes of a server that break a session, or that become no answer.
func FuzzClient(f *testing.F) {
	requests := []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n",
		"GET / HTTP/1.0\r\nHost: a\r\n\r\n",
	}
	f.Fuzz(func(t *testing.T, data []byte, piece uint8) {
		session := NewClient(new(Pool))
		for i := range 6 {
			if _, err := session.Open().Write([]byte(requests[i%len(requests)])); err != nil {
				t.Fatal(err)
			}
		}
		watch(t, session, script(data, false), int(piece)+1, "")
	})
}

// FuzzWrite looks for bytes of HTTP/1.1 that come out of another session as another message.
func FuzzWrite(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte, piece uint8, answers bool) {
		p := new(Pool)
		client, server := NewClient(p), NewServer(p)
		from, to := client, server
		writer := client.Open()
		request := true
		var reader *Stream
		pass := func(from, to *Session) {
			for len(from.Output()) > 0 {
				n := min(len(from.Output()), int(piece)+1)
				if err := to.Feed(from.Output()[:n], time.Unix(1, 0)); err != nil {
					t.Fatalf("a session refuses the other: %v", err)
				}
				from.Sent(n)
			}
		}
		if answers {
			if _, err := writer.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")); err != nil {
				t.Fatal(err)
			}
			pass(client, server)
			reader, writer = writer, server.Next()
			from, to, request = server, client, false
		}
		var failed error
		written := 0
		for rest := text; len(rest) > 0 && failed == nil; {
			var n int
			n, failed = writer.Write(rest[:min(len(rest), int(piece)+1)])
			written += n
			rest = rest[n:]
			pass(from, to)
			if n == 0 {
				break // a window is used up
			}
		}
		pass(to, from)
		if reader == nil {
			reader = to.Next()
		}
		want, _, _ := readMessage(text, request, http1.MethodGet)
		if reader == nil {
			if want != nil && failed == nil {
				t.Fatal("a request has not come")
			}
			return
		}
		got, err := readAll(reader)
		if failed == nil || errors.Is(failed, ErrOver) {
			checkRead(t, !request, reader, []byte(got))
		}
		var reset *ResetError
		if errors.As(err, &reset) && failed == nil {
			t.Fatalf("a message is refused that could be written: %v", err)
		}
		if want == nil || failed != nil || !request && want.head.Status() < 200 || written < len(text) || want.head.Framing().Kind == http1.UntilClose {
			return
		}
		m, _, err := readMessage([]byte(got), request, http1.MethodGet)
		if m == nil || !bytes.Equal(m.body, want.body) || m.head.Status() != want.head.Status() || !bytes.Equal(m.head.Authority(m.text), want.head.Authority(want.text)) {
			t.Fatalf("%.200q came as %.200q: %v", text, got, err)
		}
	})
}
