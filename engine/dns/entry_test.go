package dns

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"
)

func TestListener(t *testing.T) {
	s := newServer(t, Config{})
	for _, typ := range []dnsmessage.Type{dnsmessage.TypeSRV, dnsmessage.TypeALL} {
		q, _ := parse(pack(t, "_gRPC._TCP.Billing.mesh.", typ))
		reply, result := s.answer(nil, &q, maxMessage)
		m := unpack(t, reply)
		if result != ResultAnswered || len(m.Answers) != 1 {
			t.Fatalf("%s: result %q, %v", typ, result, m.GoString())
		}
		want := dnsmessage.ResourceBody(&dnsmessage.SRVResource{Port: 9090, Target: dnsmessage.MustNewName("Billing.mesh.")})
		if diff := cmp.Diff(want, m.Answers[0].Body); diff != "" {
			t.Error(diff)
		}
	}
}

// A name outside the mesh has the addresses of its service, and none that a client could get around the mesh by.
func TestHostname(t *testing.T) {
	s := newServer(t, Config{})
	for name, test := range map[string]struct {
		name   string
		typ    dnsmessage.Type
		result string // empty: forwarded
		addr   string
	}{
		"A":                      {"api.example.com.", dnsmessage.TypeA, ResultAnswered, "244.1.2.3"},
		"AAAA":                   {"API.example.com.", dnsmessage.TypeAAAA, ResultAnswered, "fd6d:6573:6864::1"},
		"ANY":                    {"api.example.com.", dnsmessage.TypeALL, ResultAnswered, "244.1.2.3"},
		"no IPv6":                {"old.example.com.", dnsmessage.TypeAAAA, ResultNegative, ""},
		"HTTPS":                  {"api.example.com.", dnsmessage.TypeHTTPS, ResultNegative, ""},
		"HTTPS of a port":        {"_8443._https.api.example.com.", dnsmessage.TypeHTTPS, ResultNegative, ""},
		"SVCB":                   {"_dns.api.example.com.", dnsmessage.TypeSVCB, ResultNegative, ""},
		"HTTPS of another":       {"www.example.com.", dnsmessage.TypeHTTPS, "", ""},
		"HTTPS of a name above":  {"_8443._https.example.com.", dnsmessage.TypeHTTPS, "", ""},
		"underscores only":       {"_8443._https.", dnsmessage.TypeHTTPS, "", ""},
		"MX is somebody's mail":  {"api.example.com.", dnsmessage.TypeMX, "", ""},
		"TXT":                    {"api.example.com.", dnsmessage.TypeTXT, "", ""},
		"transfer":               {"api.example.com.", dnsmessage.TypeAXFR, "", ""},
		"A below":                {"www.api.example.com.", dnsmessage.TypeA, "", ""},
		"A above":                {"example.com.", dnsmessage.TypeA, "", ""},
		"A of a port, as no one": {"_8443._https.api.example.com.", dnsmessage.TypeA, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			q, _ := parse(pack(t, test.name, test.typ))
			reply, result := s.answer(nil, &q, maxMessage)
			if result != test.result {
				t.Fatalf("result %q, want %q", result, test.result)
			}
			if result == "" {
				return
			}
			m := unpack(t, reply)
			if m.RCode != dnsmessage.RCodeSuccess {
				t.Errorf("status %s", m.RCode)
			}
			if test.addr != "" {
				checkRecords(t, m, test.addr)
				return
			}
			if len(m.Answers) != 0 || len(m.Authorities) != 1 || m.Authorities[0].Header.Name.String() != test.name {
				t.Errorf("got %v, want no record of %s", m.GoString(), test.name)
			}
		})
	}
}
