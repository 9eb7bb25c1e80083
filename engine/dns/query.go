package dns

import (
	"errors"

	"golang.org/x/net/dns/dnsmessage"
)

// query is what the server understands of a query.
type query struct {
	header   dnsmessage.Header
	question dnsmessage.Question // only when plain

	// plain means an ordinary lookup, one question and every record well-formed. Anything else (an update, a notify, a
	// session, two questions, a broken record) is forwarded unread, as there is no wrong in it that the application
	// did not live with before.
	plain bool

	edns    bool // only when plain, as are the rest
	version byte // of EDNS
	dnssec  bool // the client wants signatures; the bit is copied to the answer, RFC 3225
	payload int  // bytes of the largest UDP answer that the client announces to take
}

const typeIXFR = dnsmessage.Type(251)

// parse reads a message. It returns false for what is no query: too short for a header, or an answer, which must not
// be answered, or two servers could keep each other busy.
func parse(msg []byte) (query, bool) {
	var q query
	var p dnsmessage.Parser
	var err error
	if q.header, err = p.Start(msg); err != nil || q.header.Response {
		return q, false
	}
	q.plain = q.header.OpCode == 0 && q.read(&p) == nil
	return q, true
}

var errNotPlain = errors.New("not a plain lookup")

// read reads what follows the header.
func (q *query) read(p *dnsmessage.Parser) error {
	var err error
	if q.question, err = p.Question(); err != nil {
		return err
	}
	if _, err = p.Question(); !errors.Is(err, dnsmessage.ErrSectionDone) {
		return errNotPlain
	}
	if err = p.SkipAllAnswers(); err != nil {
		return err
	}
	if err = p.SkipAllAuthorities(); err != nil {
		return err
	}
	for {
		h, err := p.AdditionalHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Type == dnsmessage.TypeOPT {
			if q.edns {
				return errNotPlain
			}
			// RFC 6891 keeps the payload size in the class and the version in the third byte of the TTL.
			q.edns, q.payload, q.version, q.dnssec = true, int(h.Class), byte(h.TTL>>16), h.DNSSECAllowed()
		}
		if err = p.SkipAdditional(); err != nil {
			return err
		}
	}
}

// transfer says whether the answer may be many messages.
func (q *query) transfer() bool {
	return q.plain && (q.question.Type == dnsmessage.TypeAXFR || q.question.Type == typeIXFR)
}

// answeredBy says whether msg is an answer to the query.
//
// The case of the name may differ: whether that matters is for the client to say. Some servers refuse without
// repeating the question, and clients believe them, so it is missing only from an error.
func (q *query) answeredBy(msg []byte) bool {
	var p dnsmessage.Parser
	h, err := p.Start(msg)
	if err != nil || !h.Response || h.ID != q.header.ID || h.OpCode != q.header.OpCode {
		return false
	}
	if !q.plain {
		return true
	}
	question, err := p.Question()
	if errors.Is(err, dnsmessage.ErrSectionDone) {
		return h.RCode != dnsmessage.RCodeSuccess
	}
	return err == nil && question.Type == q.question.Type && question.Class == q.question.Class &&
		lower(question.Name) == lower(q.question.Name)
}

// lower returns a name in lower case, which in DNS is a matter of ASCII only, without the dot at its end.
func lower(n dnsmessage.Name) string {
	b := n.Data[:max(n.Length, 1)-1]
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
