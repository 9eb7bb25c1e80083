package bpf

import (
	"net/netip"
	"testing"

	"github.com/meshd/meshd/engine/mesh"
)

// TestMPTCP has a program dial by MPTCP, through meshd and straight, and ask for its peer.
func TestMPTCP(t *testing.T) {
	_, k, l, d := committed(t)
	for reply, mode := range map[string]mesh.CaptureMode{"meshd": mesh.CaptureMesh, "endpoint": mesh.CaptureOff} {
		rules := simple(uint16(portOf(l)))
		rules.Mode = mode
		if err := k.Apply(rules); err != nil {
			t.Fatal(err)
		}
		r := d.do(dial{Op: "mptcp", To: []netip.AddrPort{virtual}})
		if r.Reply != reply || haveMPTCP() != (r.Peer == virtual) {
			t.Errorf("%s, helper %t: %+v", reply, haveMPTCP(), r)
		}
	}
}

// TestWithoutMPTCP loads the programs as on a kernel whose hooks do not know the sockets of MPTCP.
func TestWithoutMPTCP(t *testing.T) {
	before := haveMPTCP
	haveMPTCP = func() bool { return false }
	defer func() { haveMPTCP = before }()
	_, _, _, d := committed(t)
	d.expect("without the helper", "meshd")
}
