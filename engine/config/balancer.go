package config

import (
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/meshd/meshd/engine/http1"
	"github.com/meshd/meshd/engine/mesh"
)

// loadBalancerBlock chooses one endpoint of several.
type loadBalancerBlock struct {
	// Policy is "round_robin"; "least_request", the less busy of two random endpoints; "random"; or "ring_hash" or "maglev",
	// which keep what has the same hash_policy on one endpoint for as long as that is up. Of ten endpoints to eleven, one
	// request in eleven moves. A ring leaves all others where they are; Maglev's table is more even, and moves a few more.
	// Default: "least_request".
	Policy      *string   `hcl:"policy,optional"`
	PolicyRange hcl.Range `hcl:"policy,attr_value_range"`

	// HashPolicies say what ring_hash and maglev look at, all of them together. A request that has none of it goes to a random
	// endpoint.
	HashPolicies []*hashPolicyBlock `hcl:"hash_policy,block"`

	RingHash     *ringHashBlock     `hcl:"ring_hash,block"`
	LeastRequest *leastRequestBlock `hcl:"least_request,block"`
}

// hashPolicyBlock is something that requests which belong together have in common: hash_policy {}. It has exactly one of header,
// cookie, query and source.
type hashPolicyBlock struct {
	// Header is the name of a header field.
	Header      *string   `hcl:"header,optional"`
	HeaderRange hcl.Range `hcl:"header,attr_value_range"`

	Cookie *hashCookieBlock `hcl:"cookie,block"`

	// Query is the name of a parameter of the query.
	Query      *string   `hcl:"query,optional"`
	QueryRange hcl.Range `hcl:"query,attr_value_range"`

	// Source is true: the calling identity, together with the host that it calls from. It is the only one that a tcp service
	// can have.
	Source      *bool     `hcl:"source,optional"`
	SourceRange hcl.Range `hcl:"source,attr_value_range"`

	// Terminal is true: the policies behind this one are looked at only by requests that have nothing of it and of those before
	// it. Default: false.
	Terminal *bool `hcl:"terminal,optional"`

	Range hcl.Range `hcl:",def_range"`
}

// hashCookieBlock is a cookie: cookie {}.
type hashCookieBlock struct {
	// Name is the name of the cookie.
	Name      string    `hcl:"name"`
	NameRange hcl.Range `hcl:"name,attr_value_range"`

	// TTL is for how long a client that has no such cookie is given one, up to "8760h"; "0s" is until it forgets it by itself, as a
	// browser does that is closed. Default: it is given none.
	TTL      *string   `hcl:"ttl,optional"`
	TTLRange hcl.Range `hcl:"ttl,attr_value_range"`

	// Path is the path of the cookie that it is given. Default: none.
	Path      *string   `hcl:"path,optional"`
	PathRange hcl.Range `hcl:"path,attr_value_range"`
}

// ringHashBlock is about policy ring_hash: ring_hash {}.
type ringHashBlock struct {
	// MinimumRingSize is how many entries a ring of two endpoints has, 2 to 8388608; each further one of the same weight adds half
	// as many, so that nothing moves between the others. Default: 1024.
	MinimumRingSize      *int      `hcl:"minimum_ring_size,optional"`
	MinimumRingSizeRange hcl.Range `hcl:"minimum_ring_size,attr_value_range"`

	// MaximumRingSize is how many entries a ring has at most, from minimum_ring_size to 8388608; beyond it all have fewer of them,
	// and more moves. Default: 1048576, or minimum_ring_size if that is greater.
	MaximumRingSize      *int      `hcl:"maximum_ring_size,optional"`
	MaximumRingSizeRange hcl.Range `hcl:"maximum_ring_size,attr_value_range"`

	Range hcl.Range `hcl:",def_range"`
}

// leastRequestBlock is about policy least_request: least_request {}.
type leastRequestBlock struct {
	// ChoiceCount is how many random endpoints are compared, 2 to 100. Default: 2.
	ChoiceCount      *int      `hcl:"choice_count,optional"`
	ChoiceCountRange hcl.Range `hcl:"choice_count,attr_value_range"`

	Range hcl.Range `hcl:",def_range"`
}

const (
	defaultBalancing = mesh.LeastRequest
	defaultChoices   = 2
	maxChoices       = 100
	defaultMinRing   = 1024
	defaultMaxRing   = 1 << 20
	maxRing          = 1 << 23
	maxCookieTTL     = 8760 * time.Hour
)

// balance puts the load balancers into their services.
func (b *builder) balance(all []*resolverBlock, c *mesh.Catalog) {
	for _, r := range all {
		policy, balancer := b.loadBalancer(r)
		if b.services[r.Service] == nil && !b.incomplete {
			b.errorf(r.ServiceRange, "Unknown service", "There is no service %q.%s Add service %q {}, or remove the resolver.",
				r.Service, didYouMean(r.Service, b.services), r.Service)
		}
		outlier := b.outlierDetection(r.OutlierDetection)
		if s, found := c.Service(r.Service); found {
			s.Balancing, s.Balancer, s.Outlier = policy, balancer, outlier
		}
	}
}

