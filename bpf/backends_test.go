package bpf

import (
	"net"
	"net/netip"
	"syscall"
	"testing"
)

func TestSetBackends(t *testing.T) {
	b, k, l, d := committed(t)
	other := netip.MustParseAddrPort("10.0.0.1:8081")
	b.listenTCP("tcp4", other.String(), func(c *net.TCPConn) { c.Write([]byte("other")) })
	set := func(backends ...netip.AddrPort) {
		t.Helper()
		if err := k.SetBackends(1, backends); err != nil {
			t.Fatal(err)
		}
	}
	set()
	if r := d.do(dial{Op: "tcp", To: []netip.AddrPort{virtual}}); r.Errno != int(syscall.ECONNREFUSED) {
		t.Errorf("a service without endpoints: got %+v, want ECONNREFUSED", r)
	}
	set(other)
	d.expect("with an endpoint again", "meshd")
	if err := k.SetBackends(2, []netip.AddrPort{other}); err != nil {
		t.Error(err)
	}
	var value meshService
	if err := k.objects.Services.Lookup(uint64(2), &value); err == nil {
		t.Error("a service that is not among the rules got endpoints")
	}

	rules := simple(uint16(l.Addr().(*net.TCPAddr).Port))
	for i := range 2000 {
		rules.ExcludePorts = append(rules.ExcludePorts, uint16(i+1))
	}
	if err := k.Apply(rules); err == nil {
		t.Fatal("2000 excluded ports fit")
	}
	if err := k.restore(); err != nil {
		t.Fatal(err)
	}
	l.Close()
	d.expect("after a failed Apply, without meshd", "other")
}
