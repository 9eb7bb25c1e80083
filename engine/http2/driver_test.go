package http2

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/http1"
)

// driver runs a session on a connection.
type driver struct {
	session *Session
	conn    net.Conn
	serve   func(t *Stream) // is told of what Next returns
	work    chan func()     // to be done between two events
	done    chan struct{}   // is closed when the connection is
	err     error           // of Feed
}

// drive runs a session until its connection is closed.
func drive(t *testing.T, conn net.Conn, s *Session, serve func(*Stream)) *driver {
	d := &driver{session: s, conn: conn, serve: serve, work: make(chan func()), done: make(chan struct{})}
	came := make(chan []byte, 4096) // the peer must not wait for us where it writes, while we write
	var group sync.WaitGroup
	group.Go(func() {
		defer close(came)
		for {
			buf := make([]byte, 32<<10)
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			came <- buf[:n]
		}
	})
	group.Go(func() {
		defer close(d.done)
		for {
			d.settle()
			if d.err != nil {
				conn.Close()
			}
			select {
			case data, ok := <-came:
				if !ok {
					s.Lost()
					d.settle()
					conn.Close()
					return
				}
				if d.err == nil {
					d.err = s.Feed(data, time.Now())
				}
			case work := <-d.work:
				work()
			}
		}
	})
	t.Cleanup(func() {
		conn.Close()
		group.Wait()
	})
	return d
}

// do does work where the session runs.
func (d *driver) do(work func()) {
	done := make(chan struct{})
	select {
	case d.work <- func() { work(); close(done) }:
		<-done
	case <-d.done:
	}
}

// settle lets everybody look at what is new, and sends what there is to send.
func (d *driver) settle() {
	for {
		for t := d.session.Next(); t != nil; t = d.session.Next() {
			d.serve(t)
		}
		out := d.session.Output()
		if len(out) == 0 {
			return
		}
		n, err := d.conn.Write(out)
		d.session.Sent(n)
		if err != nil {
			return
		}
	}
}

// talk is what one stream is used for: bytes that are written to it, and those that were read.
type talk struct {
	came     []byte
	toWrite  []byte
	written  int
	err      error // of a read or a write
	ended    bool  // with io.EOF
	answered bool
}

// pump reads all there is and writes what is taken.
func (k *talk) pump(t *Stream) {
	for buf := make([]byte, 40<<10); ; {
		n, err := t.Read(buf)
		k.came = append(k.came, buf[:n]...)
		if errors.Is(err, io.EOF) {
			k.ended = true
			break
		}
		if err != nil {
			if !errors.Is(err, ErrNothing) {
				k.err = err
			}
			break
		}
	}
	k.write(t)
}

func (k *talk) write(t *Stream) {
	for k.written < len(k.toWrite) && k.err == nil {
		n, err := t.Write(k.toWrite[k.written:])
		k.written += n
		if err != nil {
			k.err = err
		}
		if n == 0 {
			return
		}
	}
}

// messageRead is a message of HTTP/1.1 that has been read.
type messageRead struct {
	head *http1.Head
	text []byte // the head
	body []byte
	tail []byte // trailers
}

// readMessage reads the message at the beginning of data; nil when not all of it is there. An error says that it is none.
func readMessage(data []byte, request bool, to http1.Method) (*messageRead, int, error) {
	h := new(http1.Head)
	parse := func() (int, error) { return http1.ParseRequest(data, h) }
	if !request {
		parse = func() (int, error) { return http1.ParseResponse(data, h, to) }
	}
	n, err := parse()
	if n == 0 || err != nil {
		return nil, 0, err
	}
	m := &messageRead{head: h, text: data[:n]}
	var body http1.Body
	body.Begin(h.Framing())
	for !body.Done() {
		used, some, tail, err := body.Next(data[n:], 1<<20)
		if err != nil {
			return nil, n, err
		}
		if used == 0 {
			return nil, n, nil
		}
		n += used
		m.body = append(m.body, some...)
		m.tail = append(m.tail, tail...)
	}
	return m, n, nil
}

// answering serves the streams of a session in the role of a server: it answers each request when all of it has come.
func answering(t *testing.T, answer func(m *messageRead) []byte) func(*Stream) {
	return func(s *Stream) {
		k, _ := s.User.(*talk)
		if k == nil {
			k = &talk{}
			s.User = k
		}
		k.pump(s)
		if !k.answered && k.err == nil {
			m, n, err := readMessage(k.came, true, 0)
			if err != nil || m != nil && n != len(k.came) {
				t.Errorf("a request was read that is none: %v, %d bytes of %d", err, n, len(k.came))
			}
			if m != nil {
				k.answered, k.toWrite = true, answer(m)
				k.write(s)
			}
		}
		if k.err != nil || k.answered && k.written == len(k.toWrite) {
			s.Close(CodeCancel)
		}
	}
}

func field(m *messageRead, name string) string {
	i := m.head.Find(m.text, name, 0)
	if i < 0 {
		return ""
	}
	_, value := m.head.Field(m.text, i)
	return string(bytes.Clone(value))
}
