//go:build !race

// Under the race detector sync.Pool forgets at random, and so allocates.

package proxy

import (
	"io"
	"net"
	"testing"

	"github.com/meshd/meshd/engine/accesslog"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/trace"
)

func TestMessageDoesNotAllocate(t *testing.T) {
	ping := pinger(t, 64)
	ping()
	if allocs := testing.AllocsPerRun(1000, ping); allocs != 0 {
		t.Errorf("%v allocations a message, want 0", allocs)
	}
}

func TestRequestDoesNotAllocate(t *testing.T) {
	wantNoAllocations(t, func(*rig) {})
}

// TestToldRequestDoesNotAllocate has every request logged and named, and one of a hundred traced.
func TestToldRequestDoesNotAllocate(t *testing.T) {
	wantNoAllocations(t, func(r *rig) {
		r.accessLog.Use(accesslog.NewSink(accesslog.JSON, io.Discard))
		t.Cleanup(r.accessLog.Close)
		r.tracer.Use(&trace.Config{Endpoint: "http://127.0.0.1:1", Share: mesh.Hundred / 100})
		t.Cleanup(r.tracer.Close)
		r.UseRequestIDs(true)
	})
}

// TestHardenedRequestDoesNotAllocate has the clients be strangers.
func TestHardenedRequestDoesNotAllocate(t *testing.T) {
	wantNoAllocations(t, func(r *rig) {
		r.serve(func(c *mesh.Catalog) { c.Services[0].Edge = true }, r.snapshots.Load().Services()[0].Endpoints[0].Address)
		r.UseRequestIDs(true)
	})
}

func wantNoAllocations(t *testing.T, change func(*rig)) {
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
	change(r)
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
	for range 3000 { // until what is kept is as large as it gets
		ask()
	}
	if allocs := testing.AllocsPerRun(1000, ask); allocs != 0 {
		t.Errorf("%v allocations a request, want 0", allocs)
	}
}
