// Package snapshot holds one immutable, indexed picture of the mesh, and the one pointer through which it is read.
package snapshot

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/limit"
	"github.com/meshd/meshd/engine/mesh"
)

// Snapshot is one picture of the mesh as one host sees it. It never changes; only the counters of endpoints do.
type Snapshot struct {
	version   uint64
	catalog   *mesh.Catalog
	mesh      mesh.Mesh
	host      mesh.Host
	services  []*Service // by name
	targets   map[netip.AddrPort]target
	hostnames map[string]*Service
	workloads []workload // that are looked for on the host; by service
}

// Service is a service with its ports.
//
// Its Endpoints are those that have an address: a host name stands there once for each of its addresses.
type Service struct {
	mesh.Service
	Ports   []*Port        // its own port first, then its listeners by name; none when it only calls others
	Local   bool           // processes of this host are looked for that are the service
	Load    *balance.Load  // what this host has under way to it
	Limiter *limit.Limiter // of requests to it; nil lets all pass
}

// target is what is behind an address.
type target struct {
	port *Port
	only *balance.Endpoint // nil when the address is virtual
}

// Input is what a snapshot is built from.
type Input struct {
	Version   uint64
	Catalog   mesh.Catalog
	Host      mesh.Host               // the host that the snapshot is for
	Addresses map[string][]netip.Addr // of the host names of endpoints; a name without any has no endpoint
	Previous  *Snapshot               // whose endpoints' counters are carried over; nil: all begin at zero
}

// Build returns the snapshot of a catalog. The catalog must not be changed afterwards.
//
// An address that stands for two things means the virtual address before the endpoint, and then the service that comes
// first by name; checking a configuration refuses most of such cases before they get here.
func Build(in Input) *Snapshot {
	catalog := in.Catalog // a pointer into in would keep all snapshots before
	s := &Snapshot{
		version:   in.Version,
		catalog:   &catalog,
		mesh:      in.Catalog.Mesh,
		host:      in.Host,
		services:  make([]*Service, 0, len(in.Catalog.Services)),
		targets:   make(map[netip.AddrPort]target),
		hostnames: make(map[string]*Service),
	}
	for _, svc := range in.Catalog.Services {
		svc.Endpoints = in.located(svc.Endpoints)
		entry := &Service{Service: svc}
		entry.limit(in.Previous)
		entry.Ports = in.ports(entry)
		for _, w := range svc.Workloads {
			if svc.OnHost(w, in.Host.Name) {
				entry.Local = true
				s.workloads = append(s.workloads, compile(svc.Name, w))
			}
		}
		s.services = append(s.services, entry)
	}
	s.route(&catalog)
	s.index()
	return s
}

func (s *Snapshot) index() {
	add := func(at netip.AddrPort, t target) {
		if _, taken := s.targets[at]; !taken && at.IsValid() {
			s.targets[at] = t
		}
	}
	for _, svc := range s.services {
		for _, p := range svc.Ports {
			add(netip.AddrPortFrom(svc.Virtual4, p.Number), target{port: p})
			add(netip.AddrPortFrom(svc.Virtual6, p.Number), target{port: p})
		}
		for _, name := range svc.Hostnames {
			s.hostnames[name] = svc
		}
	}
	for _, svc := range s.services {
		for _, p := range svc.Ports {
			for _, e := range p.Group.Endpoints() {
				add(e.Address, target{port: p, only: e})
			}
		}
	}
}

// Version returns the number that the snapshot was built with; a later snapshot has a higher one.
func (s *Snapshot) Version() uint64 { return s.version }

// Catalog returns what the snapshot was built from. The caller must not change it.
func (s *Snapshot) Catalog() *mesh.Catalog { return s.catalog }

// Mesh returns what all hosts of the mesh share.
func (s *Snapshot) Mesh() mesh.Mesh { return s.mesh }

// Host returns the host that the snapshot is for.
func (s *Snapshot) Host() mesh.Host { return s.host }

// Services returns all services sorted by name. The caller must not change the slice.
func (s *Snapshot) Services() []*Service { return s.services }

// Named returns the service of that name.
func (s *Snapshot) Named(name string) (*Service, bool) {
	i, found := slices.BinarySearchFunc(s.services, name, func(svc *Service, n string) int { return strings.Compare(svc.Name, n) })
	if !found {
		return nil, false
	}
	return s.services[i], true
}

// At returns what an application reaches that dials dst: the service's port whose virtual address it is, with only nil,
// or the port one of whose endpoints has that real address, with only that endpoint.
//
// dst is an unmapped address, as in mesh.Flow.
func (s *Snapshot) At(dst netip.AddrPort) (port *Port, only *balance.Endpoint, ok bool) {
	t, ok := s.targets[dst]
	return t.port, t.only, ok
}

// Virtual returns the virtual addresses of the service of that name, for DNS.
//
// ok says whether the service exists. A service without a port exists but has no address: both are then invalid, and
// its name is answered as one that does not exist.
func (s *Snapshot) Virtual(name string) (v4, v6 netip.Addr, ok bool) {
	svc, ok := s.Named(name)
	if !ok || svc.Port == 0 {
		return netip.Addr{}, netip.Addr{}, ok
	}
	return svc.Virtual4, svc.Virtual6, true
}

// Hostname returns the virtual addresses of the service that has declared a name outside the mesh, for DNS. The name is in
// lower case, without a dot at its end.
func (s *Snapshot) Hostname(name string) (v4, v6 netip.Addr, ok bool) {
	svc, ok := s.hostnames[name]
	if !ok {
		return netip.Addr{}, netip.Addr{}, false
	}
	return svc.Virtual4, svc.Virtual6, true
}

// ListenerPort returns the port of a listener of a service, for SRV queries.
func (s *Snapshot) ListenerPort(service, listener string) (port uint16, ok bool) {
	svc, ok := s.Named(service)
	if !ok {
		return 0, false
	}
	i := slices.IndexFunc(svc.Listeners, func(l mesh.Listener) bool { return l.Name == listener })
	if i < 0 {
		return 0, false
	}
	return svc.Listeners[i].Port, true
}