func (b *builder) loadBalancer(r *resolverBlock) (mesh.Balancing, mesh.Balancer) {
	lb := valueOr(r.LoadBalancer, loadBalancerBlock{})
	policy := mesh.Balancing(valueOr(lb.Policy, string(defaultBalancing)))
	b.oneOf(lb.PolicyRange, "load balancer policy", string(policy), string(mesh.RoundRobin), string(mesh.LeastRequest),
		string(mesh.Random), string(mesh.RingHash), string(mesh.Maglev))
	var built mesh.Balancer
	if x := lb.LeastRequest; x != nil {
		b.ofPolicy(x.Range, "least_request", policy, mesh.LeastRequest)
		built.Choices = b.number(x.ChoiceCountRange, "choice_count", valueOr(x.ChoiceCount, defaultChoices), 2, maxChoices)
	}
	if x := lb.RingHash; x != nil {
		b.ofPolicy(x.Range, "ring_hash", policy, mesh.RingHash)
		built.MinRing = b.number(x.MinimumRingSizeRange, "minimum_ring_size", valueOr(x.MinimumRingSize, defaultMinRing), 2, maxRing)
		built.MaxRing = max(defaultMaxRing, built.MinRing)
		if x.MaximumRingSize != nil {
			built.MaxRing = b.number(x.MaximumRingSizeRange, "maximum_ring_size", *x.MaximumRingSize, built.MinRing, maxRing)
		}
	}
	s := b.services[r.Service]
	reads := s == nil || b.broken[s.Range] || s.speaksHTTP()
	for _, h := range lb.HashPolicies {
		if !policy.Hashes() {
			b.errorf(h.Range, "Hash policy without effect", "Policy %q does not look at it. Write policy = \"ring_hash\" or \"maglev\", or remove "+
				"the block.", policy)
		}
		built.Hash = append(built.Hash, b.hashPolicy(h, reads))
	}
	if policy.Hashes() && len(built.Hash) == 0 {
		b.errorf(lb.PolicyRange, "Hash of nothing", "What has the same hash keeps to one endpoint, and nothing has one. Add a hash_policy block "+
			"with header, cookie, query or source, or write policy = \"random\".")
	}
	return policy, built
}

func (b *builder) ofPolicy(at hcl.Range, block string, policy, wanted mesh.Balancing) {
	if policy != wanted {
		b.errorf(at, "Block of another policy", "The %s block has no effect on policy %q. Write policy = %q, or remove the block.", block,
			policy, wanted)
	}
}

func (b *builder) hashPolicy(h *hashPolicyBlock, reads bool) mesh.HashPolicy {
	built := mesh.HashPolicy{Terminal: valueOr(h.Terminal, false)}
	count := 0
	if h.Header != nil {
		count++
		built.Kind, built.Name = mesh.HashHeader, strings.ToLower(*h.Header)
		if !http1.ValidName(*h.Header) {
			b.errorf(h.HeaderRange, "Invalid header name", "%s", headerNameFault(*h.Header, "x-user"))
		}
	}
	if h.Query != nil {
		count++
		built.Kind, built.Name = mesh.HashQuery, *h.Query
		if *h.Query == "" {
			b.errorf(h.QueryRange, "Query without a name", "Write the name of a parameter, such as \"user\".")
		}
	}
	if h.Source != nil {
		count++
		built.Kind = mesh.HashSource
		if !*h.Source {
			b.errorf(h.SourceRange, "Invalid source", "It can only be true. Remove the block, or write source = true.")
		}
	}
	if h.Cookie != nil {
		count++
		b.hashCookie(h.Cookie, &built)
	}
	switch {
	case count != 1:
		b.errorf(h.Range, "One thing to hash is needed", "The hash_policy block has %d. Write one of header, cookie, query and source, and a "+
			"block for each other one.", count)
	case !reads && built.Kind != mesh.HashSource:
		b.errorf(h.Range, "Hash of requests of a tcp service", "Its connections are not read. Write source = true, or %s in "+
			"the service, if that is what it speaks.", protocolsOfHTTP)
	}
	return built
}

func (b *builder) hashCookie(c *hashCookieBlock, built *mesh.HashPolicy) {
	built.Kind, built.Name, built.Path = mesh.HashCookie, c.Name, valueOr(c.Path, "")
	if !http1.ValidName(c.Name) {
		b.errorf(c.NameRange, "Invalid cookie name", "%q is not the name of a cookie. Write one such as \"session\".", c.Name)
	}
	if c.TTL != nil {
		built.TTL = b.duration(c.TTLRange, "ttl", *c.TTL, 0, maxCookieTTL)
		built.Session = built.TTL == 0
	}
	if c.Path != nil {
		b.matchedPath(c.PathRange, "path", c.Path)
		if strings.Contains(built.Path, ";") {
			b.errorf(c.PathRange, "Invalid path", "A semicolon ends the path of a cookie. Write a path without one.")
		}
		if c.TTL == nil {
			b.errorf(c.PathRange, "Path of no cookie", "It is the path of the cookie that a client is given, for which a ttl is needed. Write "+
				"ttl = \"0s\" or longer, or remove the path.")
		}
	}
}
