package config

import (
	"net/netip"

	"github.com/hashicorp/hcl/v2"
)

// address checks the address of a host or of an endpoint.
func (b *builder) address(at hcl.Range, text string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(text)
	if err != nil {
		b.errorf(at, "Invalid address", "%q is not an IP address. Write one like \"10.0.0.21\" or \"fd00::21\", without a port "+
			"or prefix length.", text)
		return netip.Addr{}, false
	}
	zone := a.Zone()
	a = a.WithZone("").Unmap()
	fault := ""
	switch {
	case zone != "" || a.Is6() && a.IsLinkLocalUnicast():
		fault = "is good only together with an interface of one host. Write an address that all hosts can use."
	case a.IsUnspecified():
		fault = "means every address of a host. Write the one at which other hosts reach it."
	case a.IsMulticast():
		fault = "is a multicast address, to which nothing can connect. Write the address of one host."
	case a.IsLoopback():
		fault = "is a loopback address: every host would reach itself there. Write the address at which other hosts reach it, or, " +
			"for an endpoint on a host of the mesh, host = \"…\"."
	}
	for _, p := range b.virtual {
		if fault == "" && p.Contains(a) {
			fault = "is inside " + p.String() + ", the mesh's virtual addresses. Write the real address, or move the virtual ones " +
				"with virtual_ipv4 or virtual_ipv6 in the mesh block."
		}
	}
	if fault != "" {
		b.errorf(at, "Unsuitable address", "%s %s", text, fault)
	}
	return a, fault == ""
}

// prefix checks an address prefix of either family.
func (b *builder) prefix(at hcl.Range, text string) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4In6() {
		suggestion := "10.0.0.0/8"
		if a, err := netip.ParseAddr(text); err == nil {
			a = a.WithZone("").Unmap()
			suggestion = netip.PrefixFrom(a, a.BitLen()).String()
		}
		b.errorf(at, "Invalid prefix", "%q is not an address prefix. Write one like %q.", text, suggestion)
		return netip.Prefix{}, false
	}
	if p != p.Masked() {
		b.errorf(at, "Invalid prefix", "%s has bits behind its length. Write %q, or \"%s/%d\" for the one address.", text,
			p.Masked(), p.Addr(), p.Addr().BitLen())
		return netip.Prefix{}, false
	}
	return p, true
}

// port checks the number of a port.
func (b *builder) port(at hcl.Range, port int) (uint16, bool) {
	if !validPort(port) {
		b.errorf(at, "Invalid port", "%d is not a port. Write a number from 1 to 65535.", port)
		return 0, false
	}
	return uint16(port), true
}

func validPort(port int) bool { return 1 <= port && port <= 65535 }
