package snapshot

import (
	"net/netip"
	"slices"
	"time"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/route"
)

// Port is one port of a service with the group that chooses its endpoints.
//
// The groups of all ports of a service hold the same endpoints in the same order, each at the address of that port.
type Port struct {
	Service  *Service
	Listener string // name; empty: the service's own port
	Number   uint16
	Protocol mesh.Protocol
	ID       mesh.ServiceID // of its endpoints in the kernel
	Group    *balance.Group
	Routes   *route.Table // where each request goes, or each connection where requests are not read

	Elsewhere bool             // Routes lead to endpoints of other services or ports too
	Subsets   []*balance.Group // parts of Group to which any routes lead

	ConnectTimeout time.Duration // for one endpoint; 0: the default
}

// Reads says whether requests are read at the port. Otherwise the bytes of its connections pass unread.
func (p *Port) Reads() bool { return p.Protocol.IsHTTP() }

// Backends returns the addresses for who connects without looking at requests: those of the endpoints that are up.
func (p *Port) Backends() []netip.AddrPort { return p.Routes.Backends() }

// ports returns the ports of a service whose endpoints are located.
func (in *Input) ports(svc *Service) []*Port {
	if svc.Port == 0 {
		return nil
	}
	listeners := append([]mesh.Listener{{Port: svc.Port, Protocol: svc.Protocol}}, svc.Listeners...)
	var connect time.Duration
	if r, found := in.Catalog.Resolver(svc.Name); found {
		connect = r.ConnectTimeout
	}
	ports := make([]*Port, len(listeners))
	for i, l := range listeners {
		ports[i] = &Port{
			Service: svc, Listener: l.Name, Number: l.Port, Protocol: l.Protocol, ID: svc.ListenerID(l.Name),
			Group: balance.New(balance.Config{
				Policy: svc.Balancing, Balancer: svc.Balancer, Endpoints: endpointsAt(svc.Endpoints, l.Name),
				Zone: in.Host.Zone, Zones: in.Catalog.ZonesOf(mesh.Target{Service: svc.Name}),
				Outlier: svc.Outlier, Unread: l.Protocol == mesh.TCP,
				Load: svc.Load, Previous: in.previous(svc.Name, l.Name),
			}),
			ConnectTimeout: connect,
		}
	}
	return ports
}

// previous returns the group that the port had before, or nil.
func (in *Input) previous(service, listener string) *balance.Group {
	if in.Previous == nil {
		return nil
	}
	old, found := in.Previous.Named(service)
	if !found {
		return nil
	}
	i := slices.IndexFunc(old.Ports, func(p *Port) bool { return p.Listener == listener })
	if i < 0 {
		return nil
	}
	return old.Ports[i].Group
}

// endpointsAt returns the endpoints at the ports where they serve a listener; the empty name is the service's own port.
func endpointsAt(endpoints []mesh.Endpoint, listener string) []mesh.Endpoint {
	if listener == "" {
		return endpoints
	}
	moved := slices.Clone(endpoints)
	for i, e := range moved {
		moved[i].Address = netip.AddrPortFrom(e.Address.Addr(), e.Ports[listener])
	}
	return moved
}

// located puts an endpoint for each address of a host name in the place of the name. An address that the service has
// already, or that leads nowhere but back to this host, is left out.
func (in *Input) located(endpoints []mesh.Endpoint) []mesh.Endpoint {
	if !slices.ContainsFunc(endpoints, func(e mesh.Endpoint) bool { return e.Hostname != "" }) {
		return endpoints
	}
	all := make([]mesh.Endpoint, 0, len(endpoints))
	taken := make(map[netip.AddrPort]bool)
	for _, e := range endpoints {
		if e.Hostname == "" {
			taken[e.Address] = true
		}
	}
	for _, e := range endpoints {
		if e.Hostname == "" {
			all = append(all, e)
			continue
		}
		for _, a := range in.Addresses[e.Hostname] {
			at := netip.AddrPortFrom(a, e.Address.Port())
			if taken[at] || !IsOutside(in.Catalog.Mesh, a) {
				continue
			}
			taken[at] = true
			e.Address = at
			all = append(all, e)
		}
	}
	return all
}

// IsOutside says whether an address that a name server gives can be that of an endpoint outside the mesh. Who controls a
// name there must not lead connections to what listens on this host alone, nor back into the mesh.
func IsOutside(m mesh.Mesh, a netip.Addr) bool {
	return a.IsGlobalUnicast() && !m.VirtualIPv4.Contains(a) && !m.VirtualIPv6.Contains(a)
}
