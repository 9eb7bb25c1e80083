package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/meshd/meshd/engine/mesh"
)

// routerBlock chooses a destination for each HTTP request to a service: router "billing" {}. The first route that matches is
// taken; a request that none matches goes to the service itself. A destination's own router is not asked.
type routerBlock struct {
	// Service is the name of the service that the requests are for.
	Service      string    `hcl:"service,label"`
	ServiceRange hcl.Range `hcl:"service,label_range"`

	Routes []*routeBlock `hcl:"route,block"`

	Range hcl.Range `hcl:",def_range"`
}

// routeBlock is one way for requests: route {}. It has either a destination, a redirect or a respond block.
type routeBlock struct {
	Match       *matchBlock       `hcl:"match,block"`
	Destination *destinationBlock `hcl:"destination,block"`
	Redirect    *redirectBlock    `hcl:"redirect,block"`
	Respond     *respondBlock     `hcl:"respond,block"`
	Fault       *faultBlock       `hcl:"fault,block"`

	Range hcl.Range `hcl:",def_range"`
}

func (r *routerBlock) title() string      { return fmt.Sprintf("router %q", r.Service) }
func (r *routerBlock) defined() hcl.Range { return r.Range }

// buildRouters returns the routers sorted by service.
func (b *builder) buildRouters(all []*routerBlock) []mesh.Router {
	var built []mesh.Router
	for _, r := range all {
		b.shaped(r, r.ServiceRange, r.Service, "router")
		router := mesh.Router{Service: r.Service, At: placeOf(r.Range)}
		for _, block := range r.Routes {
			route := b.route(r, block)
			if over := slices.IndexFunc(router.Routes, func(before mesh.Route) bool { return covers(before.Match, route.Match) }); over >= 0 {
				b.warnf(block.Range, "Route that no request reaches", "Every request that matches it matches the route at %s, which is "+
					"before it. Put the narrower one first, or remove one of the two.", router.Routes[over].At)
			}
			router.Routes = append(router.Routes, route)
		}
		if len(r.Routes) == 0 {
			b.errorf(r.Range, "Router without a route", "Every request goes to the service itself. Add a route block, or remove the router.")
		}
		built = append(built, router)
	}
	slices.SortFunc(built, func(x, y mesh.Router) int { return strings.Compare(x.Service, y.Service) })
	return built
}

func (b *builder) route(r *routerBlock, block *routeBlock) mesh.Route {
	route := mesh.Route{At: placeOf(block.Range)}
	if block.Match != nil {
		route.Match = b.match(block.Match)
	}
	actions := 0
	if block.Destination != nil {
		actions++
		route.Destination = b.destination(r.Service, block.Destination, route.Match)
	}
	if block.Redirect != nil {
		actions++
		route.Redirect = b.redirect(block.Redirect, route.Match)
	}
	if block.Respond != nil {
		actions++
		route.Respond = b.respond(block.Respond)
	}
	route.Fault = b.fault(block)
	if actions != 1 {
		b.errorf(block.Range, "Route needs one destination, redirect or respond", "It has %d of them. Write destination { service = \"…\" } "+
			"to pass requests on, redirect {} to send the client elsewhere, or respond {} to answer at once.", actions)
	}
	return route
}

// shaped checks the service of a router, a splitter, or a resolver that says more than how endpoints are chosen.
func (b *builder) shaped(own block, at hcl.Range, service, kind string) {
	s := b.services[service]
	of := strings.ToUpper(kind[:1]) + kind[1:] + " of a "
	switch {
	case s == nil && b.incomplete:
	case s == nil:
		b.errorf(at, "Unknown service", "There is no service %q.%s Add service %q {}, or remove the %s.",
			service, didYouMean(service, b.services), service, kind)
	case b.broken[s.Range]:
	case s.Port == nil:
		b.errorf(own.defined(), of+"service without a port", "%s at %s only calls others, so nothing comes to it. Write its port, or "+
			"remove the %s.", title(s), place(s.Range), kind)
	case kind == "router" && !s.speaksHTTP():
		b.errorf(own.defined(), of+"tcp service", "Only requests of HTTP can be told apart. Write %s in %s at %s, if "+
			"that is what it speaks. Otherwise remove the router: a splitter and a resolver say where connections go.", protocolsOfHTTP, s.title(),
			place(s.Range))
	}
}

// speaksHTTP says whether requests are read at a port of the service.
func (s *serviceBlock) speaksHTTP() bool { return s.hasPort(true) }

