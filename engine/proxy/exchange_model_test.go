package proxy

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/meshd/meshd/engine/accesslog"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/snapshot"
)

// play is a mesh in which everybody does what they like: clients and endpoints, of HTTP/1 and of HTTP/2, and who configures it.
type play struct {
	*rig
	tcp bool // the service is one of bytes now and then

	mu        sync.Mutex
	chance    *rand.Rand
	endpoints []netip.AddrPort
	snaps     []*snapshot.Snapshot // all that there were
	asked     int
	told      map[string]int // paths in the access log, and how often
}

// draw returns a random number below n.
func (p *play) draw(n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.chance.IntN(n)
}

// path returns one that no request has had.
func (p *play) path() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	return fmt.Sprint("/", p.asked)
}

// configure publishes something else.
func (p *play) configure() {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := func(n int) bool { return p.chance.IntN(n) == 0 }
	p.protocol = mesh.HTTP
	if one(2) {
		p.protocol = mesh.HTTP2
	}
	if p.tcp && one(5) {
		p.protocol = mesh.TCP
	}
	endpoints := p.endpoints[:p.chance.IntN(len(p.endpoints)+1)]
	p.serve(func(c *mesh.Catalog) {
		hello := &c.Services[0]
		copies := *hello
		copies.Name, copies.Virtual4 = "copies", netip.AddrFrom4([4]byte{244, 0, 0, 2})
		hello.Edge = one(2)
		if one(2) {
			hello.MaxConnections, hello.MaxPending, hello.MaxRequests = p.chance.IntN(8), p.chance.IntN(3), p.chance.IntN(8)
		}
		to := &mesh.Destination{Service: "hello"}
		r := mesh.Route{Destination: to}
		if one(2) {
			to.Retry = retrying(1+p.chance.IntN(3), mesh.Retry5xx, mesh.RetryConnectFailure).Retry
			if one(2) {
				to.Retry.PerTryTimeout = 5 * time.Millisecond
			}
		}
		if one(3) {
			to.RequestTimeout = 10 * time.Millisecond
		}
		if one(3) {
			to.IdleTimeout = 7 * time.Millisecond
		}
		if one(3) {
			to.Mirror = &mesh.Mirror{Target: mesh.Target{Service: "copies"}, Share: mesh.Hundred / 2}
		}
		if one(3) {
			r.Fault = &mesh.Fault{Delay: &mesh.Delay{Share: mesh.Hundred / 2, Fixed: 3 * time.Millisecond},
				Abort: &mesh.Abort{Share: mesh.Hundred / 4, HTTPStatus: 418}}
		}
		if one(10) {
			r = mesh.Route{Respond: &mesh.Respond{Status: 200, Body: "hello"}}
		}
		if p.protocol != mesh.TCP {
			c.Routers = []mesh.Router{{Service: "hello", Routes: []mesh.Route{r}}}
		}
		c.Services = append(c.Services, copies)
		if one(8) {
			c.Services, c.Routers = nil, nil
		}
	}, endpoints...)
	p.snaps = append(p.snaps, p.snapshots.Load())
}

// endpoint plays a connection in the protocol that it turns out to be of.
func (p *play) endpoint(c *net.TCPConn) {
	first := make([]byte, 3)
	if _, err := io.ReadFull(c, first); err != nil {
		return
	}
	if string(first) != http2.ClientPreface[:3] {
		p.endpoint1(c, bufio.NewReader(io.MultiReader(bytes.NewReader(first), c)))
		return
	}
	if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface)-3)); err == nil {
		p.endpoint2(newPeer2(p.t, c))
	}
}

func (p *play) endpoint1(c *net.TCPConn, in *bufio.Reader) {
	for {
		request, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		action := p.draw(18)
		if action < 12 {
			if _, err := io.Copy(io.Discard, request.Body); err != nil {
				return
			}
		}
		text, stays, more := answer, false, true
		switch action {
		case 6:
			text = failing
		case 7:
			text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n"
		case 8:
			text = "HTTP/1.1 103 Early Hints\r\n\r\n" + answer
		case 9:
			text = "HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n" + strings.Repeat("a", 400_000)
		case 10, 12:
			reset(c)
			return
		case 11, 13:
			text, stays = "", true
		case 14:
			text, more = "nonsense\r\n\r\n", false
		case 15:
			text, stays = answer[:len(answer)-1-p.draw(len(answer)-1)], true
		case 16:
			text, more = "HTTP/1.1 200 OK\r\n\r\nhello", false
		case 17:
			if request.Header.Get("Upgrade") != "" {
				text, stays = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\nhello", true
			}
		}
		if request.Method == http.MethodHead {
			text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
		}
		if _, err := io.WriteString(c, text); err != nil || !more {
			return
		}
		if stays {
			_, _ = io.Copy(io.Discard, c)
			return
		}
	}
}

