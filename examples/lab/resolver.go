package lab

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// OutsideName is the one name that the resolver of a lab knows: that of [Outside].
const OutsideName = "outside.example"

// resolver answers the questions of all hosts and writes down each one, so that a test can see which were forwarded.
type resolver struct {
	udp     net.PacketConn
	tcp     net.Listener
	log     *os.File
	answers []netip.Addr
	serving sync.WaitGroup
}

// startResolver starts a resolver on all addresses of the calling thread's network namespace.
func startResolver(log *os.File, answers []netip.Addr) (*resolver, error) {
	udp, err := net.ListenPacket("udp", ":53")
	if err != nil {
		return nil, fmt.Errorf("start resolver: %w", err)
	}
	tcp, err := net.Listen("tcp", ":53")
	if err != nil {
		udp.Close()
		return nil, fmt.Errorf("start resolver: %w", err)
	}
	r := &resolver{udp: udp, tcp: tcp, log: log, answers: answers}
	r.serving.Go(r.serveUDP)
	r.serving.Go(r.serveTCP)
	return r, nil
}

func (r *resolver) close() {
	r.udp.Close()
	r.tcp.Close()
	r.serving.Wait()
	r.log.Close()
}

func (r *resolver) serveUDP() {
	query := make([]byte, 4096)
	for {
		n, client, err := r.udp.ReadFrom(query)
		if err != nil {
			return
		}
		if reply := r.answer("udp", client, query[:n]); reply != nil {
			_, _ = r.udp.WriteTo(reply, client) // who misses the reply asks again
		}
	}
}

// serveTCP serves one connection after the other: a lab asks little.
func (r *resolver) serveTCP() {
	for {
		c, err := r.tcp.Accept()
		if err != nil {
			return
		}
		r.serveConn(c)
	}
}

func (r *resolver) serveConn(c net.Conn) {
	defer c.Close()
	for {
		if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
			return
		}
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, query); err != nil {
			return
		}
		reply := r.answer("tcp", c.RemoteAddr(), query)
		if reply == nil {
			return
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}

// answer returns the reply to a query, nil for bytes that are none.
func (r *resolver) answer(network string, client net.Addr, query []byte) []byte {
	var p dnsmessage.Parser
	header, err := p.Start(query)
	if err != nil || header.Response {
		return nil
	}
	question, err := p.Question()
	if err != nil {
		return nil
	}
	name := strings.ToLower(question.Name.String())
	host, _, _ := net.SplitHostPort(client.String())
	fmt.Fprintln(r.log, network, host, strings.TrimPrefix(question.Type.String(), "Type"), name)
	reply := dnsmessage.Message{
		Header: dnsmessage.Header{
			ID: header.ID, Response: true, OpCode: header.OpCode,
			RecursionDesired: header.RecursionDesired, RecursionAvailable: true,
			RCode: dnsmessage.RCodeNameError,
		},
		Questions: []dnsmessage.Question{question},
	}
	if name == OutsideName+"." {
		reply.RCode = dnsmessage.RCodeSuccess
		reply.Answers = r.records(question)
	}
	packed, err := reply.Pack()
	if err != nil {
		return nil
	}
	return packed
}

func (r *resolver) records(question dnsmessage.Question) []dnsmessage.Resource {
	var records []dnsmessage.Resource
	for _, address := range r.answers {
		record := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{
			Name: question.Name, Class: dnsmessage.ClassINET, TTL: 60,
		}}
		switch {
		case question.Type == dnsmessage.TypeA && address.Is4():
			record.Body = &dnsmessage.AResource{A: address.As4()}
		case question.Type == dnsmessage.TypeAAAA && address.Is6():
			record.Body = &dnsmessage.AAAAResource{AAAA: address.As16()}
		default:
			continue
		}
		records = append(records, record)
	}
	return records
}
