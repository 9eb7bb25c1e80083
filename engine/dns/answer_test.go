package dns

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"
)

func TestAnswer(t *testing.T) {
	const (
		a, aaaa, any, srv, soaType = dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypeALL, dnsmessage.TypeSRV, dnsmessage.TypeSOA
		ok, nx                     = dnsmessage.RCodeSuccess, dnsmessage.RCodeNameError
	)
	tests := map[string]struct {
		name   string
		typ    dnsmessage.Type
		result string // empty: forwarded
		code   dnsmessage.RCode
		addr   string
	}{
		"A":                        {"billing.mesh.", a, ResultAnswered, ok, "244.1.2.3"},
		"AAAA":                     {"billing.mesh.", aaaa, ResultAnswered, ok, "fd6d:6573:6864::1"},
		"any case":                 {"BilLing.MeSH.", a, ResultAnswered, ok, "244.1.2.3"},
		"ANY is one address":       {"billing.mesh.", any, ResultAnswered, ok, "244.1.2.3"},
		"ANY of IPv6 alone":        {"modern.mesh.", any, ResultAnswered, ok, "fd6d:6573:6864::2"},
		"no IPv6":                  {"legacy.mesh.", aaaa, ResultNegative, ok, ""},
		"no IPv4":                  {"modern.mesh.", a, ResultNegative, ok, ""},
		"other type":               {"billing.mesh.", dnsmessage.TypeMX, ResultNegative, ok, ""},
		"type without a name":      {"billing.mesh.", dnsmessage.TypeHTTPS, ResultNegative, ok, ""},
		"only calls":               {"nightly.mesh.", a, ResultNegative, nx, ""},
		"unknown":                  {"nobody.mesh.", a, ResultNegative, nx, ""},
		"unknown, other type":      {"nobody.mesh.", dnsmessage.TypeTXT, ResultNegative, nx, ""},
		"deeper":                   {"www.billing.mesh.", a, ResultNegative, nx, ""},
		"apex":                     {"mesh.", a, ResultNegative, ok, ""},
		"apex NS":                  {"mesh.", dnsmessage.TypeNS, ResultNegative, ok, ""},
		"above a listener":         {"_tcp.billing.mesh.", a, ResultNegative, ok, ""},
		"above no listener":        {"_tcp.nobody.mesh.", a, ResultNegative, nx, ""},
		"listener, other type":     {"_grpc._tcp.billing.mesh.", a, ResultNegative, ok, ""},
		"unknown listener":         {"_http._tcp.billing.mesh.", srv, ResultNegative, nx, ""},
		"listener of nobody":       {"_grpc._tcp.nobody.mesh.", srv, ResultNegative, nx, ""},
		"listener by UDP":          {"_grpc._udp.billing.mesh.", srv, ResultNegative, nx, ""},
		"SRV of a service":         {"billing.mesh.", srv, ResultNegative, ok, ""},
		"apex SOA":                 {"MESH.", soaType, ResultAnswered, ok, ""},
		"outside":                  {"example.com.", a, "", 0, ""},
		"short name outside":       {"h.", a, "", 0, ""},
		"root":                     {".", dnsmessage.TypeNS, "", 0, ""},
		"domain is a whole label":  {"billing.amesh.", a, "", 0, ""},
		"domain is not in between": {"billing.mesh.example.", a, "", 0, ""},
		"reverse":                  {"3.2.1.244.in-addr.arpa.", dnsmessage.TypePTR, "", 0, ""},
	}
	s := newServer(t, Config{})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			msg := pack(t, test.name, test.typ)
			q, parsed := parse(msg)
			if !parsed {
				t.Fatal("the query was not parsed")
			}
			reply, result := s.answer(nil, &q, maxMessage)
			if result != test.result {
				t.Fatalf("result %q, want %q", result, test.result)
			}
			if test.result == "" {
				return
			}
			if !bytes.Equal(reply[12:len(msg)], msg[12:]) {
				t.Errorf("the question came back as %q, want %q", reply[12:len(msg)], msg[12:])
			}
			m := unpack(t, reply)
			want := dnsmessage.Header{
				ID: 0xbeef, Response: true, Authoritative: true, RecursionDesired: true, RecursionAvailable: true, RCode: test.code,
			}
			if diff := cmp.Diff(want, m.Header); diff != "" {
				t.Error(diff)
			}
			checkRecords(t, m, test.addr)
		})
	}
}

