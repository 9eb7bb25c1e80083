//go:build !race

// Under the race detector sync.Pool forgets at random, and so allocates.

package proxy

import (
	"io"
	"net"
	"testing"
)

func TestMessageDoesNotAllocate(t *testing.T) {
	ping := pinger(t, 64)
	ping()
	if allocs := testing.AllocsPerRun(1000, ping); allocs != 0 {
		t.Errorf("%v allocations a message, want 0", allocs)
	}
}

func TestRequestDoesNotAllocate(t *testing.T) {
	const answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
	r := httpRig(t, endpoint(t, func(c *net.TCPConn) {
		buf, out := make([]byte, 4096), []byte(answer)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
			if _, err := c.Write(out); err != nil {
				return
			}
		}
	}))
	client := r.dial(virtual)
	request, got := []byte("GET /a HTTP/1.1\r\nHost: hello\r\nAccept: */*\r\n\r\n"), make([]byte, len(answer))
	ask := func() {
		if _, err := client.Write(request); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(client, got); err != nil {
			t.Fatal(err)
		}
	}
	ask()
	if allocs := testing.AllocsPerRun(1000, ask); allocs != 0 {
		t.Errorf("%v allocations a request, want 0", allocs)
	}
}
