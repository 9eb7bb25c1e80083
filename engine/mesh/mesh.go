package mesh

import (
	"net/netip"
	"slices"
	"strings"
)

// Mesh is what all hosts of one mesh share.
type Mesh struct {
	Name        string
	Domain      string // names are answered as <service>.<Domain>, without dots at either end
	Datacenter  string
	TrustDomain string
	VirtualIPv4 netip.Prefix // virtual addresses are hashed into it; never leaves a host
	VirtualIPv6 netip.Prefix
}

// Host is one machine that runs one meshd.
type Host struct {
	Name      string
	Addresses []netip.Addr // the first one is where peers reach its endpoints
	Zone      string
}

// Catalog is everything that discovery knows of a mesh: the input of a snapshot.
//
// Hosts and Services are sorted by name and names are unique.
type Catalog struct {
	Mesh     Mesh
	Hosts    []Host
	Services []Service
}

// Host returns the host of that name.
func (c *Catalog) Host(name string) (Host, bool) {
	i, found := slices.BinarySearchFunc(c.Hosts, name, func(h Host, n string) int { return strings.Compare(h.Name, n) })
	if !found {
		return Host{}, false
	}
	return c.Hosts[i], true
}

// Service returns the service of that name.
func (c *Catalog) Service(name string) (*Service, bool) {
	i, found := slices.BinarySearchFunc(c.Services, name, func(s Service, n string) int { return strings.Compare(s.Name, n) })
	if !found {
		return nil, false
	}
	return &c.Services[i], true
}
