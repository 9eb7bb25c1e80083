package route

import (
	"fmt"
	"slices"
	"time"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/http1"
	"github.com/meshd/meshd/engine/mesh"
)

// Compiler builds the tables of one snapshot.
type Compiler struct {
	catalog *mesh.Catalog
	groups  func(t mesh.Target, listener string) *balance.Group
	targets map[key]*Target
}

// key is what a target is known by.
type key struct {
	mesh.Target
	group    *balance.Group
	standsIn bool
}

// NewCompiler returns a compiler. groups returns the endpoints of a target for requests that came to a listener, whose empty
// name is the service's own port; nil when there is no such service or subset. For the same endpoints it returns the same
// group.
func NewCompiler(catalog *mesh.Catalog, groups func(t mesh.Target, listener string) *balance.Group) *Compiler {
	return &Compiler{catalog, groups, make(map[key]*Target)}
}

// Table returns the routes of a port of a service.
//
// Checking a configuration refuses what leads nowhere or in circles; what gets here all the same is a target without an
// endpoint.
func (c *Compiler) Table(service, listener string) *Table {
	t := &Table{}
	last := &Route{Name: fmt.Sprintf("service %q", service)}
	if r, found := c.catalog.Router(service); found {
		for i, route := range r.Routes {
			t.routes = append(t.routes, c.route(fmt.Sprintf("router %q route %d", service, i+1), listener, &route))
		}
		last.Name = fmt.Sprintf("router %q without a match", service)
		last.At = r.At
	}
	last.branches = c.branches(mesh.Target{Service: service}, listener)
	t.routes = append(t.routes, last)
	t.paths = slices.ContainsFunc(t.routes, func(r *Route) bool {
		return r.match.path != nil || r.Rewrites() || r.Redirect != nil
	})
	return t
}

func (c *Compiler) route(name, listener string, from *mesh.Route) *Route {
	r := &Route{Name: name, At: from.At, Redirect: from.Redirect, Respond: from.Respond, match: compile(from.Match)}
	r.cut = len(from.Match.PathPrefix) + len(from.Match.PathExact) // at most one of them is there
	switch d := from.Destination; {
	case d != nil:
		r.RequestTimeout, r.IdleTimeout = d.RequestTimeout, d.IdleTimeout
		r.Request, r.Response = editsOf(d.Request), editsOf(d.Response)
		r.rewrite = d.PrefixRewrite
		if d.Retry != nil {
			r.Retry = newRetry(d.Retry)
		}
		r.branches = c.branches(mesh.Target{Service: d.Service, Subset: d.Subset}, listener)
	case from.Redirect != nil:
		r.rewrite = from.Redirect.PrefixRewrite
	}
	return r
}

// editsOf returns edits as they are written, once for all requests.
func editsOf(e mesh.HeaderEdits) http1.Edits {
	return http1.Edits{Remove: e.Remove, Set: fieldsOf(e.Set), Add: fieldsOf(e.Add)}
}

func fieldsOf(from []mesh.Field) []http1.Field {
	var to []http1.Field
	for _, f := range from {
		to = append(to, http1.Field{Name: f.Name, Value: []byte(f.Value)})
	}
	return to
}

// share is a target before it is resolved, and what part of the requests is its.
type share struct {
	to   mesh.Target
	part float64
}

// branches returns where requests to a target go: with a subset straight to it, otherwise by the service's splitter.
func (c *Compiler) branches(to mesh.Target, listener string) []branch {
	shares := []share{{to, 1}}
	if to.Subset == "" {
		shares = c.split(to.Service, 1, nil)
	}
	var all []branch
	var sum float64
	for _, s := range shares {
		sum += s.part
		all = append(all, branch{uint64(sum * (1 << 32)), c.target(s.to, listener, false)})
	}
	all[len(all)-1].upTo = 1 << 32 // whatever floating point has made of the sum
	return all
}

// split returns the shares of a service's splitter, and for a split to another service those of its splitter. Above are
// the services whose splitters have led here.
func (c *Compiler) split(service string, part float64, above map[string]bool) []share {
	s, found := c.catalog.Splitter(service)
	whole := []share{{mesh.Target{Service: service}, part}}
	if !found || above[service] {
		return whole
	}
	way := map[string]bool{service: true}
	for name := range above {
		way[name] = true
	}
	var all []share
	for _, x := range s.Splits {
		its := part * float64(x.Weight) / mesh.Hundred
		switch {
		case x.Weight == 0:
		case x.Subset == "" && x.Service != service:
			all = append(all, c.split(x.Service, its, way)...)
		default:
			all = append(all, share{mesh.Target{Service: x.Service, Subset: x.Subset}, its})
		}
	}
	if len(all) == 0 {
		return whole
	}
	return all
}

// target resolves a target: redirects, the default subset, the endpoints, and who stands in.
func (c *Compiler) target(to mesh.Target, listener string, standsIn bool) *Target {
	for range c.catalog.Resolvers { // no more redirects than there are resolvers, or they go in circles
		r, found := c.catalog.Resolver(to.Service)
		if !found || r.Redirect == nil {
			break
		}
		to = *r.Redirect
	}
	var failover []mesh.Target
	var connect time.Duration
	if r, found := c.catalog.Resolver(to.Service); found {
		if to.Subset == "" {
			to.Subset = r.DefaultSubset
		}
		connect = r.ConnectTimeout
		failover = failoverOf(r, to.Subset)
	}
	group := c.groups(to, listener)
	k := key{to, group, standsIn}
	if t := c.targets[k]; t != nil {
		return t
	}
	t := &Target{Service: to.Service, Subset: to.Subset, Group: group, ConnectTimeout: connect, Budget: new(Budget)}
	if service, found := c.catalog.Service(to.Service); found {
		t.MaxConnections = int64(service.MaxConnections)
	}
	if group == nil {
		t.Group = balance.New(balance.Config{})
	}
	if !standsIn {
		for _, f := range failover {
			if other := c.target(f, listener, true); other.Group != t.Group {
				t.Failover = append(t.Failover, other)
			}
		}
	}
	c.targets[k] = t
	return t
}

// failoverOf returns who stands in for a subset: those that it names itself, else those for all.
func failoverOf(r *mesh.Resolver, subset string) []mesh.Target {
	var forAll []mesh.Target
	for _, f := range r.Failover {
		if f.Subset == subset {
			return f.Targets
		}
		if f.Subset == mesh.AnySubset {
			forAll = f.Targets
		}
	}
	return forAll
}
