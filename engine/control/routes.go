package control

import (
	"net/netip"
	"time"

	"github.com/meshd/meshd/engine/mesh"
)

// RouteList is the answer to "where do requests go?". Places are written as file:line, and durations as in the configuration.
type RouteList struct {
	SchemaVersion int             `json:"schema_version"`
	Services      []ServiceRoutes `json:"services"`
}

// ServiceRoutes is what becomes of the connections and requests to a service.
type ServiceRoutes struct {
	Service string       `json:"service"`
	At      string       `json:"at"`
	Ports   []RoutedPort `json:"ports"`
	// Hardening is "edge" when the clients may be strangers; else it is empty.
	Hardening string   `json:"hardening,omitempty"`
	Routes    []Route  `json:"routes"`  // in the order in which they are asked; the last one is that of connections whose requests are not read
	Targets   []Target `json:"targets"` // whom they lead to, and after each who stands in for it
}

// RoutedPort is a port of a service.
type RoutedPort struct {
	Listener string        `json:"listener,omitempty"` // empty: the service's own port
	Number   uint16        `json:"port"`
	Protocol mesh.Protocol `json:"protocol"`
}

// Route is one way for requests, or for connections where those are not read. Exactly one of Shares, Redirect and Respond is set.
type Route struct {
	Name            string       `json:"name"` // such as router "billing" route 2
	At              string       `json:"at,omitempty"`
	Match           []string     `json:"match"` // conditions in words, all of which must hold; none: every one that comes so far
	Shares          []Share      `json:"shares,omitempty"`
	Redirect        *Redirect    `json:"redirect,omitempty"`
	Respond         *Respond     `json:"respond,omitempty"`
	PrefixRewrite   string       `json:"prefix_rewrite,omitempty"`
	RequestTimeout  string       `json:"request_timeout,omitempty"` // empty: none
	IdleTimeout     string       `json:"idle_timeout,omitempty"`
	Retry           *Retry       `json:"retry,omitempty"`
	RequestHeaders  *HeaderEdits `json:"request_headers,omitempty"`
	ResponseHeaders *HeaderEdits `json:"response_headers,omitempty"`
	Fault           *Fault       `json:"fault,omitempty"`
	Mirror          *Mirror      `json:"mirror,omitempty"`
}

// Share is one of the targets among which a route divides what takes it.
type Share struct {
	Percent float64  `json:"percent"`
	Asked   string   `json:"asked"`            // service or service/subset, as written
	Splits  []string `json:"splits,omitempty"` // places of the splits that have led to it, the outermost first
	Way     []Step   `json:"way,omitempty"`    // what resolvers have made of it
	Target  string   `json:"target"`           // the name of what has come of that
	Live    string   `json:"live,omitempty"`   // who stands in for it now; empty: nobody has to
	Drawn   bool     `json:"drawn,omitempty"`
}

// Step is something that was found out, and where the configuration says so.
type Step struct {
	Text string `json:"text"`
	At   string `json:"at,omitempty"`
}

// Redirect answers with another address. What is empty stays as the request has it.
type Redirect struct {
	Status        int    `json:"status"`
	Scheme        string `json:"scheme,omitempty"`
	Host          string `json:"host,omitempty"`
	Path          string `json:"path,omitempty"`
	PrefixRewrite string `json:"prefix_rewrite,omitempty"`
}

// Respond answers without asking anybody.
type Respond struct {
	Status int    `json:"status"`
	Body   string `json:"body"`
}

// Retry says when a request is sent again.
type Retry struct {
	Attempts      int      `json:"attempts"`
	On            []string `json:"on"`
	PerTryTimeout string   `json:"per_try_timeout,omitempty"`
}

// HeaderEdits change the fields of a head, first those that go.
type HeaderEdits struct {
	Remove []string      `json:"remove,omitempty"`
	Set    []HeaderField `json:"set,omitempty"`
	Add    []HeaderField `json:"add,omitempty"`
}

// HeaderField is a header field.
type HeaderField struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Fault is what goes wrong on purpose.
type Fault struct {
	DelayPercent float64 `json:"delay_percentage,omitempty"`
	Delay        string  `json:"fixed_delay,omitempty"`
	AbortPercent float64 `json:"abort_percentage,omitempty"`
	HTTPStatus   int     `json:"http_status,omitempty"`
	GRPCStatus   *int    `json:"grpc_status,omitempty"`
}

// Mirror is where copies of requests go.
type Mirror struct {
	Percent float64 `json:"percentage"`
	Target  string  `json:"target"`
}

// Target is a service, or a subset of it, with the endpoints that stand for it.
type Target struct {
	Name           string         `json:"name"` // service or service/subset
	StandsIn       bool           `json:"stands_in,omitempty"`
	Service        string         `json:"service"`
	Subset         string         `json:"subset,omitempty"`
	At             string         `json:"at,omitempty"`     // of the subset, else of the resolver, else of the service
	Filter         string         `json:"filter,omitempty"` // of the subset
	Balancing      mesh.Balancing `json:"balancing"`
	Hash           []string       `json:"hash,omitempty"`            // what of a request is hashed, in words
	ConnectTimeout string         `json:"connect_timeout,omitempty"` // empty: the default
	Zones          []string       `json:"zones,omitempty"`           // that come after the caller's own, in this order
	Failover       []string       `json:"failover,omitempty"`        // targets that stand in, in this order
	FailoverAt     string         `json:"failover_at,omitempty"`
	Limits         *Limits        `json:"limits,omitempty"`
	Panics         bool           `json:"panics,omitempty"` // less than half of the endpoints are up, so that all are chosen from
	Endpoints      []Candidate    `json:"endpoints"`
}

