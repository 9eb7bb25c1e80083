package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/engine/mesh"
)

// Flow returns, once, what the kernel recorded when it captured a connection, by the two addresses of the socket that a
// listener has accepted: its own and the client's.
//
// ErrNoFlow means that nothing was recorded: the connection was not captured but made to the listener's own address.
func (k *Kernel) Flow(local, client netip.AddrPort) (mesh.Flow, error) {
	key := meshFlowKey{
		Netns:        k.netns,
		Addr:         addrOf(client.Addr()),
		Port:         networkOrder(client.Port()),
		ListenerPort: networkOrder(local.Port()),
		ListenerHost: hostOf(local.Addr()),
		Proto:        unix.IPPROTO_TCP,
	}
	var m meshMeta
	if err := k.objects.FlowOrig.LookupAndDelete(&key, &m); err != nil {
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			err = ErrNoFlow
		}
		return mesh.Flow{}, fmt.Errorf("flow of %s: %w", client, err)
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

// forgetFlows removes the records of connections that the meshd before was handed and never accepted. They are over when
// its listeners are closed; those that the service manager has kept are still in their map, and so are their connections.
func (k *Kernel) forgetFlows() error {
	for _, family := range []uint32{unix.AF_INET, unix.AF_INET6} {
		var cookie uint64
		if err := k.objects.Listeners.Lookup(meshListenerKey{Netns: k.netns, Family: family}, &cookie); err == nil {
			return nil
		}
	}
	var key meshFlowKey
	var value meshMeta
	var over []meshFlowKey
	all := k.objects.FlowOrig.Iterate()
	for all.Next(&key, &value) {
		if key.Netns == k.netns {
			over = append(over, key)
		}
	}
	if err := all.Err(); err != nil {
		return fmt.Errorf("read flows: %w", err)
	}
	for _, key := range over {
		if err := k.objects.FlowOrig.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("remove flow: %w", err)
		}
	}
	return nil
}

// hostOf returns the last two bytes of an address of the listener.
func hostOf(a netip.Addr) uint16 {
	b := a.As16()
	return binary.BigEndian.Uint16(b[14:])
}
