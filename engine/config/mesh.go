package config

import (
	"net/netip"

	"github.com/hashicorp/hcl/v2"

	"github.com/meshd/meshd/engine/mesh"
)

// meshBlock is what all hosts of a mesh share: mesh "shop" {}. It must say the same on all of them.
type meshBlock struct {
	// Name is the name of the mesh.
	Name      string    `hcl:"name,label"`
	NameRange hcl.Range `hcl:"name,label_range"`

	// Domain is the DNS domain of the services' names: service billing is billing.mesh. Default: "mesh".
	Domain      *string   `hcl:"domain,optional"`
	DomainRange hcl.Range `hcl:"domain,attr_value_range"`

	// Datacenter is a part of every identity. Default: "dc1".
	Datacenter      *string   `hcl:"datacenter,optional"`
	DatacenterRange hcl.Range `hcl:"datacenter,attr_value_range"`

	// TrustDomain is the first part of every identity. Default: the name of the mesh and ".internal".
	TrustDomain      *string   `hcl:"trust_domain,optional"`
	TrustDomainRange hcl.Range `hcl:"trust_domain,attr_value_range"`

	// VirtualIPv4 is the prefix, /6 to /24, that each service gets an address from. The address is a hash of the
	// service's name; it never leaves a host. The first and the last eight addresses go to no service.
	// Default: "244.0.0.0/6".
	VirtualIPv4      *string   `hcl:"virtual_ipv4,optional"`
	VirtualIPv4Range hcl.Range `hcl:"virtual_ipv4,attr_value_range"`

	// VirtualIPv6 is the same for IPv6, /48 to /96. Default: "fd6d:6573:6864::/64".
	VirtualIPv6      *string   `hcl:"virtual_ipv6,optional"`
	VirtualIPv6Range hcl.Range `hcl:"virtual_ipv6,attr_value_range"`

	Range hcl.Range `hcl:",def_range"`
}

const (
	defaultDomain      = "mesh"
	defaultDatacenter  = "dc1"
	defaultTrustDomain = ".internal" // behind the name of the mesh
	defaultVirtualIPv4 = "244.0.0.0/6"
	defaultVirtualIPv6 = "fd6d:6573:6864::/64"
)

// title leaves the name out: there is one mesh, whatever it is called.
func (m *meshBlock) title() string      { return "mesh" }
func (m *meshBlock) defined() hcl.Range { return m.Range }

func (b *builder) mesh(m *meshBlock) mesh.Mesh {
	built := mesh.Mesh{
		Name:        m.Name,
		Domain:      valueOr(m.Domain, defaultDomain),
		Datacenter:  valueOr(m.Datacenter, defaultDatacenter),
		TrustDomain: valueOr(m.TrustDomain, m.Name+defaultTrustDomain),
	}
	b.label(m.NameRange, "mesh name", built.Name)
	b.domain(m.DomainRange, "domain", built.Domain)
	b.domainName = built.Domain
	b.label(m.DatacenterRange, "datacenter", built.Datacenter)
	if m.TrustDomain != nil {
		b.domain(m.TrustDomainRange, "trust domain", built.TrustDomain)
	}
	built.VirtualIPv4 = b.virtualPrefix(m.VirtualIPv4Range, valueOr(m.VirtualIPv4, defaultVirtualIPv4), ipv4Pool)
	built.VirtualIPv6 = b.virtualPrefix(m.VirtualIPv6Range, valueOr(m.VirtualIPv6, defaultVirtualIPv6), ipv6Pool)
	return built
}

// poolKind is what a prefix of virtual addresses may be.
type poolKind struct {
	argument        string
	family          string
	bits            int // of an address
	widest, longest int // prefix lengths
	otherwise       string
	unusable        []netip.Prefix
}

var (
	ipv4Pool = poolKind{"virtual_ipv4", "IPv4", 32, 6, 24, defaultVirtualIPv4, []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),      // this host
		netip.MustParsePrefix("127.0.0.0/8"),    // loopback
		netip.MustParsePrefix("169.254.0.0/16"), // link-local
		netip.MustParsePrefix("224.0.0.0/4"),    // multicast
	}}
	ipv6Pool = poolKind{"virtual_ipv6", "IPv6", 128, 48, 96, defaultVirtualIPv6, []netip.Prefix{
		netip.MustParsePrefix("::/48"),     // loopback and mapped IPv4
		netip.MustParsePrefix("fe80::/10"), // link-local
		netip.MustParsePrefix("ff00::/8"),  // multicast
	}}
)

// virtualPrefix returns the zero prefix, after a diagnostic, for one that cannot be used.
func (b *builder) virtualPrefix(at hcl.Range, text string, kind poolKind) netip.Prefix {
	p, ok := b.prefix(at, text)
	if !ok {
		return netip.Prefix{}
	}
	if p.Addr().BitLen() != kind.bits || p.Bits() < kind.widest || p.Bits() > kind.longest {
		b.errorf(at, "Unsuitable "+kind.argument, "It is an %s prefix from /%d to /%d. Write %q if nothing in your "+
			"network uses it.", kind.family, kind.widest, kind.longest, kind.otherwise)
		return netip.Prefix{}
	}
	for _, u := range kind.unusable {
		if p.Overlaps(u) {
			b.errorf(at, "Unsuitable "+kind.argument, "%s contains addresses of %s, to which applications cannot connect "+
				"as to others. Write %q if nothing in your network uses it.", p, u, kind.otherwise)
			return netip.Prefix{}
		}
	}
	b.virtual = append(b.virtual, p)
	return p
}
