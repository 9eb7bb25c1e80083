// Package snapshot holds one immutable, indexed picture of the mesh, and the one pointer through which it is read.
package snapshot

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/mesh"
)

// Snapshot is one picture of the mesh as one host sees it. It never changes; only the counters of endpoints do.
type Snapshot struct {
	version   uint64
	mesh      mesh.Mesh
	host      mesh.Host
	services  []*Service // by name
	targets   map[netip.AddrPort]target
	workloads []workload // that are looked for on the host; by service
}

// Service is a service with the group that chooses its endpoints.
type Service struct {
	mesh.Service
	Group *balance.Group
	Local bool // processes of this host are looked for that are the service
}

// target is what is behind an address.
type target struct {
	service *Service
	only    *balance.Endpoint // nil when the address is virtual
}

// Input is what a snapshot is built from.
type Input struct {
	Version  uint64
	Catalog  mesh.Catalog
	Host     mesh.Host // the host that the snapshot is for
	Previous *Snapshot // whose endpoints' counters are carried over; nil: all begin at zero
}

// Build returns the snapshot of a catalog. The catalog must not be changed afterwards.
//
// An address that stands for two things means the virtual address before the endpoint, and then the service that comes
// first by name; checking a configuration refuses most of such cases before they get here.
func Build(in Input) *Snapshot {
	s := &Snapshot{
		version:  in.Version,
		mesh:     in.Catalog.Mesh,
		host:     in.Host,
		services: make([]*Service, 0, len(in.Catalog.Services)),
		targets:  make(map[netip.AddrPort]target),
	}
	for _, svc := range in.Catalog.Services {
		var previous *balance.Group
		if in.Previous != nil {
			if old, found := in.Previous.Named(svc.Name); found {
				previous = old.Group
			}
		}
		entry := &Service{Service: svc, Group: balance.New(svc.Balancing, svc.Endpoints, previous)}
		for _, w := range svc.Workloads {
			if svc.OnHost(w, in.Host.Name) {
				entry.Local = true
				s.workloads = append(s.workloads, compile(svc.Name, w))
			}
		}
		s.services = append(s.services, entry)
	}
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
		if svc.Port != 0 {
			add(netip.AddrPortFrom(svc.Virtual4, svc.Port), target{service: svc})
			add(netip.AddrPortFrom(svc.Virtual6, svc.Port), target{service: svc})
		}
	}
	for _, svc := range s.services {
		for _, e := range svc.Group.Endpoints() {
			add(e.Address, target{service: svc, only: e})
		}
	}
}

// Version returns the number that the snapshot was built with; a later snapshot has a higher one.
func (s *Snapshot) Version() uint64 { return s.version }

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

// At returns what an application reaches that dials dst: the service whose virtual address and port it is, with only
// nil, or the service one of whose endpoints has that real address and port, with only that endpoint.
//
// dst is an unmapped address, as in mesh.Flow.
func (s *Snapshot) At(dst netip.AddrPort) (svc *Service, only *balance.Endpoint, ok bool) {
	t, ok := s.targets[dst]
	return t.service, t.only, ok
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
