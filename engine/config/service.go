package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/meshd/meshd/engine/mesh"
)

// serviceBlock is a name with a port and a protocol: service "billing" {}.
type serviceBlock struct {
	// Name is the first part of the name in DNS and the last one of the identity.
	Name      string    `hcl:"name,label"`
	NameRange hcl.Range `hcl:"name,label_range"`

	// Port is the port that callers connect to. Default: none, for a service that only calls others; it has no
	// virtual address.
	Port      *int      `hcl:"port,optional"`
	PortRange hcl.Range `hcl:"port,attr_value_range"`

	// Protocol is what endpoints speak. "tcp": the bytes pass unread, as those of TLS must. "http": HTTP/1, whose requests
	// are routed one by one; "http2": HTTP/2, without TLS or an upgrade from HTTP/1; "grpc": gRPC, which goes over that and
	// is treated as with "http2". With all three, callers may speak HTTP/1 or HTTP/2, and a request is a call of gRPC when
	// its content-type says so. Default: "tcp".
	Protocol      *string   `hcl:"protocol,optional"`
	ProtocolRange hcl.Range `hcl:"protocol,attr_value_range"`

	// VirtualIPv4 is the address that callers connect to, inside the mesh's virtual_ipv4. Default: a hash of the name,
	// which has to be replaced only when two names have the same one.
	VirtualIPv4      *string   `hcl:"virtual_ipv4,optional"`
	VirtualIPv4Range hcl.Range `hcl:"virtual_ipv4,attr_value_range"`

	// VirtualIPv6 is the same for IPv6.
	VirtualIPv6      *string   `hcl:"virtual_ipv6,optional"`
	VirtualIPv6Range hcl.Range `hcl:"virtual_ipv6,attr_value_range"`

	// Hostnames are names outside the mesh that are answered with the service's virtual address, so that what connects
	// to them reaches the service. Default: [].
	Hostnames      []string  `hcl:"hostnames,optional"`
	HostnamesRange hcl.Range `hcl:"hostnames,attr_value_range"`

	// MaxConnections is how many connections to the service this host may have open, 1 to 1000000; further ones are
	// refused. Default: no limit.
	MaxConnections      *int      `hcl:"max_connections,optional"`
	MaxConnectionsRange hcl.Range `hcl:"max_connections,attr_value_range"`

	// MaxPendingRequests is how many HTTP requests to the service may wait on this host for a connection, or for their next
	// try, 1 to 1000000; further ones are answered with 503. Default: no limit.
	MaxPendingRequests      *int      `hcl:"max_pending_requests,optional"`
	MaxPendingRequestsRange hcl.Range `hcl:"max_pending_requests,attr_value_range"`

	// MaxConcurrentRequests is how many HTTP requests to the service this host may have under way, 1 to 1000000; further ones
	// are answered with 503. Default: no limit.
	MaxConcurrentRequests      *int      `hcl:"max_concurrent_requests,optional"`
	MaxConcurrentRequestsRange hcl.Range `hcl:"max_concurrent_requests,attr_value_range"`

	RateLimits []*rateLimitBlock `hcl:"rate_limit,block"`

	HTTP *httpBlock `hcl:"http,block"`

	// Listeners are further ports of the same identity, on the same endpoints.
	Listeners []*listenerBlock `hcl:"listener,block"`

	Check *checkBlock `hcl:"check,block"`

	// Workloads say which local processes are the service: those that one of the blocks matches.
	Workloads []*workloadBlock `hcl:"workload,block"`

	Endpoints []*endpointBlock `hcl:"endpoint,block"`

	Range hcl.Range `hcl:",def_range"`
}

const (
	defaultProtocol = string(mesh.TCP)
	mostConnections = 1_000_000
)

// hostIdentity begins the names of the hosts' own identities, which no service may take.
const hostIdentity = "host-"

func (s *serviceBlock) title() string      { return fmt.Sprintf("service %q", s.Name) }
func (s *serviceBlock) defined() hcl.Range { return s.Range }

// written4 returns the virtual IPv4 address that the block writes, or nil.
func (s *serviceBlock) written4() (*string, hcl.Range) { return s.VirtualIPv4, s.VirtualIPv4Range }

// written6 returns the virtual IPv6 address that the block writes, or nil.
func (s *serviceBlock) written6() (*string, hcl.Range) { return s.VirtualIPv6, s.VirtualIPv6Range }

// buildServices returns the services sorted by name.
func (b *builder) buildServices(all []*serviceBlock, m mesh.Mesh) []mesh.Service {
	b.ports, b.names, b.outside = make(map[string]claim), make(map[string]claim), make(map[string]bool)
	virtual4 := b.assign(all, m.VirtualIPv4, ipv4Pool, (*serviceBlock).written4)
	virtual6 := b.assign(all, m.VirtualIPv6, ipv6Pool, (*serviceBlock).written6)
	var services []mesh.Service
	for _, s := range all {
		built := b.service(s)
		built.Virtual4, built.Virtual6 = virtual4[s.Name], virtual6[s.Name]
		services = append(services, built)
	}
	slices.SortFunc(services, func(x, y mesh.Service) int { return strings.Compare(x.Name, y.Name) })
	return services
}

// leadsElsewhere says whether requests to a service can go to endpoints that are not its own.
func (b *builder) leadsElsewhere(service string) bool {
	r := b.resolvers[service]
	return r != nil && (r.Redirect != nil || len(r.Failovers) > 0) ||
		slices.ContainsFunc(b.Routers, func(r *routerBlock) bool { return r.Service == service }) ||
		slices.ContainsFunc(b.Splitters, func(s *splitterBlock) bool { return s.Service == service })
}

func (b *builder) service(s *serviceBlock) mesh.Service {
	if b.label(s.NameRange, "service name", s.Name) && strings.HasPrefix(s.Name, hostIdentity) {
		b.errorf(s.NameRange, "Reserved service name", "Names that begin with %q are the identities of hosts. Choose another "+
			"one, such as %q.", hostIdentity, strings.TrimPrefix(s.Name, hostIdentity)+"-host")
	}
	built := mesh.Service{Name: s.Name, Protocol: b.protocol(s.Protocol, s.ProtocolRange), Balancing: defaultBalancing, At: placeOf(s.Range)}
	if s.Port != nil {
		built.Port, _ = b.port(s.PortRange, *s.Port)
		if len(s.Endpoints) == 0 && !b.leadsElsewhere(s.Name) {
			b.warnf(s.Range, "Service without an endpoint", "Its name is answered, and every connection to it is refused. Add "+
				"an endpoint block with host = \"…\" or address = \"…\", or remove the port if the service only calls others.")
		}
	} else if len(s.Endpoints) > 0 {
		b.errorf(s.Range, "Service without a port", "A service with endpoints has callers. Write the port that they connect "+
			"to, such as port = 80.")
	}
	built.Listeners = b.listeners(s)
	built.Hostnames = b.hostnames(s)
	built.Check = b.check(s)
	b.limits(s, &built)
	b.http(s, &built)
	for _, e := range s.Endpoints {
		if endpoint, ok := b.endpoint(e, s, built.Listeners); ok {
			built.Endpoints = append(built.Endpoints, endpoint)
		}
	}
	for _, w := range s.Workloads {
		built.Workloads = append(built.Workloads, b.workload(w, s))
	}
	return built
}
