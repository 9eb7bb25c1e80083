package config

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/meshd/meshd/engine/mesh"
)

// rateLimitBlock bounds how many HTTP requests each host sends to the service in a span of time: rate_limit {}. Further ones
// are answered with 429. There may be one block for each per; a request counts for all of them, or for none when one is used up.
type rateLimitBlock struct {
	// RequestsPerSecond is how many requests pass in a second on average, 1 to 1000000.
	RequestsPerSecond      int       `hcl:"requests_per_second"`
	RequestsPerSecondRange hcl.Range `hcl:"requests_per_second,attr_value_range"`

	// RequestsMaxBurst is how many may come at once after a time in which few came, 1 to 1000000. Default: requests_per_second.
	RequestsMaxBurst      *int      `hcl:"requests_max_burst,optional"`
	RequestsMaxBurstRange hcl.Range `hcl:"requests_max_burst,attr_value_range"`

	// Per is "service", all callers of a host share one limit; or "source", each calling identity has its own, so that one
	// which floods the service is no harm to the others. Default: "service".
	Per      *string   `hcl:"per,optional"`
	PerRange hcl.Range `hcl:"per,attr_value_range"`

	Range hcl.Range `hcl:",def_range"`
}

const mostRate = 1_000_000

// limits sets the bounds of what is sent to a service.
func (b *builder) limits(s *serviceBlock, built *mesh.Service) {
	if s.MaxConnections != nil {
		built.MaxConnections = b.number(s.MaxConnectionsRange, "max_connections", *s.MaxConnections, 1, mostConnections)
	}
	if s.MaxPendingRequests != nil {
		b.ofRequests(s, s.MaxPendingRequestsRange, "max_pending_requests")
		built.MaxPending = b.number(s.MaxPendingRequestsRange, "max_pending_requests", *s.MaxPendingRequests, 1, mostConnections)
	}
	if s.MaxConcurrentRequests != nil {
		b.ofRequests(s, s.MaxConcurrentRequestsRange, "max_concurrent_requests")
		built.MaxRequests = b.number(s.MaxConcurrentRequestsRange, "max_concurrent_requests", *s.MaxConcurrentRequests, 1, mostConnections)
	}
	first := make(map[mesh.Per]hcl.Range)
	for _, r := range s.RateLimits {
		b.ofRequests(s, r.Range, "rate_limit")
		rate := mesh.RateLimit{
			Per:       mesh.Per(valueOr(r.Per, string(mesh.PerService))),
			PerSecond: b.number(r.RequestsPerSecondRange, "requests_per_second", r.RequestsPerSecond, 1, mostRate),
		}
		rate.Burst = rate.PerSecond
		if r.RequestsMaxBurst != nil {
			rate.Burst = b.number(r.RequestsMaxBurstRange, "requests_max_burst", *r.RequestsMaxBurst, 1, mostRate)
		}
		b.oneOf(r.PerRange, "per", string(rate.Per), string(mesh.PerService), string(mesh.PerSource))
		if at, twice := first[rate.Per]; twice {
			b.errorf(r.Range, "Rate limit is given twice", "The service has one per %s at %s already. Remove one of the two, or write "+
				"another per.", rate.Per, place(at))
			continue
		}
		first[rate.Per] = r.Range
		built.Rates = append(built.Rates, rate)
	}
	slices.SortFunc(built.Rates, func(x, y mesh.RateLimit) int { return strings.Compare(string(x.Per), string(y.Per)) })
}

// ofRequests reports what bounds the requests of a service that has none.
func (b *builder) ofRequests(s *serviceBlock, at hcl.Range, what string) {
	if !s.speaksHTTP() {
		b.errorf(at, "Limit of requests of a tcp service", "Only requests of HTTP can be counted. Write %s, if that is what "+
			"the service speaks, or max_connections in the place of %s.", protocolsOfHTTP, what)
	}
}
