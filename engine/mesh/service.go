package mesh

import (
	"cmp"
	"hash/fnv"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// Protocol says how the bytes of a service are read.
type Protocol string

// The protocols.
const (
	TCP   Protocol = "tcp"   // bytes pass unread
	HTTP  Protocol = "http"  // requests are routed one by one, and endpoints speak HTTP/1
	HTTP2 Protocol = "http2" // the same, and endpoints speak HTTP/2
	GRPC  Protocol = "grpc"  // gRPC, over HTTP/2
)

// Protocols are all of them.
var Protocols = []Protocol{TCP, HTTP, HTTP2, GRPC}

// IsHTTP says whether requests are read, and routed one by one.
func (p Protocol) IsHTTP() bool { return p == HTTP || p.IsHTTP2() }

// IsHTTP2 says whether endpoints speak HTTP/2, from the first byte on.
func (p Protocol) IsHTTP2() bool { return p == HTTP2 || p == GRPC }

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
	Balancer       Balancer
	Outlier        *OutlierDetection // nil: the detection that every service has
	MaxConnections int               // open ones from one host; 0: no limit of the service's own
	MaxPending     int               // requests from one host that are not sent yet, or not again; 0: no limit
	MaxRequests    int               // requests from one host that are under way, with those that are pending; 0: no limit
	Rates          []RateLimit       // of requests from one host
	Edge           bool              // clients of HTTP may be strangers: they are believed less, and may take less time
	Check          *Check            // nil: endpoints are not checked
	Workloads      []Workload
	Endpoints      []Endpoint
	At             Place
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
func (e Endpoint) Name() string { return string(e.AppendName(nil)) }

// AppendName appends the name of the endpoint.
func (e *Endpoint) AppendName(dst []byte) []byte {
	if e.Host == "" && e.Address.IsValid() {
		return e.Address.AppendTo(dst)
	}
	dst = append(dst, cmp.Or(e.Host, e.Hostname)...)
	return strconv.AppendUint(append(dst, ':'), uint64(e.Address.Port()), 10)
}

// CheckKind says what an endpoint is asked.
type CheckKind string

// The kinds of checks.
const (
	CheckTCP  CheckKind = "tcp"  // it accepts a connection
	CheckHTTP CheckKind = "http" // it answers a GET with 2xx or 3xx
	CheckGRPC CheckKind = "grpc" // it says by the gRPC health checking protocol that it serves
)

// Check says how each endpoint of a service is asked, at the service's own port, whether it works.
type Check struct {
	Kind     CheckKind
	Path     string        // of the GET, with its query; of http alone
	HTTP2    bool          // the GET is one of HTTP/2
	Name     string        // of what serves; empty: the server as a whole; of grpc alone
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
	At     Place
}

// OnHost says whether the workloads of the service are looked for on that host.
func (s *Service) OnHost(w Workload, host string) bool {
	if slices.Contains(w.Hosts, "*") || slices.Contains(w.Hosts, host) {
		return true
	}
	return slices.ContainsFunc(s.Endpoints, func(e Endpoint) bool { return e.Host == host })
}
