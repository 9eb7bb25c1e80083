package bpf

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// serveNames answers every datagram and connection at base+slot with the slot, on both loopbacks.
func (b *bench) serveNames() (base uint16) {
	b.t.Helper()
	base = 15053
	for slot := range 2 {
		body := fmt.Sprintf("meshd slot %d", slot)
		for _, lo := range []string{"127.0.0.1", "::1"} {
			addr := netip.AddrPortFrom(netip.MustParseAddr(lo), base+uint16(slot))
			b.echo(addr, body)
			network := "tcp4"
			if addr.Addr().Is6() {
				network = "tcp6"
			}
			b.listenTCP(network, addr.String(), func(c *net.TCPConn) { fmt.Fprintln(c, body) })
		}
	}
	return base
}

// echo answers every datagram to addr with body.
func (b *bench) echo(addr netip.AddrPort, body string) {
	b.t.Helper()
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		ctlErr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_FREEBIND, 1) })
		return errors.Join(err, ctlErr)
	}}
	packet, err := lc.ListenPacket(b.t.Context(), "udp", addr.String())
	if err != nil {
		b.t.Fatal(err)
	}
	conn := packet.(*net.UDPConn)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 512)
		for {
			_, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			conn.WriteToUDPAddrPort([]byte(body), from)
		}
	}()
	b.t.Cleanup(func() { conn.Close(); <-done })
}

// TestNames asks configured resolvers in every way that a program can, and others in the same ways.
func TestNames(t *testing.T) {
	b := newBench(t)
	k := b.open()
	defer k.Close()
	first4, second4 := netip.MustParseAddrPort("10.0.0.53:53"), netip.MustParseAddrPort("10.0.1.53:53")
	first6, second6 := netip.MustParseAddrPort("[fd00::53]:53"), netip.MustParseAddrPort("[fd00::54]:53")
	other4, other6 := netip.MustParseAddrPort("10.8.8.8:53"), netip.MustParseAddrPort("[fd00:8::8]:53")
	for _, a := range []netip.AddrPort{first4, second4, first6, second6, other4, other6} {
		b.echo(a, "real "+a.Addr().String())
	}
	proxy4, proxy6 := b.listenTCP("tcp4", "127.0.0.1:0", nil), b.listenTCP("tcp6", "[::1]:0", nil)
	for _, l := range []*net.TCPListener{proxy4, proxy6} {
		if err := k.Listen(l); err != nil {
			t.Fatal(err)
		}
	}
	base := b.serveNames()
	apply := func(resolvers ...netip.AddrPort) {
		t.Helper()
		r := Rules{NamesPort: base}
		for _, a := range resolvers {
			r.Resolvers = append(r.Resolvers, a.Addr())
		}
		if err := k.Apply(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.Commit(); err != nil {
		t.Fatal(err)
	}
	defer Withdraw(b.dir)
	d := b.startDialer("client", 0)

	for _, c := range []struct {
		name          string
		v6            bool
		first, second netip.AddrPort
		other         netip.AddrPort
	}{
		{"IPv4", false, first4, second4, other4},
		{"IPv4-mapped", true, first4, second4, other4},
		{"IPv6", true, first6, second6, other6},
	} {
		t.Run(c.name, func(t *testing.T) {
			apply(c.first, c.second)
			if r := d.do(dial{Op: "udp", V6: c.v6, To: []netip.AddrPort{c.second}}); r.Errno != 0 || r.Reply != "meshd slot 1" || r.Peer != c.second {
				t.Errorf("connected UDP: %+v", r)
			}
			both := []netip.AddrPort{c.first, c.second, c.other, c.first}
			r := d.do(dial{Op: "sendto", V6: c.v6, To: both})
			if want := []string{"meshd slot 0", "meshd slot 1", "real " + c.other.Addr().String(), "meshd slot 0"}; !slices.Equal(r.Bodies, want) {
				t.Errorf("one socket asks several: %v", r.Bodies)
			}
			if !slices.Equal(r.Froms, both) {
				t.Errorf("answers seem to come from %v, want %v", r.Froms, both)
			}
			if r := d.do(dial{Op: "tcp", V6: c.v6, To: []netip.AddrPort{c.first}}); r.Reply != "meshd slot 0" || r.Peer != c.first {
				t.Errorf("TCP: %+v", r)
			}
			if r := d.do(dial{Op: "udp", V6: c.v6, To: []netip.AddrPort{c.other}}); r.Reply != "real "+c.other.Addr().String() {
				t.Errorf("a resolver that is not configured: %+v", r)
			}
		})
	}
	t.Run("a program that asks meshd itself is not told otherwise", func(t *testing.T) {
		apply(first4)
		asked := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), base)
		if r := d.do(dial{Op: "sendto", To: []netip.AddrPort{asked}}); len(r.Froms) != 1 || r.Froms[0] != asked {
			t.Errorf("%+v", r)
		}
	})
	t.Run("names fail open when meshd is gone", func(t *testing.T) {
		apply(first4)
		proxy4.Close()
		if r := d.do(dial{Op: "udp", To: []netip.AddrPort{first4}}); r.Reply != "real 10.0.0.53" {
			t.Errorf("%+v", r)
		}
	})
}

// TestUDPToVirtualAddress wants QUIC clients to be refused, so that they fall back to TCP.
func TestUDPToVirtualAddress(t *testing.T) {
	b := newBench(t)
	k := b.open()
	defer k.Close()
	virtual := netip.MustParseAddrPort("244.0.0.10:443")
	if err := k.Apply(Rules{Virtual: []Virtual{{Address: virtual, Service: 1}}}); err != nil {
		t.Fatal(err)
	}
	if err := k.Commit(); err != nil {
		t.Fatal(err)
	}
	defer Withdraw(b.dir)
	d := b.startDialer("client", 0)
	for _, op := range []string{"udp", "sendto"} {
		for _, v6 := range []bool{false, true} {
			if r := d.do(dial{Op: op, V6: v6, To: []netip.AddrPort{virtual}}); r.Errno != int(syscall.ECONNREFUSED) {
				t.Errorf("%s, AF_INET6 %v: %+v", op, v6, r)
			}
		}
	}
}