func (p *play) endpoint2(c *peer2) {
	for {
		got := c.next()
		var stream uint32
		var kind string
		if _, err := fmt.Sscan(got, &stream, &kind); err != nil {
			return
		}
		if kind == "data" {
			_ = c.WriteWindowUpdate(0, 16<<10)
		}
		if kind != "headers" {
			continue
		}
		switch p.draw(12) {
		case 0:
			_ = c.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
		case 1:
			_ = c.WriteRSTStream(stream, http2.ErrCode(p.draw(12)))
		case 2:
			_ = c.WriteGoAway(stream-uint32(p.draw(2))*min(stream, 2), http2.ErrCodeNo, nil)
		case 3:
			reset(c.TCPConn)
			return
		case 4:
			c.headers(stream, false, ":status", "200")
		case 5:
			c.headers(stream, false, ":status", "103")
			c.headers(stream, true, ":status", "204")
		case 6:
			c.headers(stream, true, ":status", "503")
		case 7:
		case 8:
			c.headers(stream, false, ":status", "200", "content-length", "10")
			_ = c.WriteData(stream, true, []byte("hello"))
		default:
			c.headers(stream, false, ":status", "200")
			_ = c.WriteData(stream, false, []byte("hello"))
			c.headers(stream, true, "a", "b")
		}
	}
}

// patience is how long clients wait for an answer. Some come only after that, or never.
const patience = 15 * time.Millisecond

// request returns the text of a request, of which some are none.
func (p *play) request(path string) string {
	head := " " + path + " HTTP/1.1\r\nHost: hello.mesh\r\n"
	length := "Content-Length: %d\r\n\r\n%s"
	chunked := "Transfer-Encoding: chunked\r\n\r\n"
	switch p.draw(10) {
	case 0:
		return "POST" + head + fmt.Sprintf(length, 5, "hello")
	case 1:
		return "PUT" + head + fmt.Sprintf(length, 300_000, strings.Repeat("a", 300_000))
	case 2:
		return "POST" + head + chunked + "5\r\nhello\r\n0\r\n\r\n"
	case 3:
		return "POST" + head + chunked + "5\r\nhello\r\nnonsense\r\n"
	case 4:
		return "HEAD" + head + "\r\n"
	case 5:
		return "GET" + head + "Connection: upgrade\r\nUpgrade: a\r\n\r\n"
	case 6:
		return "POST" + head + "Expect: 100-continue\r\n" + fmt.Sprintf(length, 5, "hello")
	}
	return "GET" + head + "\r\n"
}

// client1 is a client of HTTP/1.
func (p *play) client1() {
	c := p.dial(virtual)
	defer c.Close()
	in := bufio.NewReader(c)
	owed, large := 0, false
	for range 1 + p.draw(5) {
		text := p.request(p.path())
		owed++
		large = large || len(text) > 10_000
		cut := len(text)
		switch p.draw(6) {
		case 0:
			cut = p.draw(len(text))
		case 1, 2:
			cut -= min(cut, 1+p.draw(20))
		}
		_ = c.SetDeadline(time.Now().Add(patience))
		if _, err := io.WriteString(c, text[:cut]); err != nil {
			break
		}
		if p.draw(6) == 0 {
			p.configure()
		}
		if p.draw(8) == 0 {
			break
		}
		if cut < len(text) { // nothing tells when the first part has been read
			_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
			_, _ = in.Peek(1)
			_ = c.SetReadDeadline(time.Now().Add(patience))
		}
		if _, err := io.WriteString(c, text[cut:]); err != nil {
			break
		}
		switch p.draw(12) {
		case 0:
			_ = c.CloseWrite()
		case 1, 2: // the next request comes before the answer to this
			continue
		}
		method, _, _ := strings.Cut(text, " ")
		response, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			break
		}
		if _, err = io.Copy(io.Discard, response.Body); err != nil || response.StatusCode == 101 || response.Close {
			break
		}
		if response.StatusCode >= 200 {
			owed--
		}
	}
	if owed > 1 || large || p.draw(2) == 0 { // the end of a stream is not seen that is behind what nobody takes yet
		reset(c)
	}
}

