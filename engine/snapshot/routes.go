package snapshot

import (
	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/limit"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/route"
	"github.com/meshd/meshd/engine/subset"
)

// route gives every port its routes.
func (s *Snapshot) route(catalog *mesh.Catalog) {
	parts := parts{s, catalog, make(map[partKey]*balance.Group), make(map[*balance.Group]*Port)}
	compiler := route.NewCompiler(route.Parts{
		Catalog: catalog, Host: s.host.Name, Group: parts.group, Limiter: func(service string) *limit.Limiter {
			if svc, found := s.Named(service); found {
				return svc.Limiter
			}
			return nil
		},
	})
	for _, svc := range s.services {
		for _, p := range svc.Ports {
			p.Routes = compiler.Table(svc.Name, route.Port{Listener: p.Listener, Unread: !p.Reads()})
			p.Elsewhere = !p.Routes.Only(p.Group)
		}
	}
	for key, group := range parts.groups {
		port := parts.ports[key.whole]
		port.Subsets = append(port.Subsets, group)
	}
}

// parts are the groups of subsets.
type parts struct {
	snapshot *Snapshot
	catalog  *mesh.Catalog
	groups   map[partKey]*balance.Group
	ports    map[*balance.Group]*Port // of which the groups have parts
}

type partKey struct {
	whole  *balance.Group
	subset string
}

// group returns the endpoints of a target for what came to a port, and what they speak; nil when there are none.
func (x *parts) group(t mesh.Target, from route.Port) (*balance.Group, mesh.Protocol) {
	svc, found := x.snapshot.Named(t.Service)
	if !found {
		return nil, ""
	}
	port := svc.portFor(from)
	if port == nil {
		return nil, ""
	}
	if t.Subset == "" {
		return port.Group, port.Protocol
	}
	filter, found := x.filter(t)
	if !found {
		return nil, ""
	}
	key := partKey{port.Group, t.Subset}
	if x.groups[key] == nil {
		x.ports[port.Group] = port
		// The endpoints of a port are in the order of the service's, and a filter sees these: a subset is the same at all ports.
		at := 0
		x.groups[key] = port.Group.Part(func(*balance.Endpoint) bool {
			at++
			return filter.Selects(x.catalog.Mesh.Datacenter, svc.Name, svc.Endpoints[at-1])
		}, x.catalog.ZonesOf(t))
	}
	return x.groups[key], port.Protocol
}

// filter returns what selects the endpoints of a subset; false when there is no such subset.
func (x *parts) filter(t mesh.Target) (subset.Filter, bool) {
	r, found := x.catalog.Resolver(t.Service)
	if !found {
		return subset.Filter{}, false
	}
	for _, s := range r.Subsets {
		if s.Name == t.Subset {
			filter, err := subset.Parse(s.Filter)
			return filter, err == nil
		}
	}
	return subset.Filter{}, false
}

// portFor returns the port that takes what came to a port of the same service or another: the listener of that name, else the
// service's own port, else any other; of those whose requests are read, or are not, like those of that port. Nil when there is none.
func (s *Service) portFor(from route.Port) *Port {
	var best *Port
	for _, p := range s.Ports {
		switch {
		case p.Reads() == from.Unread:
		case p.Listener == from.Listener:
			return p
		case best == nil:
			best = p // the service's own comes first
		}
	}
	return best
}
