package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/subset"
)

// resolverBlock says which endpoints stand for a service, and how one of them is chosen: resolver "billing" {}. It holds for the
// requests to the service, and where those are not read for the connections.
type resolverBlock struct {
	// Service is the name of the service.
	Service      string    `hcl:"service,label"`
	ServiceRange hcl.Range `hcl:"service,label_range"`

	// DefaultSubset is the subset of what no router or splitter has given one. Default: all endpoints.
	DefaultSubset      *string   `hcl:"default_subset,optional"`
	DefaultSubsetRange hcl.Range `hcl:"default_subset,attr_value_range"`

	// ConnectTimeout is the time for one connection to an endpoint, "10ms" to "60s"; then the next one is tried. Default:
	// "5s".
	ConnectTimeout      *string   `hcl:"connect_timeout,optional"`
	ConnectTimeoutRange hcl.Range `hcl:"connect_timeout,attr_value_range"`

	LoadBalancer     *loadBalancerBlock     `hcl:"load_balancer,block"`
	OutlierDetection *outlierDetectionBlock `hcl:"outlier_detection,block"`

	Subsets []*subsetBlock `hcl:"subset,block"`

	Redirect *targetBlock `hcl:"redirect,block"`

	// Failovers say who stands in while no endpoint is up.
	Failovers []*failoverBlock `hcl:"failover,block"`

	Range hcl.Range `hcl:",def_range"`
}

// subsetBlock is those endpoints of the service that a filter selects: subset "v2" {}.
type subsetBlock struct {
	// Name is what destinations, splits, redirects and failovers call it.
	Name      string    `hcl:"name,label"`
	NameRange hcl.Range `hcl:"name,label_range"`

	// Filter is an expression over what Consul calls the instance, such as "Service.Meta.version == v2" or
	// "blue in Service.Tags", with and, or, not, ==, !=, in, not in, contains, matches, is empty. It can ask for
	// Service.Meta.NAME, Service.Tags, Service.Service, Service.Address, Service.Port, Service.Weights.Passing,
	// Service.Locality.Zone, Node.Node, Node.Address and Node.Datacenter. Default: "", all endpoints.
	Filter      *string   `hcl:"filter,optional"`
	FilterRange hcl.Range `hcl:"filter,attr_value_range"`

	Range hcl.Range `hcl:",def_range"`
}

// targetBlock is a service, or a subset of it, in the place of another: redirect {} for always, target {} of a failover.
type targetBlock struct {
	// Service is the name of the service. Default: the resolver's own.
	Service      *string   `hcl:"service,optional"`
	ServiceRange hcl.Range `hcl:"service,attr_value_range"`

	// Subset is the name of a subset in the service's resolver. Default: what that resolver says.
	Subset      *string   `hcl:"subset,optional"`
	SubsetRange hcl.Range `hcl:"subset,attr_value_range"`

	Range hcl.Range `hcl:",def_range"`
}

// failoverBlock is who stands in while no endpoint of a subset is up, the first target before the next: failover "v2" {}.
// failover "*" is for every subset without one of its own, and for the service as a whole.
type failoverBlock struct {
	// Subset is the name of the subset, or "*".
	Subset      string    `hcl:"subset,label"`
	SubsetRange hcl.Range `hcl:"subset,label_range"`

	// Zones are the zones whose endpoints of the subset itself stand in, in this order, for those of the caller's zone. They come
	// before endpoints of all other zones, and those before the targets. Default: [], all other zones alike.
	Zones      []string  `hcl:"zones,optional"`
	ZonesRange hcl.Range `hcl:"zones,attr_value_range"`

	Targets []*targetBlock `hcl:"target,block"`

	Range hcl.Range `hcl:",def_range"`
}

const (
	minConnectTimeout = 10 * time.Millisecond
	maxConnectTimeout = time.Minute
)

func (r *resolverBlock) title() string      { return fmt.Sprintf("resolver %q", r.Service) }
func (r *resolverBlock) defined() hcl.Range { return r.Range }

// buildResolvers returns the resolvers that say more than a load balancer, sorted by service.
func (b *builder) buildResolvers(all []*resolverBlock, c *mesh.Catalog) []mesh.Resolver {
	var built []mesh.Resolver
	redirects := make(map[string][]step)
	for _, r := range all {
		if r.onlyBalances() {
			continue
		}
		if b.services[r.Service] != nil { // else that is told with the load balancer
			b.shaped(r, r.ServiceRange, r.Service, "resolver")
		}
		resolver := mesh.Resolver{Service: r.Service, DefaultSubset: valueOr(r.DefaultSubset, ""), At: placeOf(r.Range)}
		resolver.Subsets = b.subsets(r, c)
		if r.DefaultSubset != nil {
			b.subset(r.DefaultSubsetRange, mesh.Target{Service: r.Service, Subset: *r.DefaultSubset})
		}
		if r.ConnectTimeout != nil {
			resolver.ConnectTimeout = b.duration(r.ConnectTimeoutRange, "connect_timeout", *r.ConnectTimeout, minConnectTimeout, maxConnectTimeout)
		}
		if r.Redirect != nil {
			resolver.Redirect = b.resolverRedirect(r)
			redirects[r.Service] = []step{{resolver.Redirect.Service, r.Redirect.Range}}
		}
		resolver.Failover = b.failovers(r, c)
		built = append(built, resolver)
	}
	b.cycles("Redirects in a circle", redirects)
	slices.SortFunc(built, func(x, y mesh.Resolver) int { return strings.Compare(x.Service, y.Service) })
	return built
}