// client2 is a client of HTTP/2.
func (p *play) client2() {
	to := p.dial(virtual)
	defer to.Close()
	_, _ = io.WriteString(to, http2.ClientPreface) // fails when it has been refused, and then so does all that follows
	c := newPeer2(p.t, to)
	for i := range 1 + p.draw(6) {
		_ = c.SetDeadline(time.Now().Add(patience))
		stream := uint32(2*i + 1)
		path := p.path()
		switch p.draw(8) {
		case 0:
			c.asks(stream, false, "POST", path)
			_ = c.WriteData(stream, true, []byte("hello"))
		case 1:
			c.asks(stream, false, "POST", path, "content-length", "6")
			_ = c.WriteData(stream, true, []byte("hello"))
		case 2:
			c.asks(stream, false, "PUT", path)
			_ = c.WriteData(stream, false, make([]byte, 16<<10))
			c.headers(stream, true, "a", "b")
		case 3:
			c.asks(stream, false, "PUT", path)
			_ = c.WriteRSTStream(stream, http2.ErrCodeCancel)
		case 4:
			c.asks(stream, false, "PUT", path) // and never ends it
		case 5:
			c.calls(stream, true)
		default:
			c.asks(stream, true, "GET", path)
		}
		if p.draw(6) == 0 {
			p.configure()
		}
		if p.draw(2) == 0 {
			continue
		}
		for got := ""; !strings.HasSuffix(got, " end") && !strings.Contains(got, " reset "); {
			if got = c.next(); got == "end" || got == "broken" {
				return
			}
		}
	}
	if p.draw(2) == 0 {
		reset(c.TCPConn)
	}
}

// faultsShow is a log in which nothing may panic.
type faultsShow struct {
	recorder
	t testing.TB
}

func (f *faultsShow) Handle(_ context.Context, record slog.Record) error {
	if strings.Contains(record.Message, "panicked") {
		record.Attrs(func(a slog.Attr) bool {
			f.t.Errorf("%s: %s: %s", record.Message, a.Key, a.Value)
			return true
		})
	}
	return nil
}

// TestExchangesCountOnce has everybody do what they like, and wants nothing to be held or counted when all are gone, and each
// request to be told of once.
func TestExchangesCountOnce(t *testing.T) {
	const seeds, together, clients = 60, 2, 20
	var all sync.WaitGroup
	var told atomic.Int64
	for worker := range together {
		all.Go(func() {
			for seed := worker; seed < seeds; seed += together {
				t.Run(fmt.Sprint(seed), func(t *testing.T) { told.Add(newPlay(t, uint64(seed)).act(clients)) })
			}
		})
	}
	all.Wait()
	if n := told.Load(); n < seeds*clients/4 {
		t.Errorf("only %d requests were made", n)
	}
}

func newPlay(t *testing.T, seed uint64) *play {
	p := &play{
		tcp: seed%4 == 0, chance: rand.New(rand.NewPCG(seed, 0)), told: map[string]int{},
	}
	p.endpoints = []netip.AddrPort{endpoint(t, p.endpoint), endpoint(t, p.endpoint), dead(t)}
	p.rig = newRig(t, func(c *Config) { c.Log = slog.New(&faultsShow{t: t}) })
	p.accessLog.Use(accesslog.NewSink(accesslog.JSON, writer(p.hear)))
	p.configure()
	return p
}

// hear notes what the access log tells of.
func (p *play) hear(lines []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for line := range bytes.Lines(lines) {
		var got struct{ Protocol, Path string }
		if err := json.Unmarshal(line, &got); err != nil {
			p.t.Error(err)
		}
		if got.Protocol != string(mesh.TCP) {
			p.told[got.Path]++
		}
	}
}

// act returns how many requests were told of.
func (p *play) act(clients int) int64 {
	var together sync.WaitGroup
	for range 4 {
		together.Go(func() {
			for range clients / 4 {
				if p.draw(2) == 0 {
					p.client1()
				} else {
					p.client2()
				}
			}
		})
	}
	if p.draw(3) == 0 { // they meet the end of meshd
		together.Go(func() {
			p.client1()
			p.inLoops(func(l *loop) {
				for _, c := range l.conns() {
					c.end(mesh.ReasonShutdown, errShutdown)
				}
			})
		})
	}
	together.Wait()
	p.eventually("all connections have been accepted", func() bool { return p.ids.Load() == p.dialled.Load() })
	p.eventually("all connections have ended", func() bool { return p.held.Load() == 0 })
	p.inLoops(func(l *loop) {
		l.endMirrors(l.now.Add(time.Hour))
		l.closeIdle(l.now.Add(time.Hour))
	})
	p.inLoops(p.wantEmpty)
	p.wantNoCounts()
	p.accessLog.Close()
	done, failed := p.counted()
	told := 0
	for path, n := range p.told {
		if told += n; n > 1 && path != "" && path != "/a.B/C" {
			p.t.Errorf("%d requests for %s were told of", n, path)
		}
	}
	if done+failed != told {
		p.t.Errorf("%d requests were counted, and %d told of", done+failed, told)
	}
	return int64(told)
}
