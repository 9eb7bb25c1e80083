package main

import (
	"fmt"
	"strings"
)

// spelling is what a thing is called here and in the configuration of Consul, for readers who know that.
type spelling struct {
	Ours   string // path of a block or an argument
	Consul string
}

// consulSpellings has what both have. A thing that is not here has no counterpart, or is not built yet.
var consulSpellings = []spelling{
	{"node.name", "node_name of the agent"},
	{"mesh.domain", "domain of the agent; names end in .service.DOMAIN and .virtual.DOMAIN"},
	{"mesh.datacenter", "datacenter of the agent"},
	{"mesh.trust_domain", "given by Consul: CLUSTER-ID.consul"},
	{"host", "node of the catalog"},
	{"host.addresses", "advertise_addr of the agent"},
	{"host.zone", "locality.zone of the agent"},
	{"service", "service"},
	{"service.port", "local_bind_port of an upstream"},
	{"service.protocol", "Protocol of service-defaults"},
	{"service.hostnames", "Destination.Addresses of service-defaults"},
	{"service.max_connections", "UpstreamConfig, Limits.MaxConnections of service-defaults"},
	{"service.max_pending_requests", "UpstreamConfig, Limits.MaxPendingRequests of service-defaults"},
	{"service.max_concurrent_requests", "UpstreamConfig, Limits.MaxConcurrentRequests of service-defaults"},
	{"service.rate_limit.requests_per_second", "RateLimits.InstanceLevel.RequestsPerSecond of service-defaults; here for each calling host"},
	{"service.rate_limit.requests_max_burst", "RateLimits.InstanceLevel.RequestsMaxBurst of service-defaults"},
	{"service.endpoint", "instance of a service"},
	{"service.endpoint.address", "address of a service, or of an external node"},
	{"service.endpoint.port", "port of a service"},
	{"service.endpoint.weight", "weights.passing of a service"},
	{"service.endpoint.tags", "tags of a service"},
	{"service.endpoint.meta", "meta of a service"},
	{"service.check", "check of a service; every host asks, not one agent, and an endpoint is up until it fails"},
	{"service.check.http", "http of a check, with the whole URL; there 200 to 299 is passing"},
	{"service.check.tcp", "tcp of a check, with the address"},
	{"service.check.grpc", "grpc of a check, with the address before a slash"},
	{"service.check.interval", "interval of a check"},
	{"service.check.timeout", "timeout of a check"},
	{"service.check.fall", "failures_before_critical of a check; default there 0, the first one"},
	{"service.check.rise", "success_before_passing of a check; default there 0, the first one"},
	{"router", "service-router"},
	{"router.route.match", "Routes.Match.HTTP"},
	{"router.route.match.header", "Routes.Match.HTTP.Header"},
	{"router.route.match.query", "Routes.Match.HTTP.QueryParam"},
	{"router.route.destination", "Routes.Destination"},
	{"router.route.destination.subset", "Routes.Destination.ServiceSubset"},
	{"router.route.destination.retry.attempts", "Routes.Destination.NumRetries"},
	{"router.route.destination.retry.on", "RetryOn, RetryOnConnectFailure and RetryOnStatusCodes of a Destination"},
	{"splitter", "service-splitter; there not of tcp services"},
	{"splitter.split", "Splits"},
	{"splitter.split.subset", "Splits.ServiceSubset"},
	{"resolver", "service-resolver"},
	{"resolver.subset.filter", "Subsets.Filter of service-resolver"},
	{"resolver.default_subset", "DefaultSubset of service-resolver"},
	{"resolver.redirect", "Redirect of service-resolver"},
	{"resolver.failover", "Failover of service-resolver"},
	{"resolver.connect_timeout", "ConnectTimeout of service-resolver"},
	{"resolver.failover.zones", "prioritize by locality; there the zones have no order"},
	{"resolver.load_balancer.policy", "LoadBalancer.Policy of service-resolver"},
	{"resolver.load_balancer.hash_policy", "LoadBalancer.HashPolicies of service-resolver; source is the identity, there SourceIP"},
	{"resolver.load_balancer.ring_hash", "LoadBalancer.RingHashConfig of service-resolver"},
	{"resolver.load_balancer.least_request", "LoadBalancer.LeastRequestConfig of service-resolver"},
	{"resolver.outlier_detection", "UpstreamConfig, PassiveHealthCheck of service-defaults; MaxFailures there is consecutive_5xx here"},
	{"capture.exclude.ports", "consul connect redirect-traffic -exclude-outbound-port"},
	{"capture.exclude.cidrs", "consul connect redirect-traffic -exclude-outbound-cidr"},
	{"capture.exclude.users", "consul connect redirect-traffic -exclude-uid"},
	{"telemetry.prometheus.listen", "envoy_prometheus_bind_addr of proxy-defaults"},
}

// checkSpellings fails for a spelling of something that the configuration does not have.
func checkSpellings(schema []block) error {
	known := map[string]bool{}
	var add func([]block)
	add = func(blocks []block) {
		for _, b := range blocks {
			known[b.Path] = true
			for _, a := range b.Arguments {
				known[b.Path+"."+a.Name] = true
			}
			add(b.Blocks)
		}
	}
	add(schema)
	var unknown []string
	for _, s := range consulSpellings {
		if !known[s.Ours] {
			unknown = append(unknown, s.Ours)
		}
	}
	if len(unknown) > 0 {
		return fmt.Errorf("a spelling of Consul is given for what the configuration does not have: %s", strings.Join(unknown, ", "))
	}
	return nil
}
