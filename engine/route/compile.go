package route

import (
	"fmt"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/http1"
	"github.com/meshd/meshd/engine/limit"
	"github.com/meshd/meshd/engine/mesh"
)

// Parts are what tables are made of.
type Parts struct {
	Catalog *mesh.Catalog
	Host    string // the name of the host that the tables are for

	// Group returns the endpoints of a target for what came to a port, and what they speak; nil when there is no such service or
	// subset, or none of its ports takes that. For the same endpoints it returns the same group.
	Group func(t mesh.Target, port Port) (*balance.Group, mesh.Protocol)

	// Limiter returns what limits the requests to a service; nil: nothing does.
	Limiter func(service string) *limit.Limiter
}

// Port is a port of a service to which requests come, or connections.
type Port struct {
	Listener string // name; empty: the service's own port
	Unread   bool   // nothing is read of what comes, so that where it goes is decided once for each connection
}

// Compiler builds the tables of one snapshot.
type Compiler struct {
	Parts
	targets map[key]*Target
}

// key is what a target is known by.
type key struct {
	mesh.Target
	group    *balance.Group
	standsIn bool
}

// NewCompiler returns a compiler.
func NewCompiler(p Parts) *Compiler { return &Compiler{p, make(map[key]*Target)} }

// Table returns the routes of a port of a service. Where nothing is read there is one, which is that of all connections.
//
// Checking a configuration refuses what leads nowhere or in circles; what gets here all the same is a target without an
// endpoint.
func (c *Compiler) Table(service string, port Port) *Table {
	t := &Table{}
	last := &Route{Name: fmt.Sprintf("service %q", service)}
	if r, found := c.Catalog.Router(service); found && !port.Unread {
		for i, route := range r.Routes {
			t.routes = append(t.routes, c.route(fmt.Sprintf("router %q route %d", service, i+1), port, &route))
		}
		last.Name = fmt.Sprintf("router %q without a match", service)
		last.At = r.At
	}
	last.branches = c.branches(mesh.Target{Service: service}, port)
	t.routes = append(t.routes, last)
	t.paths = slices.ContainsFunc(t.routes, func(r *Route) bool {
		return r.match.path != nil || r.Rewrites() || r.Redirect != nil
	})
	return t
}

func (c *Compiler) route(name string, port Port, from *mesh.Route) *Route {
	r := &Route{Name: name, At: from.At, Redirect: from.Redirect, Respond: from.Respond, Fault: newFault(from.Fault), match: compile(from.Match)}
	r.cut = len(from.Match.PathPrefix) + len(from.Match.PathExact) // at most one of them is there
	switch d := from.Destination; {
	case d != nil:
		r.RequestTimeout, r.IdleTimeout = d.RequestTimeout, d.IdleTimeout
		r.Request, r.Response = editsOf(d.Request), editsOf(d.Response)
		r.rewrite = d.PrefixRewrite
		if d.Retry != nil {
			r.Retry = newRetry(d.Retry)
		}
		r.branches = c.branches(mesh.Target{Service: d.Service, Subset: d.Subset}, port)
		r.Mirror = c.mirror(d.Mirror, port)
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
	to     mesh.Target
	part   float64
	splits []mesh.Place // that have led to it
}

// branches returns where what comes to a target goes: with a subset straight to it, otherwise by the service's splitter.
func (c *Compiler) branches(to mesh.Target, port Port) []branch {
	shares := []share{{to: to, part: 1}}
	if to.Subset == "" {
		shares = c.split(to.Service, 1, nil, nil)
	}
	var all []branch
	var sum float64
	for _, s := range shares {
		sum += s.part
		all = append(all, branch{uint64(sum * (1 << 32)), c.target(s.to, port, false), &origin{s.to, s.splits}})
	}
	all[len(all)-1].upTo = 1 << 32 // whatever floating point has made of the sum
	return all
}

// split returns the shares of a service's splitter, and for a split to another service those of its splitter. Above are
// the services whose splitters have led here.
func (c *Compiler) split(service string, part float64, above map[string]bool, splits []mesh.Place) []share {
	s, found := c.Catalog.Splitter(service)
	whole := []share{{mesh.Target{Service: service}, part, splits}}
	if !found || above[service] {
		return whole
	}
	way := map[string]bool{service: true}
	for name := range above {
		way[name] = true
	}
	var all []share
	for _, x := range s.Splits {
		its, led := part*float64(x.Weight)/mesh.Hundred, append(slices.Clone(splits), x.At)
		switch {
		case x.Weight == 0:
		case x.Subset == "" && x.Service != service:
			all = append(all, c.split(x.Service, its, way, led)...)
		default:
			all = append(all, share{mesh.Target{Service: x.Service, Subset: x.Subset}, its, led})
		}
	}
	if len(all) == 0 {
		return whole
	}
	return all
}

// Hop is what a resolver makes of a target.
type Hop struct {
	To       mesh.Target
	Redirect bool       // another service stands for it; otherwise it got the default subset
	At       mesh.Place // of the resolver
}

// Way returns what resolvers make of a target as it is written, one after the other: redirects, then the default subset. The
// last one leads to the endpoints.
func Way(catalog *mesh.Catalog, to mesh.Target) []Hop {
	var way []Hop
	for range catalog.Resolvers { // no more redirects than there are resolvers, or they go in circles
		r, found := catalog.Resolver(to.Service)
		if !found || r.Redirect == nil {
			break
		}
		to = *r.Redirect
		way = append(way, Hop{to, true, r.At})
	}
	if r, found := catalog.Resolver(to.Service); found && to.Subset == "" && r.DefaultSubset != "" {
		to.Subset = r.DefaultSubset
		way = append(way, Hop{to, false, r.At})
	}
	return way
}

// target resolves a target: redirects, the default subset, the endpoints, and who stands in.
func (c *Compiler) target(to mesh.Target, port Port, standsIn bool) *Target {
	if way := Way(c.Catalog, to); len(way) > 0 {
		to = way[len(way)-1].To
	}
	var failover []mesh.Target
	var connect time.Duration
	if r, found := c.Catalog.Resolver(to.Service); found {
		connect = r.ConnectTimeout
		failover = r.FailoverOf(to.Subset).Targets
	}
	group, speaks := c.Group(to, port)
	k := key{to, group, standsIn}
	if t := c.targets[k]; t != nil {
		return t
	}
	t := &Target{
		Service: to.Service, Subset: to.Subset, Group: group, HTTP2: speaks.IsHTTP2(), ConnectTimeout: connect, Budget: new(Budget),
	}
	if service, found := c.Catalog.Service(to.Service); found {
		t.MaxConnections, t.MaxPending, t.MaxRequests = int64(service.MaxConnections), int64(service.MaxPending), int64(service.MaxRequests)
		if service.Balancing.Hashes() {
			t.hash, t.host = hashPolicies(service.Balancer.Hash), xxhash.Sum64String(c.Host)
		}
	}
	if group == nil {
		t.Group = balance.New(balance.Config{})
	}
	t.Load, t.Limiter = t.Group.Load(), c.Limiter(to.Service)
	if !standsIn {
		for _, f := range failover {
			if other := c.target(f, port, true); other.Group != t.Group {
				t.Failover = append(t.Failover, other)
			}
		}
	}
	c.targets[k] = t
	return t
}
