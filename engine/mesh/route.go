package mesh

import (
	"strconv"
	"time"
)

// Place is a line of a configuration; its zero value is none.
type Place struct {
	File string
	Line int
}

// String writes the place as editors and compilers do.
func (p Place) String() string {
	if p.File == "" {
		return ""
	}
	return p.File + ":" + strconv.Itoa(p.Line)
}

// Router chooses a destination for each request to a service by what the request says. The first route that matches is
// taken; a request that none matches goes to the service itself.
type Router struct {
	Service string
	Routes  []Route
	At      Place
}

// Route is one way for requests. Exactly one of Destination, Redirect and Respond is set.
type Route struct {
	Match       RouteMatch
	Destination *Destination
	Redirect    *Redirect
	Respond     *Respond
	Fault       *Fault // nil: none
	At          Place
}

// RouteMatch says which requests take a route: those for which all that is set holds. Of the paths at most one is set.
type RouteMatch struct {
	PathExact  string
	PathPrefix string
	PathRegex  string // of the whole path
	Methods    []string
	Headers    []HeaderMatch
	Query      []QueryMatch
}

// TextKind says how a text is compared.
type TextKind string

// The ways to compare a text.
const (
	TextExact   TextKind = "exact"
	TextPrefix  TextKind = "prefix"
	TextSuffix  TextKind = "suffix"
	TextRegex   TextKind = "regex"   // of the whole text
	TextPresent TextKind = "present" // any text
)

// HeaderMatch holds when one of the fields of that name does, or with Invert when none does.
type HeaderMatch struct {
	Name   string // in lower case
	Kind   TextKind
	Text   string
	Invert bool
}

// QueryMatch holds when one of the parameters of that name does.
type QueryMatch struct {
	Name string
	Kind TextKind // exact, regex or present
	Text string
}

// Destination is the service that requests go to, and how.
type Destination struct {
	Service        string
	Subset         string // empty: what the service's splitter and resolver say
	PrefixRewrite  string // takes the place of what the path matched; empty: the path stays
	RequestTimeout time.Duration
	IdleTimeout    time.Duration
	Retry          *Retry  // nil: none
	Mirror         *Mirror // nil: none
	Request        HeaderEdits
	Response       HeaderEdits
}

// Retry says when a request is sent again.
type Retry struct {
	Attempts      int // at most so many times again
	On            []string
	PerTryTimeout time.Duration // up to the head of the response; 0: none of its own
}

// Conditions of a retry beside statuses, in Envoy's words.
const (
	RetryConnectFailure = "connect-failure" // no connection to an endpoint could be made
	RetryReset          = "reset"           // the connection ended before the head of a response
	RetryGatewayError   = "gateway-error"   // 502, 503, 504
	Retry5xx            = "5xx"             // any 5xx, and no response at all
	Retry4xx            = "retriable-4xx"   // 409
	RetryRefused        = "refused-stream"  // the endpoint says that it did nothing for the request

	// Statuses of gRPC, of an answer that has nothing else.
	RetryCancelled         = "cancelled"
	RetryDeadlineExceeded  = "deadline-exceeded"
	RetryResourceExhausted = "resource-exhausted"
	RetryInternal          = "internal"
	RetryUnavailable       = "unavailable"
)

// HeaderEdits change the fields of a head: first those in Remove go, then Set replaces, then Add adds.
type HeaderEdits struct {
	Set    []Field
	Add    []Field
	Remove []string // in lower case
}

// Field is a header field.
type Field struct{ Name, Value string }

// Redirect answers with another address for the request. What is empty stays as the request has it.
type Redirect struct {
	Scheme        string
	Host          string // with its port, if it is not the scheme's own
	Path          string // the whole path; the query stays
	PrefixRewrite string // takes the place of what the path matched
	Status        int
}

// Respond answers without asking anybody.
type Respond struct {
	Status int
	Body   string
}

// Splitter divides the requests to a service by weight, and where those are not read the connections.
type Splitter struct {
	Service string
	Splits  []Split
	At      Place
}

// Hundred is the sum of the weights of a splitter.
const Hundred = 100_00

// Split is one part of the requests.
type Split struct {
	Weight  int // in hundredths of a percent
	Service string
	Subset  string // empty: of another service what its splitter and resolver say, of the same one what its resolver says
	At      Place
}

// Resolver says which endpoints stand for a service.
type Resolver struct {
	Service        string
	Subsets        []Subset // by name
	DefaultSubset  string   // of who names none; empty: all endpoints
	Redirect       *Target  // another service stands for it; nil: itself
	Failover       []Failover
	ConnectTimeout time.Duration // 0: the default
	At             Place
}

// DefaultConnectTimeout is how long a connect to one endpoint may take where nothing is written.
const DefaultConnectTimeout = 5 * time.Second

// Subset is the endpoints of a service that a filter selects.
type Subset struct {
	Name   string
	Filter string // see package subset; empty: all
	At     Place
}

// Target is a service, or a subset of it.
type Target struct {
	Service string
	Subset  string
}

// String returns service/subset, or the service alone.
func (t Target) String() string {
	if t.Subset == "" {
		return t.Service
	}
	return t.Service + "/" + t.Subset
}

// Failover says who stands in, in that order, while no endpoint of a subset is up.
type Failover struct {
	Subset  string   // AnySubset: of every one that has no failover of its own, and of the whole service
	Zones   []string // in which endpoints of the subset itself stand in for those of the caller's zone, before any other zone
	Targets []Target
}

// FailoverOf returns who stands in for a subset, whose empty name is the whole service: whom it names itself, else who
// stands in for all.
func (r *Resolver) FailoverOf(subset string) Failover {
	var forAll Failover
	for _, f := range r.Failover {
		if f.Subset == subset {
			return f
		}
		if f.Subset == AnySubset {
			forAll = f
		}
	}
	return forAll
}

// AnySubset is the subset of a Failover for all.
const AnySubset = "*"
