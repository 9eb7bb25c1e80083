package bpf

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

var (
	ranges      = []netip.Prefix{netip.MustParsePrefix("245.0.0.0/8"), netip.MustParsePrefix("fdaa::/64")}
	unknown     = []string{"245.1.2.3:80", "[fdaa::1]:80"}
	otherRanges = []netip.Prefix{netip.MustParsePrefix("246.0.0.0/8")}
)

// addDeadGateway makes a default route to a gateway that does not answer.
func addDeadGateway(t *testing.T) {
	t.Helper()
	out := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "out"}, PeerName: "peer"}
	if err := netlink.LinkAdd(out); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"out", "peer"} {
		l, err := netlink.LinkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetUp(l); err != nil {
			t.Fatal(err)
		}
	}
	for _, cidr := range []string{"192.0.2.1/24", "2001:db8::1/64"} {
		addr, err := netlink.ParseAddr(cidr)
		if err != nil {
			t.Fatal(err)
		}
		addr.Flags = unix.IFA_F_NODAD
		if err := netlink.AddrAdd(out, addr); err != nil {
			t.Fatal(err)
		}
	}
	for _, gateway := range []string{"192.0.2.254", "2001:db8::fe"} {
		if err := netlink.RouteAdd(&netlink.Route{LinkIndex: out.Attrs().Index, Gw: net.ParseIP(gateway)}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRoutes(t *testing.T) {
	joinNewNetns(t)
	addDeadGateway(t)
	if n, err := KeepRoutes(ranges); n != 2 || err != nil {
		t.Fatalf("%d routes were missing: %v", n, err)
	}
	for _, to := range unknown {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", to)
		if err == nil {
			conn.Close()
		}
		if !errors.Is(err, syscall.EHOSTUNREACH) && !errors.Is(err, syscall.ENETUNREACH) {
			t.Errorf("%s: %v", to, err)
		}
	}
	if n, err := KeepRoutes(ranges); n != 0 || err != nil {
		t.Errorf("a second time %d routes were missing: %v", n, err)
	}
	if got, err := Routes(); err != nil || !slices.Equal(got, ranges) {
		t.Errorf("routes %v, %v", got, err)
	}
	if err := netlink.RouteDel(unreachable(ranges[1])); err != nil {
		t.Fatal(err)
	}
	if n, err := KeepRoutes(ranges); n != 1 || err != nil {
		t.Errorf("after one was removed %d were missing: %v", n, err)
	}
	// Other ranges: first the new, then the old.
	if n, err := KeepRoutes(otherRanges); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if gone, err := ForgetRoutes(otherRanges); err != nil || !slices.Equal(gone, ranges) {
		t.Errorf("removed %v, %v", gone, err)
	}
	if gone, err := ForgetRoutes(nil); err != nil || !slices.Equal(gone, otherRanges) {
		t.Errorf("removed %v, %v", gone, err)
	}
}

// TestRoutesOfAPersonWin has somebody route virtual addresses on purpose.
func TestRoutesOfAPersonWin(t *testing.T) {
	joinNewNetns(t)
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := KeepRoutes(ranges); err != nil {
		t.Fatal(err)
	}
	for i, to := range []string{"245.1.2.3", "fdaa::1"} {
		dst := unreachable(ranges[i]).Dst
		if err := netlink.RouteAdd(&netlink.Route{LinkIndex: lo.Attrs().Index, Dst: dst}); err != nil {
			t.Fatal(err)
		}
		if routes, err := netlink.RouteGet(net.ParseIP(to)); err != nil || len(routes) != 1 || routes[0].LinkIndex != lo.Attrs().Index {
			t.Errorf("%s goes %v, %v", to, routes, err)
		}
	}
}

// TestRoutesWithoutIPv6 wants a host that has turned IPv6 off to be served.
func TestRoutesWithoutIPv6(t *testing.T) {
	joinNewNetns(t)
	for _, name := range []string{"all", "default", "lo"} {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("1"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := KeepRoutes(ranges); err != nil {
		t.Error(err)
	}
	if _, err := ForgetRoutes(nil); err != nil {
		t.Error(err)
	}
}
