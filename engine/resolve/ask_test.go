package resolve

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// server is a name server on loopback. What it does with a query, answer says; a nil answer is none at all.
type server struct {
	address netip.AddrPort
	answer  func(network string, q dnsmessage.Message) *dnsmessage.Message

	mu      sync.Mutex
	queries int
}

func serve(t *testing.T, answer func(network string, q dnsmessage.Message) *dnsmessage.Message) *server {
	t.Helper()
	tcp, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	s := &server{address: tcp.Addr().(*net.TCPAddr).AddrPort(), answer: answer}
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(s.address))
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { s.serveUDP(udp) })
	running.Go(func() { s.serveTCP(tcp) })
	t.Cleanup(func() {
		udp.Close()
		tcp.Close()
		running.Wait()
	})
	return s
}

func (s *server) serveUDP(c *net.UDPConn) {
	buffer := make([]byte, maxMessage)
	for {
		n, client, err := c.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return
		}
		if reply := s.reply("udp", buffer[:n]); reply != nil {
			_, _ = c.WriteToUDPAddrPort(reply, client)
		}
	}
}

func (s *server) serveTCP(l *net.TCPListener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err == nil {
			query := make([]byte, binary.BigEndian.Uint16(size[:]))
			if _, err := io.ReadFull(c, query); err == nil {
				reply := s.reply("tcp", query)
				_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
			}
		}
		c.Close()
	}
}

func (s *server) reply(network string, query []byte) []byte {
	var q dnsmessage.Message
	if q.Unpack(query) != nil {
		return nil
	}
	s.mu.Lock()
	s.queries++
	s.mu.Unlock()
	m := s.answer(network, q)
	if m == nil {
		return nil
	}
	packed, err := m.Pack()
	if err != nil {
		return nil
	}
	return packed
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queries
}

// to begins the answer to a query.
func to(q dnsmessage.Message, records ...dnsmessage.Resource) *dnsmessage.Message {
	return &dnsmessage.Message{Header: dnsmessage.Header{ID: q.ID, Response: true}, Questions: q.Questions, Answers: records}
}

func refuse(q dnsmessage.Message, code dnsmessage.RCode) *dnsmessage.Message {
	m := to(q)
	m.RCode = code
	return m
}

func record(name string, ttl uint32, body dnsmessage.ResourceBody) dnsmessage.Resource {
	return dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET, TTL: ttl}, Body: body,
	}
}

// db answers that db.example.com is another name, which has the addresses one and two, and six.
func db(q dnsmessage.Message) *dnsmessage.Message {
	alias := record("db.example.com.", 300, &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName("db-1.example.com.")})
	if q.Questions[0].Type == dnsmessage.TypeAAAA {
		return to(q, alias, record("db-1.example.com.", 600, &dnsmessage.AAAAResource{AAAA: six.As16()}))
	}
	return to(q, alias,
		record("db-1.example.com.", 20, &dnsmessage.AResource{A: one.As4()}),
		record("db-1.example.com.", 30, &dnsmessage.AResource{A: two.As4()}))
}

func resolver(servers ...*server) *Resolver {
	return New(Config{Servers: func(string) []netip.AddrPort {
		var all []netip.AddrPort
		for _, s := range servers {
			all = append(all, s.address)
		}
		return all
	}})
}

func TestAsk(t *testing.T) {
	s := serve(t, func(_ string, q dnsmessage.Message) *dnsmessage.Message { return db(q) })
	got := resolver(s).ask(t.Context(), "db.example.com")
	if a := got[0]; !slices.Equal(a.addresses, []netip.Addr{one, two}) || a.ttl != 20*time.Second || a.err != nil {
		t.Errorf("IPv4: %+v", a)
	}
	if a := got[1]; !slices.Equal(a.addresses, []netip.Addr{six}) || a.ttl != 300*time.Second || a.err != nil {
		t.Errorf("IPv6: %+v", a)
	}
}

