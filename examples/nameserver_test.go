package examples_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/meshd/meshd/examples/lab"
)

const (
	manyName   = "many.example"   // does not fit into an answer by UDP
	silentName = "silent.example" // is never answered
	manyCount  = 60               // addresses of manyName
)

// nameserver is a resolver on a host, for what the lab's own one does not do.
type nameserver struct {
	silent  bool // answers nothing
	serving sync.WaitGroup
}

// startNameserver runs a resolver at an address of the host until stop, or the end of the test.
func (h host) startNameserver(t *testing.T, address string, silent bool) (stop func()) {
	t.Helper()
	n := &nameserver{silent: silent}
	var udp net.PacketConn
	var tcp net.Listener
	err := h.Do(func() (err error) {
		if udp, err = net.ListenPacket("udp", address); err != nil {
			return err
		}
		tcp, err = net.Listen("tcp", address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	n.serving.Go(func() { n.serveUDP(udp) })
	n.serving.Go(func() { n.serveTCP(tcp) })
	stop = sync.OnceFunc(func() {
		udp.Close()
		tcp.Close()
		n.serving.Wait()
	})
	t.Cleanup(stop)
	return stop
}

func (n *nameserver) serveUDP(conn net.PacketConn) {
	query := make([]byte, 4096)
	for {
		size, client, err := conn.ReadFrom(query)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if reply := n.reply(query[:size], false); err == nil && reply != nil {
			_, _ = conn.WriteTo(reply, client)
		}
	}
}

func (n *nameserver) serveTCP(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		n.serving.Go(func() {
			defer conn.Close()
			var size [2]byte
			for {
				if _, err := io.ReadFull(conn, size[:]); err != nil {
					return
				}
				query := make([]byte, int(size[0])<<8|int(size[1]))
				if _, err := io.ReadFull(conn, query); err != nil {
					return
				}
				if reply := n.reply(query, true); reply != nil {
					_, _ = conn.Write(append([]byte{byte(len(reply) >> 8), byte(len(reply))}, reply...))
				}
			}
		})
	}
}

// reply returns the answer to a query: none, the addresses of a name that is known, or that there is no such name.
func (n *nameserver) reply(query []byte, tcp bool) []byte {
	var m dnsmessage.Message
	if n.silent || m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil
	}
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	q := m.Questions[0]
	switch strings.ToLower(q.Name.String()) {
	case silentName + ".":
		return nil
	case lab.OutsideName + ".":
		m.Answers = records(q, 1)
	case manyName + ".":
		if m.Truncated = !tcp; tcp {
			m.Answers = records(q, manyCount)
		}
	default:
		m.RCode = dnsmessage.RCodeNameError
	}
	reply, err := m.Pack()
	if err != nil {
		return nil
	}
	return reply
}

// records are the first addresses of the networks of a lab, of which the first is the one that its resolver answers.
func records(q dnsmessage.Question, count byte) []dnsmessage.Resource {
	var all []dnsmessage.Resource
	for n := byte(1); n <= count; n++ {
		r := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 60}}
		switch q.Type {
		case dnsmessage.TypeA:
			r.Body = &dnsmessage.AResource{A: [4]byte{10, 77, 0, n}}
		case dnsmessage.TypeAAAA:
			r.Body = &dnsmessage.AAAAResource{AAAA: [16]byte{0: 0xfd, 1: 0x77, 15: n}}
		default:
			return nil
		}
		all = append(all, r)
	}
	return all
}
