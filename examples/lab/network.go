package lab

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// bridgeName is the bridge in the network namespace of [Outside].
const bridgeName = "lan"

// makeBridge makes the bridge that joins the hosts, with an address of [Outside] in each network.
func makeBridge(outside namespaces, addresses []netip.Addr) error {
	h, err := netlink.NewHandleAt(netns.NsHandle(outside.Net))
	if err != nil {
		return fmt.Errorf("open network of %s: %w", Outside, err)
	}
	defer h.Close()
	snooping := false // there is no multicast router whose queries it could learn from
	bridge := &netlink.Bridge{LinkAttrs: netlink.NewLinkAttrs(), MulticastSnooping: &snooping}
	bridge.Name = bridgeName
	// A bridge without an address of its own takes the lowest one of its ports, and so changes it with every host.
	bridge.HardwareAddr = net.HardwareAddr{0x02, 0, 0, 0, 0, 0x01}
	if err := h.LinkAdd(bridge); err != nil {
		return fmt.Errorf("add bridge: %w", err)
	}
	return bringUp(h, bridgeName, addresses)
}

// join connects a host to the bridge by its interface eth0. The other end has the name of the port.
func join(outside, host namespaces, port string, addresses []netip.Addr) error {
	lan, err := netlink.NewHandleAt(netns.NsHandle(outside.Net))
	if err != nil {
		return fmt.Errorf("open network of %s: %w", Outside, err)
	}
	defer lan.Close()
	own, err := netlink.NewHandleAt(netns.NsHandle(host.Net))
	if err != nil {
		return fmt.Errorf("open network: %w", err)
	}
	defer own.Close()
	bridge, err := lan.LinkByName(bridgeName)
	if err != nil {
		return fmt.Errorf("find bridge: %w", err)
	}
	pair := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: "eth0", PeerNamespace: netlink.NsFd(host.Net)}
	pair.Name, pair.MasterIndex = port, bridge.Attrs().Index
	if err := lan.LinkAdd(pair); err != nil {
		return fmt.Errorf("add interface eth0: %w", err)
	}
	if err := bringUp(lan, port, nil); err != nil {
		return err
	}
	return bringUp(own, "eth0", addresses)
}

// bringUp gives addresses to a link and enables it, and the loopback of its namespace.
func bringUp(h *netlink.Handle, name string, addresses []netip.Addr) error {
	for _, name := range []string{"lo", name} {
		link, err := h.LinkByName(name)
		if err != nil {
			return fmt.Errorf("find interface %s: %w", name, err)
		}
		if err := h.LinkSetUp(link); err != nil {
			return fmt.Errorf("enable interface %s: %w", name, err)
		}
		if name == "lo" {
			continue
		}
		for _, a := range addresses {
			address := &netlink.Addr{IPNet: &net.IPNet{
				IP:   a.AsSlice(),
				Mask: net.CIDRMask(onLink(a).Bits(), a.BitLen()),
			}}
			if a.Is6() {
				address.Flags = unix.IFA_F_NODAD // usable at once: nobody else is on this network
			}
			if err := h.AddrAdd(link, address); err != nil {
				return fmt.Errorf("add address %s: %w", a, err)
			}
		}
	}
	return nil
}
