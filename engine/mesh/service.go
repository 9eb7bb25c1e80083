package mesh

import (
	"hash/fnv"
	"net"
	"net/netip"
	"slices"
	"time"
)

// Protocol says how the bytes of a service are read.
type Protocol string

// The protocols.
const (
	TCP  Protocol = "tcp"  // bytes pass unread
	HTTP Protocol = "http" // HTTP/1: requests are routed one by one
)

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
	Name           string
	Port           uint16 // 0: the service only calls others and has no virtual address
	Protocol       Protocol
	Listeners      []Listener // further ports, by name
	Hostnames      []string   // names outside the mesh that are answered with the virtual addresses
	Virtual4       netip.Addr // invalid when Port is 0
	Virtual6       netip.Addr
	Balancing      Balancing
	MaxConnections int    // open ones from one host; 0: no limit of the service's own
	Check          *Check // nil: endpoints are not checked
	Workloads      []Workload
	Endpoints      []Endpoint
}

// Listener is a further port of a service, of the same identity and on the same endpoints.
type Listener struct {
	Name     string
	Port     uint16
	Protocol Protocol
}

// ServiceID names a port of a service inside kernel maps. It is a hash of names, so it stays the same across restarts
// and needs no allocator that would have to be saved.
type ServiceID uint64

// ID returns the id of the service, at its own port.
func (s *Service) ID() ServiceID { return IDOf(s.Name) }

// ListenerID returns the id of the service at a listener; the empty name is the service's own port.
func (s *Service) ListenerID(listener string) ServiceID {
	if listener == "" {
		return s.ID()
	}
	return IDOf(s.Name + "/" + listener) // names have no slash
}

// IDOf returns the id of that name; never 0, which in kernel maps means "none".
func IDOf(name string) ServiceID {
	h := fnv.New64a()
	h.Write([]byte(name))
	return ServiceID(max(h.Sum64(), 1))
}

// Endpoint is one address and port that serves a service.
type Endpoint struct {
	Host     string            // the mesh host it runs on; empty for one outside the mesh
	Hostname string            // the name outside the mesh that stands for its addresses; empty when the address is written
	Address  netip.AddrPort    // in a catalog, that of a Hostname is a port without an address
	Ports    map[string]uint16 // at each listener of the service
	Zone     string            // where it stands; empty: nowhere in particular
	Weight   uint32            // relative share of connections; at least 1
	Tags     []string
	Meta     map[string]string
}

// Name returns what people call the endpoint: host:port, or address:port outside the mesh, or hostname:port where no
// address of it is known.
func (e Endpoint) Name() string {
	switch {
	case e.Host != "":
		return e.Host + ":" + portString(e.Address.Port())
	case !e.Address.IsValid():
		return net.JoinHostPort(e.Hostname, portString(e.Address.Port()))
	}
	return e.Address.String()
}

// CheckKind says what an endpoint is asked.
type CheckKind string

// The kinds of checks.
const (
	CheckTCP  CheckKind = "tcp"  // it accepts a connection
	CheckHTTP CheckKind = "http" // it answers a GET with 2xx or 3xx
)

// Check says how each endpoint of a service is asked, at the service's own port, whether it works.
type Check struct {
	Kind     CheckKind
	Path     string        // of the GET, with its query; empty for tcp
	Interval time.Duration // from the beginning of one check to that of the next
	Timeout  time.Duration // for a whole check; at most Interval
	Fall     int           // failed checks in a row after which an endpoint is down
	Rise     int           // good checks in a row after which it is up again
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
