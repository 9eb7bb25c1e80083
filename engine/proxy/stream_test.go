package proxy

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/engine/mesh"
)

// connected returns both ends of a connection through a rig.
func connected(t testing.TB) (r *rig, client, server *net.TCPConn) {
	t.Helper()
	at, conns := accepting(t)
	r = newRig(t, nil, at)
	client = r.dial(virtual)
	return r, client, <-conns
}

func TestServerSpeaksFirst(t *testing.T) {
	r, client, server := connected(t)
	send(t, server, "220 ready\r\n")
	want(t, client, "220 ready\r\n")
	send(t, client, "QUIT\r\n")
	want(t, server, "QUIT\r\n")
	server.Close()
	wantEOF(t, client)
	client.Close()
	end := r.wantEnd(mesh.ReasonDone)
	if sent, received := end["sent"].Uint64(), end["received"].Uint64(); sent != 6 || received != 11 {
		t.Errorf("counted %d bytes sent and %d received, want 6 and 11", sent, received)
	}
}

func TestHalfClose(t *testing.T) {
	for _, who := range []string{"client", "endpoint"} {
		t.Run(who, func(t *testing.T) {
			r, client, server := connected(t)
			first, last := client, server
			if who == "endpoint" {
				first, last = server, client
			}
			send(t, first, "question")
			if err := first.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			want(t, last, "question")
			wantEOF(t, last)
			r.eventually("the table shows it", func() bool { return r.Connections()[0].State == HalfClosed })
			for range 3 {
				send(t, last, "answer")
				want(t, first, "answer")
			}
			last.Close()
			wantEOF(t, first)
			r.wantEnd(mesh.ReasonDone)
		})
	}
}

func TestReset(t *testing.T) {
	for _, before := range []string{"idle", "client half-closed", "endpoint half-closed"} {
		for _, who := range []string{"client", "endpoint"} {
			t.Run(before+"/"+who, func(t *testing.T) {
				r, client, server := connected(t)
				send(t, client, "hello")
				want(t, server, "hello")
				resetter, other, reason := client, server, mesh.ReasonClientReset
				if who == "endpoint" {
					resetter, other, reason = server, client, mesh.ReasonEndpointReset
				}
				half := map[string][2]*net.TCPConn{
					"client half-closed": {client, server}, "endpoint half-closed": {server, client},
				}[before]
				if closing, seeing := half[0], half[1]; closing != nil {
					if err := closing.CloseWrite(); err != nil {
						t.Fatal(err)
					}
					wantEOF(t, seeing)
				}
				reset(resetter)
				r.wantEnd(reason)
				if half[1] == other {
					wantBroken(t, other)
				} else {
					wantReset(t, other)
				}
			})
		}
	}
}

// TestResetWhileBytesFlow resets a side while it is written to: who is told of the reset first is a matter of luck then.
func TestResetWhileBytesFlow(t *testing.T) {
	at, conns := accepting(t)
	r := newRig(t, nil, at)
	for i := range 200 {
		client := r.dial(virtual)
		resetter, other, reason := client, <-conns, mesh.ReasonClientReset
		if i%2 == 1 {
			resetter, other, reason = other, resetter, mesh.ReasonEndpointReset
		}
		var reader sync.WaitGroup
		reader.Go(func() {
			_, _ = io.CopyN(io.Discard, resetter, 1<<20)
			reset(resetter)
		})
		_, err := other.Write(make([]byte, 4<<20))
		if err == nil {
			_, err = other.Read(make([]byte, 1))
		}
		if !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, unix.EPIPE) {
			t.Errorf("%s came to the other side as: %v", reason, err)
		}
		reader.Wait()
		other.Close()
		r.wantEnd(reason)
	}
}

// wantBroken checks for a reset of a socket that has read the end of the stream, from which no read tells it.
func wantBroken(t testing.TB, conn *net.TCPConn) {
	t.Helper()
	if !isReset(conn) {
		t.Error("the other side was not reset")
	}
}

// A side that is gone altogether is noticed by the first bytes that are sent to it.
func TestWriteToGoneClient(t *testing.T) {
	r, client, server := connected(t)
	client.Close()
	wantEOF(t, server)
	send(t, server, "too late")
	r.wantEnd(mesh.ReasonClientReset)
	wantBroken(t, server)
}

func TestBulkBothWays(t *testing.T) {
	r := newRig(t, nil, endpoint(t, func(conn *net.TCPConn) {
		echo(conn)
		_ = conn.CloseWrite()
	}))
	client := r.dial(virtual)
	data := make([]byte, 8<<20)
	chacha := rand.NewChaCha8([32]byte{1})
	_, _ = chacha.Read(data)
	var sender sync.WaitGroup
	sender.Go(func() {
		// Odd sizes, so that buffers are filled in every way.
		for rest := data; len(rest) > 0; {
			n := min(1+rand.IntN(200_000), len(rest))
			if _, err := client.Write(rest[:n]); err != nil {
				t.Error(err)
				return
			}
			rest = rest[n:]
		}
		if err := client.CloseWrite(); err != nil {
			t.Error(err)
		}
	})
	hash := sha256.New()
	n, err := io.Copy(hash, client)
	sender.Wait()
	wanted := sha256.Sum256(data)
	if err != nil || !bytes.Equal(hash.Sum(nil), wanted[:]) {
		t.Errorf("%d bytes came back, %v; want the %d that were sent", n, err, len(data))
	}
	r.wantEnd(mesh.ReasonDone)
	r.wantMetric(fmt.Sprintf(`meshd_connection_bytes_total{destination="hello",direction="sent",source="web"} %v`, float64(len(data))))
	r.wantMetric(fmt.Sprintf(`meshd_connection_bytes_total{destination="hello",direction="received",source="web"} %v`, float64(len(data))))
}

