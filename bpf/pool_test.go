package bpf

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
)

// TestSourcePorts has a unit use up all source ports that there are towards meshd. Others have their own.
func TestSourcePorts(t *testing.T) {
	b := newBench(t)
	// Of this network namespace, which the thread of the test is in.
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("40000 40031"), 0o644); err != nil {
		t.Fatal(err)
	}
	k := b.open()
	defer k.Close()
	held := make(chan *net.TCPConn, 64)
	l := b.listenLoopback(15001, func(c *net.TCPConn) { // outside of the range
		if _, err := flowOf(k, c); err != nil {
			t.Error(err)
		}
		if from := c.RemoteAddr().(*net.TCPAddr).IP.String(); from != "127.0.0.1" {
			t.Errorf("the caller is seen as %s", from)
		}
		c.Write([]byte("meshd"))
		held <- c // so that it is not collected; the caller closes it
	})
	for _, err := range []error{k.Apply(simple(uint16(portOf(l)))), k.Listen(l), k.Commit()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	defer Withdraw(b.dir)
	greedy, other := b.startDialer("greedy", 0), b.startDialer("other", 0)
	if sourcePool(greedy.cgroup) == sourcePool(other.cgroup) {
		t.Fatal("two cgroups made one after the other have one hash")
	}
	n := 0
	for ; n < 64; n++ {
		if r := greedy.do(dial{Op: "hold", To: []netip.AddrPort{virtual}}); r.Errno != 0 {
			if r.Errno != int(syscall.EADDRNOTAVAIL) {
				t.Fatalf("after %d connections: %+v", n, r)
			}
			break
		}
	}
	if n != 32 {
		t.Errorf("%d connections from 32 ports", n)
	}
	other.expect("another unit", "meshd")
}
