package dns

import (
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func TestParse(t *testing.T) {
	msg := pack(t, "example.com.", dnsmessage.TypeA)
	tests := map[string]struct {
		msg       []byte
		ok, plain bool
	}{
		"lookup":       {msg, true, true},
		"empty":        {nil, false, false},
		"half header":  {msg[:11], false, false},
		"header":       {msg[:12], true, false}, // it announces a question that is not there
		"answer":       {asAnswer(msg), false, false},
		"update":       {pack(t, "example.com.", dnsmessage.TypeSOA, func(m *dnsmessage.Message) { m.OpCode = 5 }), true, false},
		"bad label":    {append(append([]byte{}, msg[:12]...), 0x80, 0, 0, 1, 0, 1), true, false},
		"pointer loop": {append(append([]byte{}, msg[:12]...), 0xc0, 12, 0, 1, 0, 1), true, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			q, ok := parse(test.msg)
			if ok != test.ok || q.plain != test.plain {
				t.Errorf("query %v, plain %v; want %v, %v", ok, q.plain, test.ok, test.plain)
			}
		})
	}
}

func TestAnsweredBy(t *testing.T) {
	msg := pack(t, "example.com.", dnsmessage.TypeA)
	answer := func(name string, typ dnsmessage.Type, edit ...func(*dnsmessage.Message)) []byte {
		return pack(t, name, typ, append(edit, func(m *dnsmessage.Message) { m.Response = true })...)
	}
	noQuestion := func(m *dnsmessage.Message) { m.Questions = nil }
	tests := map[string]struct {
		msg  []byte
		want bool
	}{
		"same":                   {answer("example.com.", dnsmessage.TypeA), true},
		"other case":             {answer("EXAMPLE.com.", dnsmessage.TypeA), true},
		"bytes behind":           {asAnswer(msg, 1, 2, 3), true},
		"the query":              {msg, false},
		"other ID":               {answer("example.com.", dnsmessage.TypeA, withID(1)), false},
		"other name":             {answer("example.org.", dnsmessage.TypeA), false},
		"other type":             {answer("example.com.", dnsmessage.TypeAAAA), false},
		"other opcode":           {answer("example.com.", dnsmessage.TypeA, func(m *dnsmessage.Message) { m.OpCode = 4 }), false},
		"error without question": {answer("example.com.", dnsmessage.TypeA, noQuestion, func(m *dnsmessage.Message) { m.RCode = 1 }), true},
		"data without question":  {answer("example.com.", dnsmessage.TypeA, noQuestion), false},
		"cut in the question":    {asAnswer(msg)[:20], false},
		"empty":                  {nil, false},
	}
	q, _ := parse(msg)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := q.answeredBy(test.msg); got != test.want {
				t.Errorf("answeredBy = %v, want %v", got, test.want)
			}
		})
	}
}

// FuzzQuery wants every answer of our own to be readable, small, and an answer to the query.
func FuzzQuery(f *testing.F) {
	f.Add(pack(f, "billing.mesh.", dnsmessage.TypeA))
	f.Add(pack(f, "BILLING.mesh.", dnsmessage.TypeAAAA, withEDNS(1232, 0, true)))
	f.Add(pack(f, "mesh.", dnsmessage.TypeSOA, withEDNS(512, 1, false)))
	f.Add(pack(f, "a.b.c.mesh.", dnsmessage.TypeALL))
	f.Add(pack(f, "_grpc._tcp.billing.mesh.", dnsmessage.TypeSRV))
	f.Add(pack(f, "_8443._https.api.example.com.", dnsmessage.TypeHTTPS))
	f.Add(pack(f, "example.com.", dnsmessage.TypeAXFR))
	f.Add(asAnswer(pack(f, "billing.mesh.", dnsmessage.TypeA)))
	f.Add([]byte("\xbe\xef\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07billing\xc0\x0c\x00\x01\x00\x01"))
	s := newServer(f, Config{})
	f.Fuzz(func(t *testing.T, msg []byte) {
		q, ok := parse(msg)
		q.answeredBy(msg)
		if !ok {
			return
		}
		if failure := q.failure(nil); !q.answeredBy(failure) {
			t.Fatalf("%x is no answer to %x", failure, msg)
		}
		reply, result := s.answer(nil, &q, plainPayload)
		if result == "" {
			return
		}
		var m dnsmessage.Message
		if err := m.Unpack(reply); err != nil {
			t.Fatalf("%x: %v", reply, err)
		}
		if !q.answeredBy(reply) || m.Questions[0] != q.question || len(reply) > 512 {
			t.Fatalf("%x (%d bytes) is no answer to %x", reply, len(reply), msg)
		}
	})
}
