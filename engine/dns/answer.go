package dns

import "golang.org/x/net/dns/dnsmessage"

const (
	ttl         = 5 // seconds
	negativeTTL = 1 // seconds

	// ednsPayload is what we announce to take by UDP: what passes any path unfragmented (DNS flag day 2020).
	ednsPayload = 1232

	badVersion = dnsmessage.RCode(16) // BADVERS, RFC 6891
)

// answer appends to buf the answer to a query that is about the mesh, of at most limit bytes. An empty result means that
// the query is not.
func (s *Server) answer(buf []byte, q *query, limit int) (reply []byte, result string) {
	domain := s.cfg.Domain()
	// The mesh lives in class IN; what another class says of the name is the resolver's to know.
	if !q.plain || domain == "" || q.question.Class != dnsmessage.ClassINET {
		return nil, ""
	}
	e, ok := find(s.cfg.Names(), domain, q.question)
	if !ok {
		return nil, ""
	}
	m := q.reply(dnsmessage.RCodeSuccess)
	m.Authoritative = true
	switch {
	case q.version != 0:
		m = q.reply(badVersion)
	case q.transfer():
		m = q.reply(dnsmessage.RCodeRefused)
	default:
		e.describe(&m)
	}
	reply, err := m.AppendPack(buf)
	if err == nil && len(reply)-len(buf) > limit {
		// Only a name of some two hundred bytes comes here. The client asks again by TCP.
		m.Truncated, m.Answers, m.Authorities = true, nil, nil
		reply, err = m.AppendPack(buf)
	}
	if err != nil {
		s.log.Error("dns answer not packed", "name", q.question.Name.String(), "error", err)
		return nil, ResultMalformed
	}
	if len(m.Answers) == 0 && !m.Truncated {
		return reply, ResultNegative
	}
	return reply, ResultAnswered
}

// describe fills in what there is at the name of the one type that was asked for.
func (e *entry) describe(m *dnsmessage.Message) {
	if body := e.record(m.Questions[0].Type); body != nil {
		m.Answers = []dnsmessage.Resource{resource(m.Questions[0].Name, ttl, body)}
		return
	}
	// How long to remember that something does not exist.
	m.Authorities = []dnsmessage.Resource{resource(e.zone, negativeTTL, e.soa())}
	if !e.exists {
		m.RCode = dnsmessage.RCodeNameError
	}
}

func resource(name dnsmessage.Name, ttl uint32, body dnsmessage.ResourceBody) dnsmessage.Resource {
	return dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: ttl},
		Body:   body,
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
