//go:build !race

package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/meshd/meshd/engine/mesh"
)

// call is what one side of HTTP/2 sends for a unary call of gRPC, whose fields its peer has in its table.
type call struct {
	bytes.Buffer
	frames *http2.Framer
	block  bytes.Buffer
	fields *hpack.Encoder
}

func newCall() *call {
	c := &call{}
	c.frames, c.fields = http2.NewFramer(&c.Buffer, nil), hpack.NewEncoder(&c.block)
	return c
}

// headers appends fields, given as names and values by turns.
func (c *call) headers(stream uint32, end bool, fields ...string) {
	c.block.Reset()
	for pair := range slices.Chunk(fields, 2) {
		_ = c.fields.WriteField(hpack.HeaderField{Name: pair[0], Value: pair[1]})
	}
	_ = c.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: c.block.Bytes(), EndHeaders: true, EndStream: end})
}

// request appends the request of a call.
func (c *call) request(stream uint32) {
	c.headers(stream, false, ":method", "POST", ":scheme", "http", ":path", "/a.B/C", ":authority", "hello.mesh",
		"content-type", "application/grpc", "te", "trailers", "grpc-timeout", "1S")
	_ = c.frames.WriteData(stream, true, []byte("\x00\x00\x00\x00\x05hello"))
}

// answer appends the answer to a call.
func (c *call) answer(stream uint32) {
	c.headers(stream, false, ":status", "200", "content-type", "application/grpc")
	_ = c.frames.WriteData(stream, false, []byte("\x00\x00\x00\x00\x05world"))
	c.headers(stream, true, "grpc-status", "0", "grpc-message", "")
}

// TestCallDoesNotAllocate has a unary call of gRPC pass through both kinds of links, of known clients and of strangers.
func TestCallDoesNotAllocate(t *testing.T) {
	for _, edge := range []bool{false, true} {
		t.Run(fmt.Sprint("edge ", edge), func(t *testing.T) { callsDoNotAllocate(t, edge) })
	}
}

func callsDoNotAllocate(t *testing.T, edge bool) {
	const calls = 6000
	// What both sides send is made before: these allocate.
	ours, theirs := make([][]byte, calls), make([][]byte, calls)
	asking, answering := newCall(), newCall()
	for i := range calls {
		asking.Reset()
		answering.Reset()
		asking.request(uint32(2*i + 1))
		answering.answer(uint32(2*i + 1))
		ours[i], theirs[i] = bytes.Clone(asking.Bytes()), bytes.Clone(answering.Bytes())
	}
	at := endpoint(t, func(c *net.TCPConn) {
		greeting := newCall()
		_ = greeting.frames.WriteSettings()
		if _, err := c.Write(greeting.Bytes()); err != nil {
			return
		}
		ends := framesWith(c, http2.FrameData)
		for i := range calls {
			if !ends() {
				return
			}
			if _, err := c.Write(theirs[i]); err != nil {
				return
			}
		}
		_, _ = io.Copy(io.Discard, c)
	})
	r := newRig(t, nil)
	r.protocol = mesh.GRPC
	r.serve(func(c *mesh.Catalog) { c.Services[0].Edge = edge }, at)
	client := r.dial(virtual)
	greeting := newCall()
	_ = greeting.frames.WriteSettings()
	send(t, client, http2.ClientPreface+greeting.String())
	trailers := framesWith(client, http2.FrameHeaders)
	next := 0
	ask := func() {
		if _, err := client.Write(ours[next]); err != nil {
			t.Fatal(err)
		}
		next++
		for !trailers() {
			t.Fatal("the connection has ended")
		}
	}
	for range 3000 { // until what is kept is as large as it gets
		ask()
	}
	if allocs := testing.AllocsPerRun(1000, ask); allocs != 0 {
		t.Errorf("%v allocations a call, want 0", allocs)
	}
}

// framesWith returns a function that reads frames, without allocating, up to the next of that type which ends its stream; it
// returns false at the end of the connection.
func framesWith(from io.Reader, kind http2.FrameType) func() bool {
	buf := make([]byte, 0, 64<<10)
	at, prefaced := 0, false
	return func() bool {
		for {
			if !prefaced && len(buf) >= len(http2.ClientPreface) {
				if prefaced = true; bytes.HasPrefix(buf, []byte(http2.ClientPreface)) {
					at = len(http2.ClientPreface)
				}
			}
			for prefaced && len(buf)-at >= 9 {
				size := 9 + int(buf[at])<<16 + int(buf[at+1])<<8 + int(buf[at+2])
				if len(buf)-at < size {
					break
				}
				is, flags := http2.FrameType(buf[at+3]), http2.Flags(buf[at+4])
				at += size
				if is == kind && flags.Has(http2.FlagDataEndStream) {
					return true
				}
			}
			buf = buf[:copy(buf, buf[at:])]
			at = 0
			n, err := from.Read(buf[len(buf):cap(buf)])
			if err != nil {
				return false
			}
			buf = buf[:len(buf)+n]
		}
	}
}
