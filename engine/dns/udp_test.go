package dns

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// families are the loopback addresses at which everything must hold.
var families = map[string]netip.Addr{"IPv4": loopback4, "IPv6": loopback6}

// nobody is a resolver that no test asks anything.
func nobody(t *testing.T) handler {
	return func(network string, query []byte) [][]byte {
		t.Errorf("the resolver was asked by %s: %x", network, query)
		return nil
	}
}

func TestLocalAnswer(t *testing.T) {
	for family, ip := range families {
		for _, network := range []string{"udp", "tcp"} {
			t.Run(family+" "+network, func(t *testing.T) {
				r := start(t, Config{}, startResolver(t, ip, nobody(t)))
				c := r.dial(t, network)
				m := unpack(t, ask(t, c, pack(t, "billing.mesh.", dnsmessage.TypeA)))
				r.want(t, ResultAnswered)
				checkRecords(t, m, "244.1.2.3")
				m = unpack(t, ask(t, c, pack(t, "nobody.mesh.", dnsmessage.TypeA)))
				r.want(t, ResultNegative)
				checkRecords(t, m, "")
			})
		}
	}
}

// Bytes that mean nothing to us, on both ways, show that nothing was parsed and written anew.
func TestForwardByteForByte(t *testing.T) {
	queries := map[string][]byte{
		"lookup":      append(pack(t, "exAMPLE.com.", dnsmessage.TypeTXT, withEDNS(4096, 0, true)), "behind"...),
		"update":      pack(t, "mesh.", dnsmessage.TypeSOA, func(m *dnsmessage.Message) { m.OpCode = 5 }),
		"no question": pack(t, "mesh.", dnsmessage.TypeSOA, func(m *dnsmessage.Message) { m.Questions = nil }),
		"broken":      append(pack(t, "billing.mesh.", dnsmessage.TypeA)[:20], 0xff),
	}
	for family, ip := range families {
		for _, network := range []string{"udp", "tcp"} {
			for name, query := range queries {
				t.Run(family+" "+network+" "+name, func(t *testing.T) {
					answer := append(asAnswer(query), "more"...)
					answer[2] |= 0x02 // TC
					asked := make(chan []byte, 1)
					r := start(t, Config{}, startResolver(t, ip, func(by string, query []byte) [][]byte {
						if by != network {
							t.Errorf("asked by %s, want %s", by, network)
						}
						asked <- query
						return [][]byte{answer}
					}))
					if got := ask(t, r.dial(t, network), query); !bytes.Equal(got, answer) {
						t.Errorf("answer %x, want %x", got, answer)
					}
					if got := <-asked; !bytes.Equal(got, query) {
						t.Errorf("the resolver was asked %x, want %x", got, query)
					}
					r.want(t, ResultForwarded)
				})
			}
		}
	}
}

func TestForwardLargeAnswer(t *testing.T) {
	query := pack(t, "example.com.", dnsmessage.TypeTXT, withEDNS(32000, 0, false))
	answer := asAnswer(query, make([]byte, 30000)...)
	r := start(t, Config{}, startResolver(t, loopback4, func(string, []byte) [][]byte { return [][]byte{answer} }))
	for _, network := range []string{"udp", "tcp"} {
		if got := ask(t, r.dial(t, network), query); !bytes.Equal(got, answer) {
			t.Errorf("%s: %d bytes, want the %d that were sent", network, len(got), len(answer))
		}
	}
}

func TestForwardIgnoresStrays(t *testing.T) {
	query := pack(t, "example.com.", dnsmessage.TypeA)
	right := asAnswer(query, 1)
	r := start(t, Config{}, startResolver(t, loopback4, func(string, []byte) [][]byte {
		return [][]byte{
			asAnswer(pack(t, "example.com.", dnsmessage.TypeA, withID(7))),
			asAnswer(pack(t, "example.org.", dnsmessage.TypeA)),
			query,
			[]byte("noise"),
			right,
		}
	}))
	if got := ask(t, r.dial(t, "udp"), query); !bytes.Equal(got, right) {
		t.Errorf("answer %x, want %x", got, right)
	}
	r.want(t, ResultForwarded)
}

