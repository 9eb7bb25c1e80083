package bpf

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/meshd/meshd/engine/mesh"
)

// TestStraightUsesAllEndpoints has the kernel connect by itself, to a service of more endpoints than it knows.
func TestStraightUsesAllEndpoints(t *testing.T) {
	b, k, l, d := committed(t)
	rules := simple(uint16(portOf(l)))
	rules.Mode = mesh.CaptureOff
	var many []netip.AddrPort
	for i := range MaxBackends + 6 {
		many = append(many, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, byte(i)}), 9090))
	}
	b.listenTCP("tcp4", ":9090", func(c *net.TCPConn) { fmt.Fprintln(c, c.LocalAddr()) })
	rules.Backends[1] = many
	if err := k.Apply(rules); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	const calls = 1000 // at which the chance that one of 64 is left out is one in 100 000
	for i := range calls {
		// Also an IPv6 socket that dials the address mapped.
		seen[d.do(dial{Op: "tcp", V6: i%2 == 0, To: []netip.AddrPort{virtual}}).Reply]++
	}
	if len(seen) != MaxBackends {
		t.Errorf("%d endpoints were used, want %d", len(seen), MaxBackends)
	}
	for _, known := range many[:MaxBackends] {
		if seen[known.String()] == 0 {
			t.Errorf("%s was never used", known)
		}
	}
}

// TestStraightV6Only has a socket that takes only IPv6 dial a service that has only IPv4 endpoints. It hears at once that
// it cannot, as it would of such a network, and the program goes on to the IPv4 address.
func TestStraightV6Only(t *testing.T) {
	_, k, l, d := committed(t)
	virtual6 := netip.MustParseAddrPort("[fd00:1::10]:80")
	rules := simple(uint16(portOf(l)))
	rules.Mode = mesh.CaptureOff
	rules.Virtual = append(rules.Virtual, Virtual{Address: virtual6, Service: 1})
	if err := k.Apply(rules); err != nil {
		t.Fatal(err)
	}
	if r := d.do(dial{Op: "tcp", V6: true, To: []netip.AddrPort{virtual6}}); r.Reply != "endpoint" || r.Peer != virtual6 {
		t.Errorf("a socket of both families: %+v", r)
	}
	if r := d.do(dial{Op: "tcp", V6: true, V6Only: true, To: []netip.AddrPort{virtual6}}); r.Errno != int(syscall.ENETUNREACH) {
		t.Errorf("a socket of IPv6 only: %+v", r)
	}
}