func TestAskByTCPWhenTruncated(t *testing.T) {
	s := serve(t, func(network string, q dnsmessage.Message) *dnsmessage.Message {
		if network == "udp" {
			m := to(q)
			m.Truncated = true
			return m
		}
		return db(q)
	})
	got := resolver(s).ask(t.Context(), "db.example.com")
	if !slices.Equal(got[0].addresses, []netip.Addr{one, two}) || got[0].err != nil {
		t.Errorf("IPv4: %+v", got[0])
	}
}

// TestAskIgnoresForgeries sends answers with another id or question before the right one.
func TestAskIgnoresForgeries(t *testing.T) {
	evil := func(q dnsmessage.Message) *dnsmessage.Message {
		return to(q, record("db.example.com.", 300, &dnsmessage.AResource{A: [4]byte{6, 6, 6, 6}}))
	}
	forgeries := []func(q dnsmessage.Message) *dnsmessage.Message{
		func(q dnsmessage.Message) *dnsmessage.Message { m := evil(q); m.ID++; return m },
		func(q dnsmessage.Message) *dnsmessage.Message { m := evil(q); m.Response = false; return m },
		func(q dnsmessage.Message) *dnsmessage.Message { m := evil(q); m.Questions = nil; return m },
		func(q dnsmessage.Message) *dnsmessage.Message {
			m := evil(q)
			m.Questions = []dnsmessage.Question{{Name: dnsmessage.MustNewName("x.example.com."), Type: q.Questions[0].Type, Class: q.Questions[0].Class}}
			return m
		},
	}
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		buffer := make([]byte, maxMessage)
		for {
			n, client, err := udp.ReadFromUDPAddrPort(buffer)
			var q dnsmessage.Message
			if err != nil || q.Unpack(buffer[:n]) != nil {
				return
			}
			_, _ = udp.WriteToUDPAddrPort([]byte("not a message"), client)
			for _, forge := range append(forgeries, db) {
				packed, _ := forge(q).Pack()
				_, _ = udp.WriteToUDPAddrPort(packed, client)
			}
		}
	})
	defer running.Wait()
	defer udp.Close()
	got := resolver(&server{address: udp.LocalAddr().(*net.UDPAddr).AddrPort()}).ask(t.Context(), "db.example.com")
	if !slices.Equal(got[0].addresses, []netip.Addr{one, two}) || got[0].err != nil {
		t.Errorf("IPv4: %+v", got[0])
	}
}

func TestAskNextServer(t *testing.T) {
	failing := serve(t, func(_ string, q dnsmessage.Message) *dnsmessage.Message {
		return refuse(q, dnsmessage.RCodeServerFailure)
	})
	good := serve(t, func(_ string, q dnsmessage.Message) *dnsmessage.Message { return db(q) })
	got := resolver(failing, good).ask(t.Context(), "db.example.com")
	if err := got.err(); err != nil || len(got[0].addresses) != 2 || failing.count() != 2 {
		t.Errorf("%+v; the first server had %d queries", got, failing.count())
	}
}

// TestAskBelievesNoName checks that a name which does not exist is not asked of the next server.
func TestAskBelievesNoName(t *testing.T) {
	first := serve(t, func(_ string, q dnsmessage.Message) *dnsmessage.Message { return refuse(q, dnsmessage.RCodeNameError) })
	second := serve(t, func(_ string, q dnsmessage.Message) *dnsmessage.Message { return db(q) })
	got := resolver(first, second).ask(t.Context(), "db.example.com")
	if !errors.Is(got.failure(), errNoName) || second.count() != 0 {
		t.Errorf("%v; the second server had %d queries", got.failure(), second.count())
	}
}

func TestAskTellsWhy(t *testing.T) {
	refusing := serve(t, func(_ string, q dnsmessage.Message) *dnsmessage.Message { return refuse(q, dnsmessage.RCodeRefused) })
	tests := []struct {
		about string
		got   result
		want  string
	}{
		{"refused", resolver(refusing).ask(t.Context(), "db.example.com"), refusing.address.String() + " answers: Refused"},
		{"no server", resolver().ask(t.Context(), "db.example.com"), "the host has no name server"},
	}
	for _, tt := range tests {
		if err := tt.got.failure(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.about, err, tt.want)
		}
	}
	if refusing.count() != 2*rounds {
		t.Errorf("%d queries to a server that refuses, want %d", refusing.count(), 2*rounds)
	}
}