func TestForwardSilence(t *testing.T) {
	r := start(t, Config{Timeout: 10 * time.Millisecond}, startResolver(t, loopback4, func(string, []byte) [][]byte { return nil }))
	c := r.dial(t, "udp")
	send(t, c, pack(t, "example.com.", dnsmessage.TypeA, withID(1)))
	r.want(t, ResultUpstreamFailed)
	// The next message that arrives is the answer to the next query, so the first one has none.
	if m := unpack(t, ask(t, c, pack(t, "billing.mesh.", dnsmessage.TypeA, withID(2)))); m.ID != 2 {
		t.Errorf("query %d was answered, want silence as the resolver's", m.ID)
	}
}

// closedPort returns an address at which nobody listens.
func closedPort(t *testing.T, ip netip.Addr) netip.AddrPort {
	t.Helper()
	u, l := listen(t, ip)
	u.Close()
	l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func TestForwardRefused(t *testing.T) {
	for family, ip := range families {
		for _, network := range []string{"udp", "tcp"} {
			t.Run(family+" "+network, func(t *testing.T) {
				r := start(t, Config{}, closedPort(t, ip))
				m := unpack(t, ask(t, r.dial(t, network), pack(t, "example.com.", dnsmessage.TypeA, withEDNS(1232, 0, false))))
				r.want(t, ResultUpstreamFailed)
				if m.ID != 0xbeef || m.RCode != dnsmessage.RCodeServerFailure || m.Authoritative || len(m.Questions) != 1 || len(m.Additionals) != 1 {
					t.Errorf("got %v, want SERVFAIL to the question", m.GoString())
				}
			})
		}
	}
}

func TestMalformedIsDropped(t *testing.T) {
	r := start(t, Config{}, startResolver(t, loopback4, nobody(t)))
	c := r.dial(t, "udp")
	for _, msg := range [][]byte{{}, []byte("short"), asAnswer(pack(t, "billing.mesh.", dnsmessage.TypeA, withID(1)))} {
		send(t, c, msg)
		r.want(t, ResultMalformed)
	}
	if m := unpack(t, ask(t, c, pack(t, "billing.mesh.", dnsmessage.TypeA, withID(2)))); m.ID != 2 {
		t.Errorf("message %d was answered, want silence", m.ID)
	}
}

func TestStopLetsQueriesEnd(t *testing.T) {
	query := pack(t, "example.com.", dnsmessage.TypeA)
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			asked, release := make(chan struct{}), make(chan struct{})
			r := start(t, Config{}, startResolver(t, loopback4, func(_ string, query []byte) [][]byte {
				asked <- struct{}{}
				<-release
				return [][]byte{asAnswer(query)}
			}))
			c := r.dial(t, network)
			send(t, c, query)
			<-asked
			r.cancel()
			close(release)
			if got := receive(t, c); !bytes.Equal(got, asAnswer(query)) {
				t.Errorf("answer %x, want %x", got, asAnswer(query))
			}
			r.stop()
		})
	}
}

func TestStopDoesNotWaitForDeadResolver(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			asked, release := make(chan struct{}), make(chan struct{})
			addr := startResolver(t, loopback4, func(string, []byte) [][]byte {
				asked <- struct{}{}
				<-release
				return nil
			})
			defer close(release)
			r := start(t, Config{Timeout: time.Hour}, addr)
			send(t, r.dial(t, network), pack(t, "example.com.", dnsmessage.TypeA))
			<-asked
			r.stop()
			r.want(t, ResultUpstreamFailed)
		})
	}
}

func TestSocketsOutliveServe(t *testing.T) {
	r := start(t, Config{}, startResolver(t, loopback4, nobody(t)))
	r.stop()
	ended := make(chan error, 1)
	go func() { ended <- r.server.Serve(t.Context(), r.binding) }()
	for _, network := range []string{"udp", "tcp"} {
		checkRecords(t, unpack(t, ask(t, r.dial(t, network), pack(t, "billing.mesh.", dnsmessage.TypeA))), "244.1.2.3")
	}
	r.binding.UDP.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve over a closed socket: %v, want %v", err, net.ErrClosed)
	}
}

func TestServeWantsWholeBinding(t *testing.T) {
	if err := newServer(t, Config{}).Serve(t.Context(), Binding{}); err == nil {
		t.Error("Serve took a binding without sockets")
	}
}

func TestNewWantsNames(t *testing.T) {
	domain, names := func() string { return "" }, func() Names { return nil }
	for name, cfg := range map[string]Config{
		"no domain":        {Names: names},
		"no names":         {Domain: domain},
		"negative bound":   {Domain: domain, Names: names, MaxInflight: -1},
		"negative timeout": {Domain: domain, Names: names, Timeout: -1},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: New gave no error", name)
		}
	}
}
