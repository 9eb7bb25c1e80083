package explain

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/snapshot"
)

// groupsOf returns the groups of endpoints that connections to a port may get.
func groupsOf(p *snapshot.Port) []*balance.Group {
	var all []*balance.Group
	for _, t := range p.Routes.Targets() {
		all = append(all, t.Group)
		for _, f := range t.Failover {
			all = append(all, f.Group)
		}
	}
	return all
}

// target writes down a target that is resolved, with its endpoints. The one that is certain, if any, is the only one that the
// caller gets.
func (v View) target(to mesh.Target, group *balance.Group, certain *balance.Endpoint) control.Target {
	t := control.Target{Name: to.String(), Service: to.Service, Subset: to.Subset}
	catalog := v.Snapshot.Catalog()
	if s, found := v.Snapshot.Named(to.Service); found {
		t.Balancing, t.At, t.Limits = s.Balancing, s.At.String(), limitsOf(s)
		if s.Balancing.Hashes() {
			t.Hash = hashWords(s.Balancer.Hash)
		}
	}
	t.ConnectTimeout = duration(mesh.DefaultConnectTimeout)
	if r, found := catalog.Resolver(to.Service); found {
		t.At, t.FailoverAt = r.At.String(), r.At.String()
		if r.ConnectTimeout > 0 {
			t.ConnectTimeout = duration(r.ConnectTimeout)
		}
		if i := slices.IndexFunc(r.Subsets, func(s mesh.Subset) bool { return s.Name == to.Subset }); i >= 0 {
			t.At, t.Filter = r.Subsets[i].At.String(), r.Subsets[i].Filter
		}
		failover := r.FailoverOf(to.Subset)
		t.Zones = failover.Zones
		for _, f := range failover.Targets {
			t.Failover = append(t.Failover, f.String())
		}
		if len(t.Zones)+len(t.Failover) == 0 {
			t.FailoverAt = ""
		}
	}
	v.addEndpoints(&t, group, certain)
	return t
}

// addEndpoints adds the endpoints of the whole service, those that are not chosen with the reason.
func (v View) addEndpoints(t *control.Target, group *balance.Group, certain *balance.Endpoint) {
	x := group.Explain()
	t.Panics = x.Panics
	inside := make(map[string]bool)
	for _, c := range x.Candidates {
		row := v.candidate(c)
		inside[row.Name] = true
		row.Member = true
		row.Chosen, row.Percent = c.First, math.Round(c.Share*100)/100
		if certain != nil {
			row.Chosen, row.Percent = c.Address == certain.Address, 0
		}
		row.Why = v.whyOf(c, certain)
		t.Endpoints = append(t.Endpoints, row)
	}
	for _, c := range group.Whole().Explain().Candidates {
		if row := v.candidate(c); !inside[row.Name] {
			row.Why = fmt.Sprintf("not of subset %s", t.Subset)
			t.Endpoints = append(t.Endpoints, row)
		}
	}
	slices.SortStableFunc(t.Endpoints, func(a, b control.Candidate) int {
		if a.Chosen != b.Chosen {
			if a.Chosen {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
}

// candidate writes down an endpoint.
func (v View) candidate(c balance.Candidate) control.Candidate {
	row := control.Candidate{
		Name: v.name(c.Endpoint), State: control.EndpointState(c.Health.State), Zone: c.Zone, Weight: c.Weight, Active: int(c.Active()),
	}
	if !v.Unresolved[c.Hostname] {
		row.Address = c.Address
	}
	if until := c.Health.Until; !until.IsZero() {
		row.EjectedUntil = &until
	}
	return row
}

// name returns what people call an endpoint.
func (v View) name(e *balance.Endpoint) string {
	if v.Unresolved[e.Hostname] {
		return fmt.Sprintf("%s:%d", e.Hostname, e.Address.Port())
	}
	return e.Name()
}

// whyOf says why an endpoint is not chosen, or why it alone is.
func (v View) whyOf(c balance.Candidate, certain *balance.Endpoint) string {
	since := ""
	if n := len(c.Health.History); n > 0 {
		since = c.Health.History[n-1].Reason
	}
	switch {
	case certain != nil && c.Address == certain.Address:
		return "the hash leads to it"
	case c.First && certain != nil:
		return "the hash leads to another"
	case c.First && c.Health.State == balance.Up:
		return ""
	case c.First:
		return "chosen all the same, as less than half are up"
	case c.Health.State != balance.Up:
		return since
	}
	zone := "in no zone"
	if c.Zone != "" {
		zone = "in zone " + c.Zone
	}
	return zone + ", and there are endpoints up that are closer"
}

// chosen returns the names of the endpoints that a connection may get.
func chosen(t control.Target) []string {
	var names []string
	for _, e := range t.Endpoints {
		if e.Chosen {
			names = append(names, e.Name)
		}
	}
	return names
}

// limitsOf writes down what a service bounds; nil when it is nothing.
func limitsOf(s *snapshot.Service) *control.Limits {
	l := control.Limits{
		MaxConnections: int64(s.MaxConnections), MaxPendingRequests: int64(s.MaxPending), MaxConcurrentRequests: int64(s.MaxRequests),
		Connections: s.Load.Connections(), PendingRequests: s.Load.Pending(), ConcurrentRequests: s.Load.Requests(),
	}
	for _, r := range s.Rates {
		per := "for all callers of this host together"
		if r.Per == mesh.PerSource {
			per = "for each calling identity"
		}
		l.Rates = append(l.Rates, fmt.Sprintf("%d requests a second, %d at once, %s", r.PerSecond, r.Burst, per))
	}
	if l.MaxConnections+l.MaxPendingRequests+l.MaxConcurrentRequests == 0 && len(l.Rates) == 0 {
		return nil
	}
	return &l
}

// hashWords says in words what of a request is hashed.
func hashWords(policies []mesh.HashPolicy) []string {
	var words []string
	for _, p := range policies {
		word := string(p.Kind)
		if p.Name != "" {
			word += " " + p.Name
		}
		if p.Terminal {
			word += " (the rest only without it)"
		}
		words = append(words, word)
	}
	return words
}
