package config

import (
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/hashicorp/hcl/v2"

	"github.com/meshd/meshd/engine/mesh"
)

// endpointBlock is one address and port that serves a service: endpoint {}.
type endpointBlock struct {
	// Host is the name of the host block it runs on; its address is that host's first one.
	Host      *string   `hcl:"host,optional"`
	HostRange hcl.Range `hcl:"host,attr_value_range"`

	// Address is the IP address or the host name of an endpoint outside the mesh. Each address that a resolver of the host
	// gives for the name is an endpoint. An endpoint has either a host or an address.
	Address      *string   `hcl:"address,optional"`
	AddressRange hcl.Range `hcl:"address,attr_value_range"`

	// Port is the port on which the endpoint listens. Default: the service's port.
	Port      *int      `hcl:"port,optional"`
	PortRange hcl.Range `hcl:"port,attr_value_range"`

	// Ports are the ports on which it listens for each listener of the service. Default: the listener's port.
	Ports      map[string]int `hcl:"ports,optional"`
	PortsRange hcl.Range      `hcl:"ports,attr_value_range"`

	// Zone is where an endpoint outside the mesh stands. Default: "", nowhere in particular. One on a host stands in the
	// host's zone.
	Zone      *string   `hcl:"zone,optional"`
	ZoneRange hcl.Range `hcl:"zone,attr_value_range"`

	// Weight is the relative share of connections, 1 to 1000. Default: 1.
	Weight      *int      `hcl:"weight,optional"`
	WeightRange hcl.Range `hcl:"weight,attr_value_range"`

	// Tags are words about the endpoint. Default: [].
	Tags []string `hcl:"tags,optional"`

	// Meta are facts about the endpoint, each a name and a value. Default: {}.
	Meta map[string]string `hcl:"meta,optional"`

	Range hcl.Range `hcl:",def_range"`
}

const (
	defaultWeight = 1
	maxWeight     = 1000
)

// ownPorts are the ports of meshd itself, from first to last.
var ownPorts = []struct{ first, last uint16 }{
	{15001, 15001}, {15006, 15006}, {15008, 15008}, {15020, 15021}, {15053, 15060},
}

// endpoint returns false, after a diagnostic, when it is not known where the endpoint is.
func (b *builder) endpoint(e *endpointBlock, s *serviceBlock, listeners []mesh.Listener) (mesh.Endpoint, bool) {
	built := mesh.Endpoint{
		Host: valueOr(e.Host, ""), Zone: b.endpointZone(e), Tags: e.Tags, Meta: e.Meta, Ports: b.listenerPorts(e, listeners),
	}
	weight := valueOr(e.Weight, defaultWeight)
	if weight < 1 || weight > maxWeight {
		b.errorf(e.WeightRange, "Invalid weight", "A weight is a whole number from 1 to %d. Remove the endpoint to send it "+
			"nothing.", maxWeight)
	}
	built.Weight = uint32(weight)

	address, located := b.location(e)
	port, known := b.endpointPort(e, s)
	if !located || !known {
		return built, false
	}
	built.Address = netip.AddrPortFrom(address, port)
	name := address.String()
	if !address.IsValid() {
		built.Hostname, name = *e.Address, *e.Address
	}
	at := e.PortRange
	if e.Port == nil {
		at = e.Range
	}
	b.claimPort(e, s, name, address, port, at)
	for _, listener := range slices.Sorted(maps.Keys(built.Ports)) {
		at := e.PortsRange
		if _, written := e.Ports[listener]; !written {
			at = e.Range
		}
		b.claimPort(e, s, name, address, built.Ports[listener], at)
	}
	return built, true
}

// claimPort makes a port of an endpoint that of its service. The range is where the port is written, or the block's.
func (b *builder) claimPort(e *endpointBlock, s *serviceBlock, name string, address netip.Addr, port uint16, at hcl.Range) {
	where := net.JoinHostPort(name, strconv.Itoa(int(port)))
	first, taken := b.ports[where]
	switch {
	case !taken:
		b.ports[where] = claim{s.Name, e.Range}
	case first.at == e.Range: // one port may serve several listeners
	case first.service == s.Name:
		b.errorf(e.Range, "Endpoint is given twice", "The service has the endpoint %s at %s already. Remove one of the two.",
			where, place(first.at))
	default:
		b.errorf(e.Range, "Endpoint of two services", "%s is an endpoint of service %q at %s. A connection that arrives there "+
			"must belong to one service: give them different ports.", where, first.service, place(first.at))
	}
	if b.addresses[address] != nil && isOwnPort(port) {
		b.errorf(at, "Port of meshd", "meshd itself listens on port %d of every host of the mesh. Let the process listen on "+
			"another port.", port)
	}
}

// endpointZone returns where an endpoint stands.
func (b *builder) endpointZone(e *endpointBlock) string {
	if e.Host == nil {
		return valueOr(e.Zone, "")
	}
	h := b.hosts[*e.Host]
	if e.Zone != nil {
		b.errorf(e.ZoneRange, "Zone of an endpoint on a host", "The endpoint stands where its host does. Remove the zone, and write "+
			"it in host %q if it is missing there.", *e.Host)
	}
	if h == nil {
		return ""
	}
	return h.Zone
}

// location returns the endpoint's address, which is invalid when it is a host name, and false when there is none or it
// cannot be known.
func (b *builder) location(e *endpointBlock) (netip.Addr, bool) {
	switch {
	case (e.Host == nil) == (e.Address == nil):
		b.errorf(e.Range, "Endpoint needs a host or an address", "Write either host = \"…\", the name of a host block, or "+
			"address = \"…\", an IP address or a host name outside the mesh.")
		return netip.Addr{}, false
	case e.Address == nil:
		if !b.declared(e.HostRange, *e.Host) {
			return netip.Addr{}, false
		}
		h := b.hosts[*e.Host]
		if h == nil || !h.first.IsValid() {
			return netip.Addr{}, false
		}
		return h.first, true
	case seemsHostName(*e.Address):
		return netip.Addr{}, b.outsideName(e)
	}
	address, ok := b.address(e.AddressRange, *e.Address)
	if !ok {
		return netip.Addr{}, false
	}
	if h := b.addresses[address]; h != nil && h.first == address {
		b.errorf(e.AddressRange, "Address of a host of the mesh", "%s is the address of %s. Write host = %q instead.",
			address, h.title(), h.Name)
	}
	return address, true
}

// endpointPort returns the port, and false when it is missing or wrong; a service without one has a diagnostic of its own.
func (b *builder) endpointPort(e *endpointBlock, s *serviceBlock) (uint16, bool) {
	switch {
	case e.Port != nil:
		return b.port(e.PortRange, *e.Port)
	case s.Port != nil && validPort(*s.Port):
		return uint16(*s.Port), true
	}
	return 0, false
}

func isOwnPort(port uint16) bool {
	for _, own := range ownPorts {
		if own.first <= port && port <= own.last {
			return true
		}
	}
	return false
}
