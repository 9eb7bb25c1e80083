package resolve

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	patience   = 2 * time.Second // with one server
	rounds     = 2               // through the servers
	maxMessage = 65535           // bytes
)

var kinds = [2]dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA}

var errNoName = errors.New("there is no such name")

// ask looks up both families of a name.
func (r *Resolver) ask(ctx context.Context, name string) result {
	var found result
	var both sync.WaitGroup
	for i, kind := range kinds {
		both.Go(func() { found[i] = r.askFamily(ctx, name, kind) })
	}
	both.Wait()
	return found
}

// askFamily asks one server after the other, and after the last one all again, until one knows.
func (r *Resolver) askFamily(ctx context.Context, name string, kind dnsmessage.Type) answer {
	full, err := dnsmessage.NewName(name + ".")
	if err != nil {
		return answer{err: err}
	}
	servers := r.cfg.Servers(name)
	if len(servers) == 0 {
		return answer{err: errors.New("the host has no name server")}
	}
	question := dnsmessage.Question{Name: full, Type: kind, Class: dnsmessage.ClassINET}
	var a answer
	for range rounds {
		for _, server := range servers {
			a = askServer(ctx, server, question)
			if a.err == nil || errors.Is(a.err, errNoName) || ctx.Err() != nil {
				return a
			}
		}
	}
	return a
}

// askServer asks by UDP, and again by TCP when the answer does not fit.
func askServer(ctx context.Context, server netip.AddrPort, question dnsmessage.Question) answer {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	query := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: uint16(rand.Uint32()), RecursionDesired: true},
		Questions: []dnsmessage.Question{question},
	}
	reply, err := exchange(ctx, "udp", server, &query)
	if err == nil && reply.Truncated {
		reply, err = exchange(ctx, "tcp", server, &query)
	}
	if err != nil {
		return answer{err: fmt.Errorf("ask %s: %w", server, err)}
	}
	a := read(reply)
	if a.err != nil {
		a.err = fmt.Errorf("%s answers: %w", server, a.err)
	}
	return a
}

// exchange sends a query and returns the answer to it.
func exchange(ctx context.Context, network string, server netip.AddrPort, query *dnsmessage.Message) (*dnsmessage.Message, error) {
	packed, err := query.Pack()
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	interrupt := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // fails only when conn is closed
	defer interrupt()
	if network == "tcp" {
		packed = append(binary.BigEndian.AppendUint16(nil, uint16(len(packed))), packed...)
	}
	if _, err := conn.Write(packed); err != nil {
		return nil, err
	}
	buffer := make([]byte, maxMessage)
	for {
		text, err := receive(conn, network, buffer)
		if err != nil {
			return nil, err
		}
		var reply dnsmessage.Message
		if err := reply.Unpack(text); err == nil && isAnswer(&reply, query) {
			return &reply, nil
		} // else it is late or forged, and the real one may still come
	}
}

// receive returns the next message of a server.
func receive(conn net.Conn, network string, buffer []byte) ([]byte, error) {
	if network == "udp" {
		n, err := conn.Read(buffer)
		return buffer[:n], err
	}
	if _, err := io.ReadFull(conn, buffer[:2]); err != nil {
		return nil, err
	}
	n, err := io.ReadFull(conn, buffer[:binary.BigEndian.Uint16(buffer)])
	return buffer[:n], err
}

// isAnswer says whether reply answers the query. Some servers repeat the question only where they know the answer.
func isAnswer(reply, query *dnsmessage.Message) bool {
	if !reply.Response || reply.ID != query.ID {
		return false
	}
	if len(reply.Questions) == 0 {
		return reply.RCode != dnsmessage.RCodeSuccess
	}
	got, asked := reply.Questions[0], query.Questions[0]
	return got.Type == asked.Type && got.Class == asked.Class && strings.EqualFold(got.Name.String(), asked.Name.String())
}

// read returns what an answer says. As a recursive server is believed in the chain of aliases anyway, all addresses in the
// answer are those of the name, as in package net; each record of the chain bounds how long it is good.
func read(reply *dnsmessage.Message) answer {
	switch reply.RCode {
	case dnsmessage.RCodeSuccess:
	case dnsmessage.RCodeNameError:
		return answer{err: errNoName}
	default:
		return answer{err: errors.New(strings.TrimPrefix(reply.RCode.String(), "RCode"))}
	}
	a := answer{ttl: maxWait}
	for _, record := range reply.Answers {
		switch body := record.Body.(type) {
		case *dnsmessage.AResource:
			a.addresses = append(a.addresses, netip.AddrFrom4(body.A))
		case *dnsmessage.AAAAResource:
			a.addresses = append(a.addresses, netip.AddrFrom16(body.AAAA).Unmap())
		case *dnsmessage.CNAMEResource:
		default:
			continue
		}
		a.ttl = min(a.ttl, time.Duration(record.Header.TTL)*time.Second)
	}
	return a
}
