package config

import (
	"net/netip"

	"github.com/hashicorp/hcl/v2"

	"github.com/meshd/meshd/engine/mesh"
)

// endpointBlock is one address and port that serves a service: endpoint {}.
type endpointBlock struct {
	// Host is the name of the host block it runs on; its address is that host's first one.
	Host      *string   `hcl:"host,optional"`
	HostRange hcl.Range `hcl:"host,attr_value_range"`

	// Address is the IP address of an endpoint outside the mesh. An endpoint has either a host or an address.
	Address      *string   `hcl:"address,optional"`
	AddressRange hcl.Range `hcl:"address,attr_value_range"`

	// Port is the port on which the endpoint listens. Default: the service's port.
	Port      *int      `hcl:"port,optional"`
	PortRange hcl.Range `hcl:"port,attr_value_range"`

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
func (b *builder) endpoint(e *endpointBlock, s *serviceBlock) (mesh.Endpoint, bool) {
	built := mesh.Endpoint{Host: valueOr(e.Host, ""), Tags: e.Tags, Meta: e.Meta}
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
	if first, taken := b.ports[built.Address]; taken && first.service == s.Name {
		b.errorf(e.Range, "Endpoint is given twice", "The service has the endpoint %s at %s already. Remove one of the two.",
			built.Address, place(first.at))
	} else if taken {
		b.errorf(e.Range, "Endpoint of two services", "%s is an endpoint of service %q at %s. A connection that arrives there "+
			"must belong to one service: give them different ports.", built.Address, first.service, place(first.at))
	} else {
		b.ports[built.Address] = claim{s.Name, e.Range}
	}
	if b.addresses[address] != nil && isOwnPort(port) {
		at := e.PortRange
		if e.Port == nil {
			at = e.Range
		}
		b.errorf(at, "Port of meshd", "meshd itself listens on port %d of every host of the mesh. Let the process listen on "+
			"another port.", port)
	}
	return built, true
}

// location returns the endpoint's address, and false when there is none or it cannot be known.
func (b *builder) location(e *endpointBlock) (netip.Addr, bool) {
	switch {
	case (e.Host == nil) == (e.Address == nil):
		b.errorf(e.Range, "Endpoint needs a host or an address", "Write either host = \"…\", the name of a host block, or "+
			"address = \"…\", an IP address outside the mesh.")
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
	case isHostName(*e.Address):
		b.errorf(e.AddressRange, "service.endpoint.address with a host name is not built yet",
			"Write the IP address that %s has.", *e.Address)
		return netip.Addr{}, false
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
