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
// Hosts and Services are sorted by name, and Routers, Splitters and Resolvers by service; names are unique.
type Catalog struct {
	Mesh      Mesh
	Hosts     []Host
	Services  []Service
	Routers   []Router
	Splitters []Splitter
	Resolvers []Resolver // of those that say more than a load balancer
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

// Router returns the router of a service.
func (c *Catalog) Router(service string) (*Router, bool) {
	return find(c.Routers, service, func(r *Router) string { return r.Service })
}

// Splitter returns the splitter of a service.
func (c *Catalog) Splitter(service string) (*Splitter, bool) {
	return find(c.Splitters, service, func(s *Splitter) string { return s.Service })
}

// Resolver returns the resolver of a service.
func (c *Catalog) Resolver(service string) (*Resolver, bool) {
	return find(c.Resolvers, service, func(r *Resolver) string { return r.Service })
}

// ZonesOf returns the zones in which endpoints of a target stand in for those of the caller's zone, in that order.
func (c *Catalog) ZonesOf(t Target) []string {
	r, found := c.Resolver(t.Service)
	if !found {
		return nil
	}
	return r.FailoverOf(t.Subset).Zones
}

// find returns the element of that name in a slice that is sorted by it.
func find[T any](all []T, name string, nameOf func(*T) string) (*T, bool) {
	i, found := slices.BinarySearchFunc(all, name, func(x T, n string) int { return strings.Compare(nameOf(&x), n) })
	if !found {
		return nil, false
	}
	return &all[i], true
}
