package dns

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience ends a test that hangs; nothing passes or fails by how long it took.
const patience = 20 * time.Second

type fakeNames map[string][2]netip.Addr

func (n fakeNames) Virtual(service string) (v4, v6 netip.Addr, ok bool) {
	a, ok := n[service]
	return a[0], a[1], ok
}

func (n fakeNames) ListenerPort(service, listener string) (port uint16, ok bool) {
	if service == "billing" && listener == "grpc" {
		return 9090, true
	}
	return 0, false
}

func (n fakeNames) Hostname(name string) (v4, v6 netip.Addr, ok bool) {
	switch name {
	case "api.example.com":
		return n.Virtual("billing")
	case "old.example.com":
		return n.Virtual("legacy")
	}
	return netip.Addr{}, netip.Addr{}, false
}

var testNames = fakeNames{
	"billing": {netip.MustParseAddr("244.1.2.3"), netip.MustParseAddr("fd6d:6573:6864::1")},
	"legacy":  {netip.MustParseAddr("244.1.2.4")},
	"modern":  {{}, netip.MustParseAddr("fd6d:6573:6864::2")},
	"nightly": {},
}

func newServer(t testing.TB, cfg Config) *Server {
	t.Helper()
	if cfg.Domain == nil {
		cfg.Domain = func() string { return "mesh" }
	}
	cfg.Names = func() Names { return testNames }
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// pack builds a query with one question, as a stub resolver would, and lets edit change it first.
func pack(t testing.TB, name string, typ dnsmessage.Type, edit ...func(*dnsmessage.Message)) []byte {
	t.Helper()
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 0xbeef, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: typ, Class: dnsmessage.ClassINET}},
	}
	for _, e := range edit {
		e(&m)
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// withEDNS adds an OPT record to a query.
func withEDNS(size int, version byte, dnssec bool) func(*dnsmessage.Message) {
	return func(m *dnsmessage.Message) {
		r := dnsmessage.Resource{Body: &dnsmessage.OPTResource{}}
		r.Header.SetEDNS0(size, dnsmessage.RCodeSuccess, dnssec)
		r.Header.TTL |= uint32(version) << 16
		m.Additionals = append(m.Additionals, r)
	}
}

func withID(id uint16) func(*dnsmessage.Message) {
	return func(m *dnsmessage.Message) { m.ID = id }
}

func unpack(t testing.TB, msg []byte) dnsmessage.Message {
	t.Helper()
	var m dnsmessage.Message
	if err := m.Unpack(msg); err != nil {
		t.Fatalf("unpack %x: %v", msg, err)
	}
	return m
}

// asAnswer turns a query into an answer to it, without records, and with bytes behind that no parser would write.
func asAnswer(query []byte, tail ...byte) []byte {
	b := append([]byte(nil), query...)
	b[2] |= 0x80
	return append(b, tail...)
}

// listen opens a UDP socket and a TCP listener on one port.
func listen(t testing.TB, ip netip.Addr) (*net.UDPConn, *net.TCPListener) {
	t.Helper()
	for range 100 {
		l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
		if err != nil {
			t.Fatal(err)
		}
		u, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(l.Addr().(*net.TCPAddr).AddrPort()))
		if err == nil {
			t.Cleanup(func() { u.Close(); l.Close() })
			return u, l
		}
		l.Close() // another process has the port for UDP
	}
	t.Fatal("no port is free for both UDP and TCP")
	return nil, nil
}

// handler is what a fake resolver does with a query: the messages that it sends back. By TCP, none or an empty one
// closes the connection.
type handler func(network string, query []byte) (answers [][]byte)

// startResolver runs a resolver on loopback that answers as h says, until the test ends.
func startResolver(t testing.TB, ip netip.Addr, h handler) netip.AddrPort {
	t.Helper()
	u, l := listen(t, ip)
	var running sync.WaitGroup
	t.Cleanup(func() { u.Close(); l.Close(); running.Wait() })
	running.Go(func() {
		buf := make([]byte, maxMessage)
		for {
			n, from, err := u.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			for _, a := range h("udp", append([]byte(nil), buf[:n]...)) {
				u.WriteToUDPAddrPort(a, from)
			}
		}
	})
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(patience))
				for {
					buf, n, err := readMessage(c)
					if err != nil {
						return
					}
					answers := h("tcp", append([]byte(nil), (*buf)[prefixSize:n]...))
					if answers == nil {
						return
					}
					for _, a := range answers {
						if len(a) == 0 {
							return
						}
						c.Write(frame(a))
					}
				}
			})
		}
	})
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func frame(msg []byte) []byte {
	return append([]byte{byte(len(msg) >> 8), byte(len(msg))}, msg...)
}

// running is a server that serves one binding on loopback.
type running struct {
	server  *Server
	addr    netip.AddrPort
	results chan string
	cancel  func() // tells Serve to end
	stop    func() // tells it and waits for it; may be called again
	binding Binding
}

var loopback4, loopback6 = netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")

func start(t testing.TB, cfg Config, resolver netip.AddrPort) *running {
	t.Helper()
	r := &running{results: make(chan string, 10000)}
	cfg.Observe = func(result string) { r.results <- result }
	r.server = newServer(t, cfg)
	ip := loopback4
	if resolver.Addr().Is6() {
		ip = loopback6
	}
	u, l := listen(t, ip)
	r.addr = l.Addr().(*net.TCPAddr).AddrPort()
	r.binding = Binding{Resolver: resolver, UDP: u, TCP: l}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	ended := make(chan error, 1)
	go func() { ended <- r.server.Serve(ctx, r.binding) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

// want takes the next result and compares it.
func (r *running) want(t testing.TB, result string) {
	t.Helper()
	select {
	case got := <-r.results:
		if got != result {
			t.Fatalf("result %q, want %q", got, result)
		}
	case <-time.After(patience):
		t.Fatalf("no result, want %q", result)
	}
}

func (r *running) dial(t testing.TB, network string) net.Conn {
	t.Helper()
	c, err := net.Dial(network, r.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// ask sends a query and returns the next message that comes back.
func ask(t testing.TB, c net.Conn, query []byte) []byte {
	t.Helper()
	send(t, c, query)
	return receive(t, c)
}

func send(t testing.TB, c net.Conn, msg []byte) {
	t.Helper()
	if c.RemoteAddr().Network() == "tcp" {
		msg = frame(msg)
	}
	if _, err := c.Write(msg); err != nil {
		t.Fatal(err)
	}
}

func receive(t testing.TB, c net.Conn) []byte {
	t.Helper()
	if c.RemoteAddr().Network() == "tcp" {
		buf, n, err := readMessage(c)
		if err != nil {
			t.Fatal(err)
		}
		return (*buf)[prefixSize:n]
	}
	buf := make([]byte, maxMessage)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

// wantClosed reads until the end of a connection and fails when it does not come.
func wantClosed(t testing.TB, c net.Conn) {
	t.Helper()
	if _, err := io.Copy(io.Discard, c); isTimeout(err) {
		t.Fatal("the connection stays open")
	}
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}
