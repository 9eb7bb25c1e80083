package config

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"

	"github.com/meshd/meshd/engine/mesh"
)

// resolverBlock says how an endpoint of a service is chosen: resolver "billing" {}.
type resolverBlock struct {
	// Service is the name of the service.
	Service      string    `hcl:"service,label"`
	ServiceRange hcl.Range `hcl:"service,label_range"`

	LoadBalancer *loadBalancerBlock `hcl:"load_balancer,block"`

	Range hcl.Range `hcl:",def_range"`
}

// loadBalancerBlock chooses one endpoint of several.
type loadBalancerBlock struct {
	// Policy is "round_robin", "least_request", the less busy of two random endpoints, or "random".
	// Default: "least_request".
	Policy      *string   `hcl:"policy,optional"`
	PolicyRange hcl.Range `hcl:"policy,attr_value_range"`
}

const defaultBalancing = mesh.LeastRequest

func (r *resolverBlock) title() string      { return fmt.Sprintf("resolver %q", r.Service) }
func (r *resolverBlock) defined() hcl.Range { return r.Range }

// resolve puts what the resolvers say into their services.
func (b *builder) resolve(all []*resolverBlock, c *mesh.Catalog) {
	declared := make(map[string]*serviceBlock)
	for _, s := range b.Services {
		declared[s.Name] = s
	}
	for _, r := range all {
		lb := valueOr(r.LoadBalancer, loadBalancerBlock{})
		policy := valueOr(lb.Policy, string(defaultBalancing))
		b.oneOf(lb.PolicyRange, "load balancer policy", policy, string(mesh.RoundRobin), string(mesh.LeastRequest), string(mesh.Random))
		if declared[r.Service] == nil && !b.incomplete {
			b.errorf(r.ServiceRange, "Unknown service", "There is no service %q.%s Add service %q {}, or remove the resolver.",
				r.Service, didYouMean(r.Service, declared), r.Service)
		}
		if s, found := c.Service(r.Service); found {
			s.Balancing = mesh.Balancing(policy)
		}
	}
}
