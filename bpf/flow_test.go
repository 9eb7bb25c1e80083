package bpf

import (
	"errors"
	"net"
	"net/netip"
	"testing"
)

// TestFlowIsNotInherited has a connection that was never accepted leave its record behind, and another user connect to
// meshd's port by itself from the same address and port.
func TestFlowIsNotInherited(t *testing.T) {
	b := newBench(t)
	k := b.open()
	defer k.Close()
	never := b.listenQuietly()
	port := never.Addr().(*net.TCPAddr).AddrPort().Port()
	if err := errors.Join(k.Apply(simple(port)), k.Listen(never), k.Commit()); err != nil {
		t.Fatal(err)
	}
	defer Withdraw(b.dir)
	source := netip.MustParseAddrPort("127.0.0.1:40000")
	victim, thief := b.startDialer("victim", 1000), b.startDialer("thief", 65534)
	if r := victim.do(dial{Op: "connect", To: []netip.AddrPort{virtual}, From: source}); r.Errno != 0 {
		t.Fatalf("victim: %+v", r)
	}
	never.Close() // with the victim's connection in its queue

	flows := make(chan error, 1)
	l := b.listenLoopback(port, func(c *net.TCPConn) {
		_, err := flowOf(k, c)
		flows <- err
		c.Write([]byte("."))
	})
	if err := k.Listen(l); err != nil {
		t.Fatal(err)
	}
	if r := thief.do(dial{Op: "tcp", To: []netip.AddrPort{netip.AddrPortFrom(sourcePool(victim.cgroup), port)}, From: source}); r.Errno != 0 {
		t.Fatalf("thief: %+v", r)
	}
	if err := <-flows; !errors.Is(err, ErrNoFlow) {
		t.Errorf("the thief has the flow of the victim: %v", err)
	}
}

// TestFlowsOfTheDead wants a start to forget what was recorded for the meshd before, unless its listener lives on.
func TestFlowsOfTheDead(t *testing.T) {
	b := newBench(t)
	k := b.open()
	defer k.Close()
	never := b.listenQuietly()
	if err := errors.Join(k.Apply(simple(uint16(portOf(never)))), k.Listen(never), k.Commit()); err != nil {
		t.Fatal(err)
	}
	defer Withdraw(b.dir)
	d := b.startDialer("client", 0)
	if r := d.do(dial{Op: "connect", To: []netip.AddrPort{virtual}}); r.Errno != 0 {
		t.Fatalf("%+v", r)
	}
	for _, left := range []int{1, 0} { // by a start while the listener lives, and by one after that
		next := b.open()
		defer next.Close()
		n := 0
		var key meshFlowKey
		var value meshMeta
		for all := next.objects.FlowOrig.Iterate(); all.Next(&key, &value); {
			n++
		}
		if n != left {
			t.Errorf("%d flows are left, want %d", n, left)
		}
		never.Close()
	}
}

// sourcePool is the model of source_pool.
func sourcePool(cgroup uint64) netip.Addr {
	hash := cgroup * 0x9e3779b97f4a7c15 >> 48
	return netip.AddrFrom4([4]byte{127, 77, byte(hash >> 8), byte(hash)})
}
