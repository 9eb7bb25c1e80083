package control

import (
	"cmp"
	"slices"
	"strings"
)

// The functions of this file put what a Backend gave into the form that the documents promise: sorted, so that two answers can
// be compared, and without null lists, so that scripts can iterate.

func newServiceList(services []Service) ServiceList {
	services = slices.SortedFunc(slices.Values(services), func(a, b Service) int {
		return strings.Compare(a.Name, b.Name)
	})
	for i := range services {
		services[i].Addresses = notNil(services[i].Addresses)
	}
	return ServiceList{SchemaVersion: SchemaVersion, Services: notNil(services)}
}

// newEndpointList keeps the endpoints of one service, or all of them when service is empty.
func newEndpointList(endpoints []Endpoint, service string) EndpointList {
	kept := []Endpoint{}
	for _, e := range endpoints {
		if service == "" || e.Service == service {
			e.Tags = notNil(e.Tags)
			e.History = notNil(e.History)
			kept = append(kept, e)
		}
	}
	slices.SortFunc(kept, func(a, b Endpoint) int {
		return cmp.Or(strings.Compare(a.Service, b.Service), strings.Compare(a.Host, b.Host), a.Address.Compare(b.Address))
	})
	return EndpointList{SchemaVersion: SchemaVersion, Endpoints: kept}
}

// newConnectionList keeps the connections to one service, or all of them when service is empty, and of those the
// oldest MaxConnections.
func newConnectionList(connections []Connection, service string) ConnectionList {
	kept := []Connection{}
	for _, c := range connections {
		if service == "" || c.Destination == service {
			kept = append(kept, c)
		}
	}
	slices.SortFunc(kept, func(a, b Connection) int {
		return cmp.Or(a.OpenedAt.Compare(b.OpenedAt), cmp.Compare(a.ID, b.ID))
	})
	total := len(kept)
	return ConnectionList{SchemaVersion: SchemaVersion, Connections: kept[:min(total, MaxConnections)], Total: total}
}

// NewRouteList returns the list of what becomes of requests to services.
func NewRouteList(services []ServiceRoutes) RouteList {
	services = slices.SortedFunc(slices.Values(services), func(a, b ServiceRoutes) int { return strings.Compare(a.Service, b.Service) })
	for i := range services {
		s := &services[i]
		s.Ports, s.Routes, s.Targets = notNil(s.Ports), notNil(s.Routes), notNil(s.Targets)
		for j := range s.Routes {
			s.Routes[j].Match = notNil(s.Routes[j].Match)
		}
		for j := range s.Targets {
			s.Targets[j].Endpoints = notNil(s.Targets[j].Endpoints)
		}
	}
	return RouteList{SchemaVersion: SchemaVersion, Services: notNil(services)}
}

// Arranged completes an explanation.
func (x Explanation) Arranged() Explanation {
	x.SchemaVersion = SchemaVersion
	x.Destination.Addresses = notNil(x.Destination.Addresses)
	x.Routes, x.Targets = notNil(x.Routes), notNil(x.Targets)
	for i := range x.Routes {
		x.Routes[i].Match = notNil(x.Routes[i].Match)
	}
	for i := range x.Targets {
		x.Targets[i].Endpoints = notNil(x.Targets[i].Endpoints)
	}
	return x
}

// NewCheckReport returns the report of the results; the ones that need a person come first.
func NewCheckReport(checks []CheckResult) CheckReport {
	severity := []CheckStatus{CheckFail, CheckWarn, CheckOK}
	checks = slices.SortedStableFunc(slices.Values(checks), func(a, b CheckResult) int {
		return cmp.Or(
			cmp.Compare(slices.Index(severity, a.Status), slices.Index(severity, b.Status)),
			strings.Compare(a.Name, b.Name),
		)
	})
	return CheckReport{SchemaVersion: SchemaVersion, Checks: notNil(checks)}
}

// arranged completes a status. A configuration that was refused becomes a problem here, so that no backend forgets it.
func (s Status) arranged() Status {
	s.SchemaVersion = SchemaVersion
	s.Problems = notNil(slices.Clone(s.Problems))
	if s.Config.LastError != nil {
		s.Problems = append(s.Problems, Problem{
			What: "the configuration on disk was refused at the last reload; the one loaded before still runs",
			Fix:  "correct what meshctl validate shows, then meshctl reload",
		})
	}
	s.Config.Files = notNil(slices.Sorted(slices.Values(s.Config.Files)))
	s.DNS.Resolvers = notNil(s.DNS.Resolvers) // in the order of the configuration: the first is asked first
	s.Listeners = notNil(slices.SortedFunc(slices.Values(s.Listeners), func(a, b Listener) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Address, b.Address))
	}))
	s.Refused = notNil(slices.SortedFunc(slices.Values(s.Refused), func(a, b Refusal) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Destination, b.Destination), cmp.Compare(a.Reason, b.Reason))
	}))
	return s
}

// arranged completes the result of a reload.
func (r ReloadResult) arranged() ReloadResult {
	r.SchemaVersion = SchemaVersion
	r.Diagnostics = notNil(r.Diagnostics)
	return r
}

// arranged completes the result of a switch.
func (r SwitchResult) arranged() SwitchResult {
	r.SchemaVersion = SchemaVersion
	return r
}

func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
