package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/meshd/meshd/engine/mesh"
)

// listenerBlock is a further port of a service, of the same identity and on the same endpoints: listener "grpc" {}.
type listenerBlock struct {
	// Name is what endpoints, and SRV queries for _<name>._tcp.<service>.<domain>, call the port.
	Name      string    `hcl:"name,label"`
	NameRange hcl.Range `hcl:"name,label_range"`

	// Port is the port that callers connect to.
	Port      int       `hcl:"port"`
	PortRange hcl.Range `hcl:"port,attr_value_range"`

	// Protocol is what endpoints speak there, as that of the service is. Default: "tcp".
	Protocol      *string   `hcl:"protocol,optional"`
	ProtocolRange hcl.Range `hcl:"protocol,attr_value_range"`

	Range hcl.Range `hcl:",def_range"`
}

// maxListenerName leaves room for the underscore before the name in an SRV query.
const maxListenerName = maxLabel - 1

// listeners returns the further ports of a service, sorted by name.
func (b *builder) listeners(s *serviceBlock) []mesh.Listener {
	names, ports := make(map[string]hcl.Range), make(map[int]hcl.Range)
	if s.Port == nil && len(s.Listeners) > 0 {
		b.errorf(s.Listeners[0].Range, "Listener without a port of the service", "A listener is a further port of a service "+
			"that has one. Write the port of the service first, such as port = 80.")
	} else if s.Port != nil {
		ports[*s.Port] = s.PortRange
	}
	var built []mesh.Listener
	for _, l := range s.Listeners {
		if b.label(l.NameRange, "listener name", l.Name) && len(l.Name) > maxListenerName {
			b.errorf(l.NameRange, "Invalid listener name", "With the underscore that SRV queries put before it, it has %d characters, "+
				"and names in DNS at most %d between dots. Shorten it.", len(l.Name)+1, maxLabel)
		}
		if at, twice := names[l.Name]; twice {
			b.errorf(l.Range, "Listener is given twice", "The service has a listener %q at %s already. Choose another name, or "+
				"remove one of the two.", l.Name, place(at))
			continue
		}
		names[l.Name] = l.Range
		protocol := b.protocol(l.Protocol, l.ProtocolRange)
		port, ok := b.port(l.PortRange, l.Port)
		if at, twice := ports[l.Port]; ok && twice {
			b.errorf(l.PortRange, "Port is given twice", "The service has port %d at %s already. Write another one, or remove the "+
				"listener.", l.Port, place(at))
		} else {
			ports[l.Port] = l.PortRange
		}
		built = append(built, mesh.Listener{Name: l.Name, Port: port, Protocol: protocol})
	}
	slices.SortFunc(built, func(x, y mesh.Listener) int { return strings.Compare(x.Name, y.Name) })
	return built
}

// protocol returns how the bytes of a port are to be read.
func (b *builder) protocol(written *string, at hcl.Range) mesh.Protocol {
	protocol := valueOr(written, defaultProtocol)
	switch {
	case slices.Contains(mesh.Protocols, mesh.Protocol(protocol)):
		return mesh.Protocol(protocol)
	case protocol == "udp":
		b.errorf(at, "UDP is not proxied", "meshd proxies TCP only, and answers UDP only for DNS. Remove the port, and let its "+
			"callers connect to its real address.")
	case slices.Contains(encrypted, strings.ToLower(protocol)):
		b.errorf(at, "Unknown protocol", "There is no protocol %q: what callers have encrypted cannot be read. Write %q, by which it passes as it "+
			"is, or %s, if they do not encrypt it.", protocol, mesh.TCP, alternatives(mesh.Protocols[1:]))
	default:
		b.errorf(at, "Unknown protocol", "There is no protocol %q.%s Write %s, or remove the argument.", protocol, likelyProtocol(protocol),
			alternatives(mesh.Protocols))
	}
	return mesh.TCP
}

// protocolsOfHTTP is what to write for a service whose requests shall be read.
const protocolsOfHTTP = `protocol = "http", "http2" or "grpc"`

// encrypted are names that others have for protocols over TLS.
var encrypted = []string{"tls", "ssl", "https", "grpcs"}

// otherNames are names that others have for protocols.
var otherNames = map[string]mesh.Protocol{
	"http1": mesh.HTTP, "http/1.1": mesh.HTTP, "http11": mesh.HTTP,
	"h2": mesh.HTTP2, "h2c": mesh.HTTP2, "http/2": mesh.HTTP2,
}

// likelyProtocol asks whether a protocol was meant that others call so, or that is written otherwise, if there is one.
func likelyProtocol(written string) string {
	likely := mesh.Protocol(strings.ToLower(written))
	if other, ok := otherNames[string(likely)]; ok {
		likely = other
	}
	if !slices.Contains(mesh.Protocols, likely) {
		return ""
	}
	return fmt.Sprintf(" Did you mean %q?", likely)
}

// listenerPorts returns the port of an endpoint at each listener of its service; nil when the service has none.
func (b *builder) listenerPorts(e *endpointBlock, listeners []mesh.Listener) map[string]uint16 {
	ports := make(map[string]uint16)
	for _, l := range listeners {
		ports[l.Name] = l.Port
	}
	for _, name := range slices.Sorted(maps.Keys(e.Ports)) {
		if _, found := ports[name]; !found {
			b.errorf(e.PortsRange, "Unknown listener", "The service has no listener %q.%s Add listener %q { port = … } to it, or "+
				"remove the port.", name, didYouMean(name, ports), name)
			continue
		}
		ports[name], _ = b.port(e.PortsRange, e.Ports[name])
	}
	if len(ports) == 0 {
		return nil
	}
	return ports
}
