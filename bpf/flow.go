package bpf

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/engine/mesh"
)

// Flow returns, once, what the kernel recorded when it captured the connection that the listener accepted.
//
// ErrNoFlow means that nothing was recorded: the connection was not captured but made to the listener's own address.
func (k *Kernel) Flow(client *net.TCPConn) (mesh.Flow, error) {
	remote, ok1 := client.RemoteAddr().(*net.TCPAddr)
	local, ok2 := client.LocalAddr().(*net.TCPAddr)
	if !ok1 || !ok2 {
		return mesh.Flow{}, fmt.Errorf("flow of %s: %w", client.RemoteAddr(), ErrNoFlow)
	}
	key := meshFlowKey{
		Netns:        k.netns,
		Addr:         addrOf(remote.AddrPort().Addr()),
		Port:         networkOrder(uint16(remote.Port)),
		ListenerPort: networkOrder(uint16(local.Port)),
		Proto:        unix.IPPROTO_TCP,
	}
	var m meshMeta
	if err := k.objects.FlowOrig.LookupAndDelete(&key, &m); err != nil {
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			err = ErrNoFlow
		}
		return mesh.Flow{}, fmt.Errorf("flow of %s: %w", remote, err)
	}
	return mesh.Flow{
		Destination: netip.AddrPortFrom(m.Addr.netip(), networkOrder(m.Port)),
		Cgroup:      m.Cgroup,
		Levels:      m.Levels,
		PID:         m.Tgid,
		UID:         m.Uid,
		Netns:       m.Netns,
	}, nil
}