func (r *resolverBlock) onlyBalances() bool {
	return r.DefaultSubset == nil && r.ConnectTimeout == nil && len(r.Subsets) == 0 && r.Redirect == nil && len(r.Failovers) == 0
}

// subsets returns the subsets sorted by name.
func (b *builder) subsets(r *resolverBlock, c *mesh.Catalog) []mesh.Subset {
	first := make(map[string]hcl.Range)
	var built []mesh.Subset
	for _, s := range r.Subsets {
		b.label(s.NameRange, "subset name", s.Name)
		if at, twice := first[s.Name]; twice {
			b.errorf(s.Range, "Subset is given twice", "The resolver has a subset %q at %s already. Choose another name, or remove one of "+
				"the two.", s.Name, place(at))
			continue
		}
		first[s.Name] = s.Range
		x := mesh.Subset{Name: s.Name, Filter: valueOr(s.Filter, ""), At: placeOf(s.Range)}
		filter, err := subset.Parse(x.Filter)
		if err != nil {
			b.errorf(s.FilterRange, "Invalid filter", "%s. Write one such as \"Service.Meta.version == v2\" or \"blue in Service.Tags\".",
				firstLine(err))
		} else if svc, found := c.Service(r.Service); found && len(svc.Endpoints) > 0 {
			selects := func(e mesh.Endpoint) bool { return filter.Selects(c.Mesh.Datacenter, svc.Name, e) }
			if !slices.ContainsFunc(svc.Endpoints, selects) {
				b.warnf(s.Range, "Subset without an endpoint", "Its filter selects none of the service's endpoints, so that what comes to it %s. "+
					"Compare it with the tags and meta of the endpoint blocks.", b.services[r.Service].failing())
			}
		}
		built = append(built, x)
	}
	slices.SortFunc(built, func(x, y mesh.Subset) int { return strings.Compare(x.Name, y.Name) })
	return built
}

// firstLine returns the beginning of an error that may list what a parser would have accepted.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

func (b *builder) resolverRedirect(r *resolverBlock) *mesh.Target {
	x := r.Redirect
	if x.Service == nil {
		b.errorf(x.Range, "Redirect to the service itself", "Write the service that stands for it, such as service = \"…\". To choose a "+
			"subset of its own, write default_subset.")
	}
	target, _ := b.target(targetRef{r.Service, x.Range, x.Service, x.ServiceRange, x.Subset, x.SubsetRange, false, takesAll})
	if r.DefaultSubset != nil || r.ConnectTimeout != nil || len(r.Subsets) > 0 || len(r.Failovers) > 0 {
		b.errorf(x.Range, "Redirect beside subsets", "Another service stands for this one, and the rest of the resolver has no effect. Move "+
			"it to resolver %q {}, or remove one of the two.", target.Service)
	}
	return &target
}

// failovers returns the failovers sorted by subset.
func (b *builder) failovers(r *resolverBlock, c *mesh.Catalog) []mesh.Failover {
	first := make(map[string]hcl.Range)
	var built []mesh.Failover
	for _, f := range r.Failovers {
		if at, twice := first[f.Subset]; twice {
			b.errorf(f.Range, "Failover is given twice", "The resolver has a failover %q at %s already. Put the targets of both into one.",
				f.Subset, place(at))
			continue
		}
		first[f.Subset] = f.Range
		if f.Subset != mesh.AnySubset {
			b.subset(f.SubsetRange, mesh.Target{Service: r.Service, Subset: f.Subset})
		}
		x := mesh.Failover{Subset: f.Subset, Zones: b.zones(f, c, r.Service)}
		for _, t := range f.Targets {
			target, _ := b.target(targetRef{r.Service, t.Range, t.Service, t.ServiceRange, t.Subset, t.SubsetRange, false, takesSome})
			if target.Service == r.Service && (target.Subset == f.Subset || target.Subset == "" && f.Subset == mesh.AnySubset) {
				b.errorf(t.Range, "Failover to itself", "When none of its endpoints is up, none is. Write another service or subset.")
			}
			x.Targets = append(x.Targets, target)
		}
		if len(f.Targets) == 0 && len(f.Zones) == 0 {
			b.errorf(f.Range, "Failover to nobody", "Add zones = [\"…\"] or target { service = \"…\" }, or remove the block.")
		}
		built = append(built, x)
	}
	slices.SortFunc(built, func(x, y mesh.Failover) int { return strings.Compare(x.Subset, y.Subset) })
	return built
}

// zones returns the zones of a failover.
func (b *builder) zones(f *failoverBlock, c *mesh.Catalog, service string) []string {
	s, found := c.Service(service)
	var built []string
	for _, zone := range f.Zones {
		switch {
		case zone == "":
			b.errorf(f.ZonesRange, "Zone without a name", "Write the zone of a host or endpoint block, such as \"eu-1b\".")
		case slices.Contains(built, zone):
			b.errorf(f.ZonesRange, "Zone is given twice", "%q is in the list already. Remove one of the two.", zone)
		case found && len(s.Endpoints) > 0 && !slices.ContainsFunc(s.Endpoints, func(e mesh.Endpoint) bool { return e.Zone == zone }):
			b.warnf(f.ZonesRange, "Zone without an endpoint", "No endpoint of service %q stands in zone %q, so nobody there stands in. Compare it with "+
				"the zones of the hosts.", service, zone)
		}
		built = append(built, zone)
	}
	return built
}
