package mesh

import (
	"hash/fnv"
	"net/netip"
	"slices"
)

// Protocol says how the bytes of a service are read.
type Protocol string

// TCP passes bytes unread; it is the only protocol that is built so far.
const TCP Protocol = "tcp"

// Balancing is the way in which one endpoint of several is chosen, in Envoy's and Consul's words.
type Balancing string

// The policies of a load balancer.
const (
	RoundRobin   Balancing = "round_robin"
	LeastRequest Balancing = "least_request" // the less busy of two random endpoints
	Random       Balancing = "random"
)

// Service is a name with a port and a protocol.
type Service struct {
	Name      string
	Port      uint16 // 0: the service only calls others and has no virtual address
	Protocol  Protocol
	Virtual4  netip.Addr // invalid when Port is 0
	Virtual6  netip.Addr
	Balancing Balancing
	Workloads []Workload
	Endpoints []Endpoint
}

// ServiceID names a service inside kernel maps. It is a hash of the name, so it stays the same across restarts
// and needs no allocator that would have to be saved.
type ServiceID uint64

// ID returns the id of the service.
func (s *Service) ID() ServiceID { return IDOf(s.Name) }

// IDOf returns the id of the service of that name; never 0, which in kernel maps means "none".
func IDOf(service string) ServiceID {
	h := fnv.New64a()
	h.Write([]byte(service))
	return ServiceID(max(h.Sum64(), 1))
}

// Endpoint is one address and port that serves a service.
type Endpoint struct {
	Host    string // the mesh host it runs on; empty for an address outside the mesh
	Address netip.AddrPort
	Weight  uint32 // relative share of connections; at least 1
	Tags    []string
	Meta    map[string]string
}

// Name returns what people call the endpoint: host:port, or address:port outside the mesh.
func (e Endpoint) Name() string {
	if e.Host == "" {
		return e.Address.String()
	}
	return e.Host + ":" + portString(e.Address.Port())
}

// Workload says which local processes are a service. Every field that is set must match.
//
// It is looked at only on hosts that have an endpoint of the service, or that Hosts lists.
type Workload struct {
	Unit   string   // systemd unit name; * matches any run of characters
	Cgroup string   // path below the cgroup root, with a leading slash; * matches any run of characters
	User   string   // user name or numeric uid
	Hosts  []string // host names; "*" means every host
}

// OnHost says whether the workloads of the service are looked for on that host.
func (s *Service) OnHost(w Workload, host string) bool {
	if slices.Contains(w.Hosts, "*") || slices.Contains(w.Hosts, host) {
		return true
	}
	return slices.ContainsFunc(s.Endpoints, func(e Endpoint) bool { return e.Host == host })
}