// hasPort says whether the service has a port whose requests are read, or one whose bytes are not.
func (s *serviceBlock) hasPort(read bool) bool {
	isOne := func(protocol *string) bool { return mesh.Protocol(valueOr(protocol, defaultProtocol)).IsHTTP() == read }
	return isOne(s.Protocol) || slices.ContainsFunc(s.Listeners, func(l *listenerBlock) bool { return isOne(l.Protocol) })
}

// target checks a service, or a subset of it, that requests or connections go to. The empty name of a service is own.
func (b *builder) target(t targetRef) (mesh.Target, bool) {
	target := mesh.Target{Service: valueOr(t.service, t.own), Subset: valueOr(t.subset, "")}
	serviceAt := t.serviceAt
	if t.service == nil {
		serviceAt = t.block
	}
	s := b.services[target.Service]
	switch {
	case s == nil:
		if !b.incomplete && target.Service != t.own {
			b.errorf(serviceAt, "Unknown service", "There is no service %q.%s Write the name of a service block.", target.Service,
				didYouMean(target.Service, b.services))
		}
		return target, false
	case b.broken[s.Range]:
		return target, false
	case s.Port == nil:
		b.errorf(serviceAt, "Destination without a port", "%s at %s only calls others. Write the name of a service with a port.",
			title(s), place(s.Range))
		return target, false
	case target.Service != t.own && !b.takes(t, s, serviceAt):
		return target, false
	case target.Subset == "" && len(s.Endpoints) == 0 && target.Service == t.own && t.warn:
		b.warnf(t.block, "Destination without an endpoint", "%s has no endpoint block, so what comes here %s. Add one, or name another "+
			"service.", title(s), s.failing())
	}
	return target, target.Subset == "" || b.subset(t.subsetAt, target)
}

// takes checks that another service takes what comes to the own one: requests where those are read, else connections.
func (b *builder) takes(t targetRef, s *serviceBlock, at hcl.Range) bool {
	own := b.services[t.own]
	if own == nil || b.broken[own.Range] {
		return true // which is told already
	}
	if (t.takes == takesRequests || own.speaksHTTP()) && !s.speaksHTTP() {
		b.errorf(at, "Destination does not speak HTTP", "%s at %s is a tcp service, which takes no single requests. Write %s "+
			"there, if that is what it speaks.", title(s), place(s.Range), protocolsOfHTTP)
		return false
	}
	if t.takes == takesRequests || !own.hasPort(false) || s.hasPort(false) || t.takes == takesSome && own.speaksHTTP() {
		return true
	}
	advice := "Write " + protocolsOfHTTP + " in " + own.title() + " too, if that is what it speaks, or name a tcp service."
	if own.speaksHTTP() {
		advice = "Add a listener with protocol = \"tcp\" to it, for what comes to the tcp port of " + own.title() + "."
	}
	b.errorf(at, "Destination has no tcp port", "%s at %s reads requests of HTTP at each of its ports, and %s at %s has a port whose bytes are "+
		"not read. %s", title(s), place(s.Range), own.title(), place(own.Range), advice)
	return false
}

// failing says what becomes of what comes to a service when none of its endpoints is up.
func (s *serviceBlock) failing() string {
	if s.speaksHTTP() {
		return "is answered with 503"
	}
	return "is reset"
}

// targetRef is where a block names a target.
type targetRef struct {
	own       string // the service when none is written
	block     hcl.Range
	service   *string
	serviceAt hcl.Range
	subset    *string
	subsetAt  hcl.Range
	warn      bool // when the own service has no endpoint
	takes     taking
}

// taking is how much of what comes to the own service a target is for.
type taking int

const (
	takesRequests taking = iota // those of a route
	takesAll                    // what comes to any port
	takesSome                   // what it can take, when nobody else does
)

// title is how a sentence begins with a block.
func title(of block) string {
	text := of.title()
	return strings.ToUpper(text[:1]) + text[1:]
}

// subset checks that a subset exists.
func (b *builder) subset(at hcl.Range, target mesh.Target) bool {
	r := b.resolvers[target.Service]
	if r != nil && b.broken[r.Range] || r == nil && b.incomplete {
		return true
	}
	declared := make(map[string]bool)
	if r != nil {
		for _, s := range r.Subsets {
			declared[s.Name] = true
		}
	}
	if !declared[target.Subset] {
		b.errorf(at, "Unknown subset", "Service %q has no subset %q.%s Add subset %q { filter = \"…\" } to resolver %q {}.",
			target.Service, target.Subset, didYouMean(target.Subset, declared), target.Subset, target.Service)
	}
	return declared[target.Subset]
}

func placeOf(at hcl.Range) mesh.Place { return mesh.Place{File: at.Filename, Line: at.Start.Line} }