func TestSlowReaderStopsSender(t *testing.T) {
	r, client, server := connected(t)
	if err := errors.Join(client.SetWriteBuffer(64<<10), server.SetReadBuffer(64<<10)); err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 64<<20) // more than all the buffers of the kernel on the way
	if err := client.SetWriteDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	n, err := client.Write(data)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("wrote %d bytes that nobody reads, %v; want to be stopped", n, err)
	}
	if err := client.SetWriteDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	var sender sync.WaitGroup
	sender.Go(func() {
		if _, err := client.Write(data[n:]); err != nil {
			t.Error(err)
		}
		client.Close()
	})
	got, err := io.Copy(io.Discard, server)
	sender.Wait()
	if err != nil || got != int64(len(data)) {
		t.Errorf("read %d bytes, %v; want %d", got, err, len(data))
	}
	server.Close()
	r.wantEnd(mesh.ReasonDone)
}

func TestLongStreamProvesItself(t *testing.T) {
	var src side
	d := direction{src: &src}
	for range 3 * spliceAfter / scratchSize {
		d.hasRead(scratchSize, scratchSize)
		d.hasRead(scratchSize-1, scratchSize)
	}
	if d.long {
		t.Error("a stream that pauses has proved to be long")
	}
	for range spliceAfter / scratchSize {
		d.hasRead(scratchSize, scratchSize)
	}
	if !d.long {
		t.Errorf("%d bytes without a pause have not proved to be a long stream", spliceAfter)
	}
}

// TestBytesAndResetTogether has a reset arrive with the last bytes, before they are read: no event tells of it afterwards.
func TestBytesAndResetTogether(t *testing.T) {
	at, conns := accepting(t)
	r := newRig(t, nil, at)
	for range 50 {
		client := r.dial(virtual)
		server := <-conns
		send(t, client, "hello")
		want(t, server, "hello")
		send(t, server, "no")
		reset(server)
		_, _ = io.Copy(io.Discard, client) // until the reset, however many bytes come before it
		r.wantEnd(mesh.ReasonEndpointReset)
	}
}

// TestLastWordsBeforeReset has an endpoint say why and reset, while the client goes on sending: the client must hear it, as
// it would from the endpoint itself.
func TestLastWordsBeforeReset(t *testing.T) {
	at, conns := accepting(t)
	r := newRig(t, nil, at)
	for range 50 {
		client := r.dial(virtual)
		server := <-conns
		send(t, client, "hello")
		want(t, server, "hello")
		var sender sync.WaitGroup
		sender.Go(func() {
			for {
				if _, err := client.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		})
		send(t, server, "no")
		server.Close() // with bytes unread, so that a reset follows
		want(t, client, "no")
		_, _ = io.Copy(io.Discard, client)
		r.wantEnd(mesh.ReasonEndpointReset)
		client.Close()
		sender.Wait()
	}
}

// TestUrgentData has bytes and urgent data come before anybody reads. A read stops at the urgent data, so that what is
// behind it needs another one, of which no event tells.
func TestUrgentData(t *testing.T) {
	for _, before := range []int{3, 2 * spliceAfter} {
		r, client, server := connected(t)
		send(t, client, "hello")
		want(t, server, "hello")
		held := make(chan struct{})
		for _, l := range r.current() {
			l.do(func() { <-held })
		}
		text := strings.Repeat("a", before)
		send(t, client, text)
		raw, err := client.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var sendErr error
		err = raw.Control(func(fd uintptr) { sendErr = unix.Send(int(fd), []byte("!"), unix.MSG_OOB) })
		if err := errors.Join(err, sendErr); err != nil {
			t.Fatal(err)
		}
		send(t, client, "b")
		close(held)
		if err := server.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		want(t, server, text+"b")
	}
}

// pinger sends a message through a rig and waits for the echo.
func pinger(t testing.TB, size int) (ping func()) {
	r := newRig(t, nil, endpoint(t, echo))
	client := r.dial(virtual)
	message, answer := make([]byte, size), make([]byte, size)
	return func() {
		if _, err := client.Write(message); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(client, answer); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkPingPong(b *testing.B) {
	ping := pinger(b, 64)
	b.ReportAllocs()
	for b.Loop() {
		ping()
	}
}

func BenchmarkBulk(b *testing.B) {
	r := newRig(b, nil, endpoint(b, func(conn *net.TCPConn) {
		buf := make([]byte, 256<<10)
		for {
			if _, err := conn.Read(buf); err != nil {
				return
			}
		}
	}))
	client := r.dial(virtual)
	data := make([]byte, 1<<20)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Write(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkConnection(b *testing.B) {
	r := newRig(b, func(c *Config) { c.Log = nil }, endpoint(b, echo))
	b.ReportAllocs()
	for b.Loop() {
		client := r.dial(virtual)
		send(b, client, "x")
		want(b, client, "x")
		reset(client) // leaves no TIME_WAIT behind
	}
}