// checkRecords wants one address in the answer, or one SOA in the section where its question and result put it.
func checkRecords(t *testing.T, m dnsmessage.Message, addr string) {
	t.Helper()
	if addr != "" {
		if len(m.Answers) != 1 || len(m.Authorities) != 0 || m.Answers[0].Header.TTL != 5 {
			t.Fatalf("got %v and %v, want one address for 5 s", m.Answers, m.Authorities)
		}
		var got netip.Addr
		switch r := m.Answers[0].Body.(type) {
		case *dnsmessage.AResource:
			got = netip.AddrFrom4(r.A)
		case *dnsmessage.AAAAResource:
			got = netip.AddrFrom16(r.AAAA)
		}
		if got.String() != addr {
			t.Errorf("address %s, want %s", got, addr)
		}
		return
	}
	records, none, seconds := m.Authorities, m.Answers, uint32(negativeTTL)
	if m.Questions[0].Type == dnsmessage.TypeSOA {
		records, none, seconds = none, records, ttl
	}
	if len(records) != 1 || len(none) != 0 {
		t.Fatalf("got %v and %v, want one SOA", m.Answers, m.Authorities)
	}
	r, ok := records[0].Body.(*dnsmessage.SOAResource)
	if !ok || !strings.EqualFold(records[0].Header.Name.String(), "mesh.") || records[0].Header.TTL != seconds || r.MinTTL != 1 {
		t.Errorf("got %v, want the SOA of mesh for %d s", records[0], seconds)
	}
}

func TestAnswerEDNS(t *testing.T) {
	s := newServer(t, Config{})
	tests := map[string]struct {
		edit   func(*dnsmessage.Message)
		code   dnsmessage.RCode
		result string
		dnssec bool
	}{
		"plain":        {withEDNS(4096, 0, false), dnsmessage.RCodeSuccess, ResultAnswered, false},
		"small":        {withEDNS(0, 0, false), dnsmessage.RCodeSuccess, ResultAnswered, false},
		"DO is copied": {withEDNS(1400, 0, true), dnsmessage.RCodeSuccess, ResultAnswered, true},
		"version 1":    {withEDNS(1400, 1, false), badVersion, ResultNegative, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			q, _ := parse(pack(t, "billing.mesh.", dnsmessage.TypeA, test.edit))
			reply, result := s.answer(nil, &q, maxMessage)
			if result != test.result {
				t.Errorf("result %q, want %q", result, test.result)
			}
			m := unpack(t, reply)
			if len(m.Additionals) != 1 || m.Additionals[0].Header.Type != dnsmessage.TypeOPT {
				t.Fatalf("additional records %v, want one OPT", m.Additionals)
			}
			h := m.Additionals[0].Header
			if h.Class != 1232 || h.DNSSECAllowed() != test.dnssec || h.ExtendedRCode(m.RCode) != test.code {
				t.Errorf("got %v with %v", h.GoString(), m.RCode)
			}
		})
	}
}

// The name is ours in each of these queries, and the query is not.
func TestAnswerLeavesToResolver(t *testing.T) {
	s := newServer(t, Config{})
	edits := map[string]func(*dnsmessage.Message){
		"class":         func(m *dnsmessage.Message) { m.Questions[0].Class = dnsmessage.ClassCHAOS },
		"opcode":        func(m *dnsmessage.Message) { m.OpCode = 5 },
		"no question":   func(m *dnsmessage.Message) { m.Questions = nil },
		"two questions": func(m *dnsmessage.Message) { m.Questions = append(m.Questions, m.Questions[0]) },
		"two OPT": func(m *dnsmessage.Message) {
			withEDNS(1232, 0, false)(m)
			withEDNS(1232, 0, false)(m)
		},
	}
	for name, edit := range edits {
		t.Run(name, func(t *testing.T) {
			q, ok := parse(pack(t, "billing.mesh.", dnsmessage.TypeA, edit))
			if _, result := s.answer(nil, &q, maxMessage); !ok || result != "" {
				t.Errorf("parsed %v, result %q; want it left to the resolver", ok, result)
			}
		})
	}
	t.Run("cut short", func(t *testing.T) {
		msg := pack(t, "billing.mesh.", dnsmessage.TypeA)
		q, ok := parse(msg[:len(msg)-1])
		if _, result := s.answer(nil, &q, maxMessage); !ok || result != "" {
			t.Errorf("parsed %v, result %q; want it left to the resolver", ok, result)
		}
	})
}

