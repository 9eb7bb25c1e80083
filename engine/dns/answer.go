package dns

import (
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	ttl         = 5 // seconds
	negativeTTL = 1 // seconds

	// ednsPayload is what we announce to take by UDP: what passes any path unfragmented (DNS flag day 2020).
	ednsPayload = 1232

	badVersion = dnsmessage.RCode(16) // BADVERS, RFC 6891
)

// mailbox stands in an SOA for "nobody", as in the locally served zones of RFC 6303.
var mailbox = dnsmessage.MustNewName("nobody.invalid.")

// answer appends to buf the answer to a query that is about the mesh. An empty result means that it is not.
//
// An answer is at most 512 bytes long, which every client takes: names are compressed into the question's.
func (s *Server) answer(buf []byte, q *query) (reply []byte, result string) {
	domain := s.cfg.Domain()
	// The mesh lives in class IN; what another class says of the name is the resolver's to know.
	if !q.plain || domain == "" || q.question.Class != dnsmessage.ClassINET {
		return nil, ""
	}
	service, ok := within(lower(q.question.Name), domain)
	if !ok {
		return nil, ""
	}
	zone := q.question.Name // its last labels are the domain, in the client's case, so that they compress
	zone.Length = uint8(len(domain) + 1)
	copy(zone.Data[:], q.question.Name.Data[q.question.Name.Length-zone.Length:q.question.Name.Length])

	m := q.reply(dnsmessage.RCodeSuccess)
	m.Authoritative = true
	switch {
	case q.version != 0:
		m = q.reply(badVersion)
	case q.transfer():
		m = q.reply(dnsmessage.RCodeRefused)
	case service == "":
		apex(&m, zone)
	default:
		below(&m, s.cfg.Names(), service, zone)
	}
	reply, err := m.AppendPack(buf)
	if err != nil {
		s.log.Error("dns answer not packed", "name", q.question.Name.String(), "error", err)
		return nil, ResultMalformed
	}
	if len(m.Answers) == 0 {
		return reply, ResultNegative
	}
	return reply, ResultAnswered
}

// within returns what stands before the domain in a name; empty for the domain itself.
func within(name, domain string) (rest string, ok bool) {
	if name == domain {
		return "", true
	}
	rest, ok = strings.CutSuffix(name, domain)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, ".")
}

// apex fills in the answer about the domain itself, which exists and has nothing but its SOA.
func apex(m *dnsmessage.Message, zone dnsmessage.Name) {
	if m.Questions[0].Type == dnsmessage.TypeSOA {
		m.Answers = []dnsmessage.Resource{soa(zone)}
		return
	}
	m.Authorities = []dnsmessage.Resource{soa(zone)}
}

// below fills in the answer about a name below the domain: that of a service, or one that does not exist.
func below(m *dnsmessage.Message, names Names, name string, zone dnsmessage.Name) {
	v4, v6, ok := names.Virtual(name)
	var addr netip.Addr
	switch m.Questions[0].Type {
	case dnsmessage.TypeA:
		addr = v4
	case dnsmessage.TypeAAAA:
		addr = v6
	case dnsmessage.TypeALL: // one record set is answer enough, RFC 8482
		if addr = v4; !addr.IsValid() {
			addr = v6
		}
	}
	switch {
	case !ok || !v4.IsValid() && !v6.IsValid():
		m.RCode = dnsmessage.RCodeNameError
		m.Authorities = []dnsmessage.Resource{soa(zone)}
	case !addr.IsValid():
		m.Authorities = []dnsmessage.Resource{soa(zone)}
	default:
		m.Answers = []dnsmessage.Resource{record(m.Questions[0].Name, addr)}
	}
}

func record(name dnsmessage.Name, addr netip.Addr) dnsmessage.Resource {
	r := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: ttl}}
	if addr.Is4() {
		r.Body = &dnsmessage.AResource{A: addr.As4()}
	} else {
		r.Body = &dnsmessage.AAAAResource{AAAA: addr.As16()}
	}
	return r
}

// soa returns the record that tells a client how long to remember that something does not exist.
func soa(zone dnsmessage.Name) dnsmessage.Resource {
	return dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: zone, Class: dnsmessage.ClassINET, TTL: negativeTTL},
		Body: &dnsmessage.SOAResource{
			NS: zone, MBox: mailbox, Serial: 1, Refresh: 3600, Retry: 1200, Expire: 604800, MinTTL: negativeTTL,
		},
	}
}

// reply returns an answer without records: the client's ID and question, and an OPT record when it sent one.
func (q *query) reply(code dnsmessage.RCode) dnsmessage.Message {
	m := dnsmessage.Message{Header: dnsmessage.Header{
		ID:                 q.header.ID,
		Response:           true,
		OpCode:             q.header.OpCode,
		RecursionDesired:   q.header.RecursionDesired,
		RecursionAvailable: true,
		CheckingDisabled:   q.header.CheckingDisabled,
		RCode:              code & 0xf,
	}}
	if q.plain {
		m.Questions = []dnsmessage.Question{q.question}
	}
	if q.edns {
		opt := dnsmessage.Resource{Body: &dnsmessage.OPTResource{}}
		_ = opt.Header.SetEDNS0(ednsPayload, code, q.dnssec) // always nil
		m.Additionals = []dnsmessage.Resource{opt}
	}
	return m
}

// failure appends SERVFAIL to buf.
//
// It stands for what reaches a client without us when a resolver's port is closed: an error at once. We cannot make
// its socket fail, and of all answers this is the one upon which stub resolvers ask the next resolver.
func (q *query) failure(buf []byte) []byte {
	m := q.reply(dnsmessage.RCodeServerFailure)
	reply, err := m.AppendPack(buf)
	if err != nil {
		return nil // not reached: a name that was parsed packs; without an answer the client's timeout ends the wait
	}
	return reply
}