// Limits are what a service bounds of all that one host sends it, and what there is of it now; 0: no bound.
type Limits struct {
	MaxConnections        int64    `json:"max_connections,omitempty"`
	MaxPendingRequests    int64    `json:"max_pending_requests,omitempty"`
	MaxConcurrentRequests int64    `json:"max_concurrent_requests,omitempty"`
	Connections           int64    `json:"connections"`
	PendingRequests       int64    `json:"pending_requests"`
	ConcurrentRequests    int64    `json:"concurrent_requests"`
	Rates                 []string `json:"rate_limits,omitempty"` // in words
}

// Candidate is an endpoint, and whether a connection may get it.
type Candidate struct {
	Name         string         `json:"name"`
	Address      netip.AddrPort `json:"address,omitzero"` // none of a host name that was not looked up
	State        EndpointState  `json:"state"`
	EjectedUntil *time.Time     `json:"ejected_until,omitempty"`
	Zone         string         `json:"zone,omitempty"`
	Weight       uint32         `json:"weight"`
	Active       int            `json:"active"`
	Member       bool           `json:"member"`            // it is one of the target; otherwise of the same service only
	Chosen       bool           `json:"chosen"`            // a connection may get it before any other was tried
	Percent      float64        `json:"percent,omitempty"` // of the first choices, by weight
	Why          string         `json:"why,omitempty"`     // it is not chosen, or alone is
}

// Question is what a person wants explained.
type Question struct {
	From    string   // a service, host:<name> or pid:<number>
	To      string   // a service or another name, both with or without a port, or an address with one
	Method  string   // empty: nothing is said of a request
	URL     string   // or its part from the path on
	Headers []string // name: value
	Draw    bool     // what chance decides is drawn
}

// Explanation is what becomes of a connection, or of a request, and why.
type Explanation struct {
	SchemaVersion int               `json:"schema_version"`
	Host          string            `json:"host"` // where the caller is
	Live          bool              `json:"live"` // false: from files alone, with all endpoints taken to be up
	Source        Source            `json:"source"`
	Destination   Destination       `json:"destination"`
	Capture       Step              `json:"capture"`
	Request       *ExplainedRequest `json:"request,omitempty"` // none when requests are not read
	Routes        []AskedRoute      `json:"routes"`            // the last one is taken
	Targets       []Target          `json:"targets"`
	Outcome       Outcome           `json:"outcome"`
}

// Source is who calls.
type Source struct {
	Name     string        `json:"name"` // a service, or host:<name>
	Identity mesh.Identity `json:"identity"`
	PID      int           `json:"pid,omitempty"`
	UID      uint32        `json:"uid,omitempty"`
	Unit     string        `json:"unit,omitempty"`
	Why      Step          `json:"why"`
}

// Destination is what is dialled.
type Destination struct {
	Text      string        `json:"text"` // what it is, in words
	At        string        `json:"at,omitempty"`
	Addresses []netip.Addr  `json:"addresses"`
	Port      uint16        `json:"port"`
	Service   string        `json:"service,omitempty"` // none: it is not of the mesh
	Listener  string        `json:"listener,omitempty"`
	Protocol  mesh.Protocol `json:"protocol,omitempty"`
}

// ExplainedRequest is a request as the rules see it.
type ExplainedRequest struct {
	Method    string `json:"method"`
	Authority string `json:"authority"`
	Path      string `json:"path"` // the one form of all paths that mean the same, if a rule looks at paths
	Query     string `json:"query,omitempty"`
	Travels   string `json:"travels,omitempty"` // the path and query that the endpoint gets
}

// AskedRoute is a route that was asked.
type AskedRoute struct {
	Route
	WhyNot string `json:"why_not,omitempty"` // empty for the one that is taken
}

// OutcomeKind says what becomes of a connection or request.
type OutcomeKind string

// What becomes of connections and requests.
const (
	OutcomeProxied   OutcomeKind = "proxied"   // meshd passes it on to an endpoint
	OutcomeAnswered  OutcomeKind = "answered"  // meshd answers itself
	OutcomeReset     OutcomeKind = "reset"     // meshd ends the connection
	OutcomeStraight  OutcomeKind = "straight"  // the kernel connects to an endpoint, past meshd
	OutcomeRefused   OutcomeKind = "refused"   // connect() fails
	OutcomeUntouched OutcomeKind = "untouched" // it is none of the mesh's
)

// Outcome is what becomes of it in the end.
type Outcome struct {
	Kind      OutcomeKind `json:"kind"`
	Text      string      `json:"text"`
	Status    int         `json:"status,omitempty"` // of an answer of meshd's own
	Reason    string      `json:"reason,omitempty"`
	Location  string      `json:"location,omitempty"`
	Endpoints []string    `json:"endpoints,omitempty"` // of which it gets one, by name
}