func TestAnswerRefusesTransfer(t *testing.T) {
	for _, typ := range []dnsmessage.Type{dnsmessage.TypeAXFR, typeIXFR} {
		q, _ := parse(pack(t, "mesh.", typ))
		reply, result := newServer(t, Config{}).answer(nil, &q, maxMessage)
		m := unpack(t, reply)
		if result != ResultNegative || m.RCode != dnsmessage.RCodeRefused || len(m.Authorities) != 0 {
			t.Errorf("%s: result %q, %v; want it refused", typ, result, m.GoString())
		}
	}
}

func TestAnswerWithoutMesh(t *testing.T) {
	s := newServer(t, Config{Domain: func() string { return "" }})
	for _, name := range []string{"billing.mesh.", "billing.", "."} {
		q, _ := parse(pack(t, name, dnsmessage.TypeA))
		if _, result := s.answer(nil, &q, maxMessage); result != "" {
			t.Errorf("%s: result %q, want it left to the resolver", name, result)
		}
	}
}

func TestAnswerUnderLongDomain(t *testing.T) {
	s := newServer(t, Config{Domain: func() string { return "mesh.shop.example" }})
	for name, want := range map[string]string{
		"billing.mesh.shop.example.":  ResultAnswered,
		"billing.mesh.shop.example2.": "",
		"shop.example.":               "",
		"mesh.shop.example.":          ResultNegative,
	} {
		q, _ := parse(pack(t, name, dnsmessage.TypeA))
		if _, result := s.answer(nil, &q, maxMessage); result != want {
			t.Errorf("%s: result %q, want %q", name, result, want)
		}
	}
}

// A client without EDNS takes 512 bytes. The longest name fits with all that an answer may hold, except for the target
// of an SRV record, which is not compressed.
func TestAnswerFitsEveryClient(t *testing.T) {
	label := strings.Repeat("x", 63) + "."
	for name, typ := range map[string]dnsmessage.Type{
		label + label + label + strings.Repeat("y", 56) + ".mesh.":                         dnsmessage.TypeA,
		"_grpc._tcp.billing." + label + label + label + strings.Repeat("y", 37) + ".mesh.": dnsmessage.TypeSRV,
	} {
		s := newServer(t, Config{Domain: func() string {
			_, domain, _ := strings.Cut(strings.TrimPrefix(name, "_grpc._tcp."), ".")
			return strings.TrimSuffix(domain, ".")
		}})
		q, _ := parse(pack(t, name, typ, withEDNS(512, 0, true)))
		reply, _ := s.answer(nil, &q, plainPayload)
		m := unpack(t, reply)
		if len(reply) > plainPayload || m.Truncated != (typ == dnsmessage.TypeSRV) {
			t.Errorf("%s: %d bytes, truncated %t", typ, len(reply), m.Truncated)
		}
		reply, _ = s.answer(nil, &q, maxMessage)
		if m := unpack(t, reply); m.Truncated || typ == dnsmessage.TypeSRV && len(m.Answers) != 1 {
			t.Errorf("%s by TCP: %v", typ, m.GoString())
		}
	}
}

func BenchmarkAnswer(b *testing.B) {
	s := newServer(b, Config{})
	msg := pack(b, "billing.mesh.", dnsmessage.TypeA, withEDNS(1232, 0, false))
	out := make([]byte, 0, bufferSize)
	b.ReportAllocs()
	for b.Loop() {
		q, _ := parse(msg)
		if _, result := s.answer(out, &q, plainPayload); result != ResultAnswered {
			b.Fatal(result)
		}
	}
}
