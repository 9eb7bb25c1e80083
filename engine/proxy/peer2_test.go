package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// peer2 is one end of a connection of HTTP/2 whose frames the test itself reads and writes.
type peer2 struct {
	*net.TCPConn
	*http2.Framer
	t      testing.TB
	block  bytes.Buffer
	fields *hpack.Encoder
}

func newPeer2(t testing.TB, c *net.TCPConn) *peer2 {
	p := &peer2{TCPConn: c, Framer: http2.NewFramer(c, c), t: t}
	p.fields = hpack.NewEncoder(&p.block)
	p.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = p.WriteSettings()
	return p
}

// dial2 connects a client.
func (r *rig) dial2() *peer2 {
	r.t.Helper()
	c := r.dial(virtual)
	send(r.t, c, http2.ClientPreface)
	return newPeer2(r.t, c)
}

// endpoint2 is an endpoint whose connections are played by a function.
func endpoint2(t testing.TB, play func(*peer2)) netip.AddrPort {
	return endpoint(t, func(c *net.TCPConn) {
		preface := make([]byte, len(http2.ClientPreface))
		if _, err := io.ReadFull(c, preface); err == nil {
			play(newPeer2(t, c))
		}
	})
}

// headers sends fields, which are names and values by turns.
func (p *peer2) headers(stream uint32, end bool, fields ...string) {
	p.block.Reset()
	for pair := range slices.Chunk(fields, 2) {
		_ = p.fields.WriteField(hpack.HeaderField{Name: pair[0], Value: pair[1]})
	}
	_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: p.block.Bytes(), EndHeaders: true, EndStream: end})
}

// asks sends a request without a body; further fields are names and values by turns.
func (p *peer2) asks(stream uint32, end bool, method, path string, fields ...string) {
	p.headers(stream, end, append([]string{":method", method, ":scheme", "http", ":path", path, ":authority", "hello.mesh"}, fields...)...)
}

// calls sends the head of a call of gRPC.
func (p *peer2) calls(stream uint32, end bool) {
	p.asks(stream, end, "POST", "/a.B/C", "content-type", "application/grpc", "te", "trailers")
}

// next returns the next frame that is about a stream, or says that there will be none, in words such as
// "3 headers :status=200 end", "3 data hello", "3 reset CANCEL" and "goaway 3 NO_ERROR". Acknowledgements are sent.
func (p *peer2) next() string {
	for {
		f, err := p.ReadFrame()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return "end"
			}
			return "broken"
		}
		end := ""
		if f.Header().Flags.Has(http2.FlagDataEndStream) {
			end = " end"
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = p.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				_ = p.WritePing(true, f.Data)
			}
		case *http2.MetaHeadersFrame:
			var all []string
			for _, field := range f.Fields {
				all = append(all, field.Name+"="+field.Value)
			}
			return fmt.Sprintf("%d headers %s%s", f.StreamID, strings.Join(all, " "), end)
		case *http2.DataFrame:
			return fmt.Sprintf("%d data %s%s", f.StreamID, f.Data(), end)
		case *http2.RSTStreamFrame:
			return fmt.Sprintf("%d reset %s", f.StreamID, f.ErrCode)
		case *http2.GoAwayFrame:
			return fmt.Sprintf("goaway %d %s", f.LastStreamID, f.ErrCode)
		}
	}
}

// wants checks what comes next.
func (p *peer2) wants(frames ...string) {
	p.t.Helper()
	for _, want := range frames {
		if got := p.next(); got != want {
			p.t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// wantsEnd checks that no more frames come. An end that met something unread is a reset.
func (p *peer2) wantsEnd() {
	p.t.Helper()
	if got := p.next(); got != "end" && got != "broken" {
		p.t.Errorf("got %q, want the end of the connection", got)
	}
}

// begins begins the fields of a request, and does not end them.
func (p *peer2) begins(stream uint32) {
	_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte{0x82}})
}
