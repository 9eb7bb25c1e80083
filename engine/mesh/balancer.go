package mesh

import "time"

// Balancing is the way in which one endpoint of several is chosen, in Envoy's and Consul's words.
type Balancing string

// The policies of a load balancer.
const (
	RoundRobin   Balancing = "round_robin"
	LeastRequest Balancing = "least_request" // the less busy of two random endpoints
	Random       Balancing = "random"
	RingHash     Balancing = "ring_hash" // the next endpoint on a ring from where the hash of the request is
	Maglev       Balancing = "maglev"    // that of a table's entry at the hash of the request
)

// Hashes says whether a policy chooses by a hash of the request.
func (b Balancing) Hashes() bool { return b == RingHash || b == Maglev }

// Balancer is what a policy is told beside its name.
type Balancer struct {
	Choices int          // of least_request: how many random endpoints are compared; 0: two
	MinRing int          // of ring_hash: entries of a ring of two endpoints or more; 0: the default
	MaxRing int          // of ring_hash: entries of any ring; 0: the default
	Hash    []HashPolicy // of ring_hash and maglev
}

// HashKind says what of a request is hashed.
type HashKind string

// What of a request is hashed.
const (
	HashHeader HashKind = "header"
	HashCookie HashKind = "cookie"
	HashQuery  HashKind = "query"
	HashSource HashKind = "source" // the calling identity and its host
)

// HashPolicy is one of the things that the hash of a request is made of; the others follow, if it is not the last one.
type HashPolicy struct {
	Kind     HashKind
	Name     string        // of the header field in lower case, the cookie, or the parameter
	TTL      time.Duration // of the cookie that a request without one is given; 0: none, if Session is not set
	Session  bool          // the cookie that it is given ends with the client's session
	Path     string        // of that cookie
	Terminal bool          // when there is a hash by now, the policies behind it are not asked
}

// OutlierDetection takes endpoints out of use by what requests to them have come to. Shares are percents.
type OutlierDetection struct {
	Consecutive5xx     int // answers in a row; 0: they eject nobody
	ConsecutiveGateway int // answers of 502, 503 and 504 in a row; 0: they eject nobody
	ConsecutiveLocal   int // failures of connections in a row, if SplitLocal; 0: they eject nobody
	Enforce5xx         int // how many of those that should be ejected are
	EnforceGateway     int
	EnforceLocal       int
	SplitLocal         bool // failures of connections do not count as answers of 503

	Interval     time.Duration // of the statistics
	BaseEjection time.Duration // times the ejections in succession
	MaxEjection  time.Duration
	MaxEjected   int // of the endpoints; one always may be

	SuccessRate       Statistics // ejects who succeeds less often than the mean less Factor standard deviations
	SuccessFactor     int        // in thousandths
	FailurePercentage Statistics // ejects who fails more often than FailureThreshold
	FailureThreshold  int
}

// Statistics says when a judgement over all endpoints is made.
type Statistics struct {
	MinHosts  int // that have at least MinVolume requests in an interval
	MinVolume int
	Enforce   int // how many percent of those that should be ejected are; 0: no judgement
}
