package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/route"
	"github.com/meshd/meshd/engine/snapshot"
)

// Routes returns what becomes of connections and requests to a service; without a name, to all that have a router, a splitter
// or a resolver. It is nothing for a service without a port.
func (v View) Routes(service string) []control.ServiceRoutes {
	var all []control.ServiceRoutes
	for _, s := range v.Snapshot.Services() {
		if s.Port != 0 && (s.Name == service || service == "" && v.isShaped(s.Name)) {
			all = append(all, v.routesOf(s))
		}
	}
	return all
}

// isShaped says whether there is more to a service than its endpoints.
func (v View) isShaped(service string) bool {
	c := v.Snapshot.Catalog()
	_, router := c.Router(service)
	_, splitter := c.Splitter(service)
	_, resolver := c.Resolver(service)
	return router || splitter || resolver
}

func (v View) routesOf(s *snapshot.Service) control.ServiceRoutes {
	row := control.ServiceRoutes{Service: s.Name, At: s.At.String()}
	// The routes of all ports are the same, but for where endpoints listen, and where nothing is read there is only the last one.
	shown := s.Ports[0]
	for _, p := range s.Ports {
		row.Ports = append(row.Ports, control.RoutedPort{Listener: p.Listener, Number: p.Number, Protocol: p.Protocol})
		if !shown.Reads() && p.Reads() {
			shown = p
		}
	}
	if s.Edge {
		row.Hardening = "edge"
	}
	var targets []*route.Target
	for i, r := range shown.Routes.Routes() {
		row.Routes = append(row.Routes, v.route(shown, i, r))
		for _, share := range r.Shares() {
			targets = append(targets, share.Target)
		}
		if r.Mirror != nil {
			targets = append(targets, r.Mirror.Target)
		}
	}
	row.Targets = v.targets(targets, nil)
	return row
}

// targets writes down targets, each with who stands in for it, none twice. Of a target of which one endpoint is certain, that is
// given by certain.
func (v View) targets(all []*route.Target, certain map[*route.Target]*balance.Endpoint) []control.Target {
	var rows []control.Target
	add := func(t *route.Target, standsIn bool) {
		if slices.ContainsFunc(rows, func(r control.Target) bool { return r.Name == t.Name() }) {
			return
		}
		row := v.target(mesh.Target{Service: t.Service, Subset: t.Subset}, t.Group, certain[t])
		row.StandsIn = standsIn
		rows = append(rows, row)
	}
	for _, t := range all {
		add(t, false)
		for _, f := range t.Failover {
			add(f, true)
		}
	}
	return rows
}

// route writes down the i-th route of a port: as it was compiled, and in the words in which it is configured.
func (v View) route(p *snapshot.Port, i int, r *route.Route) control.Route {
	row := control.Route{Name: r.Name, At: r.At.String()}
	for _, s := range r.Shares() {
		share := shareOf(s)
		share.Way = v.stepsOf(s.Asked)
		row.Shares = append(row.Shares, share)
	}
	row.RequestTimeout, row.IdleTimeout = duration(r.RequestTimeout), duration(r.IdleTimeout)
	router, found := v.Snapshot.Catalog().Router(p.Service.Name)
	if !found || !p.Reads() || i >= len(router.Routes) { // the last one, which nobody has written
		return row
	}
	from := router.Routes[i]
	row.Match = matchWords(from.Match)
	if x := from.Redirect; x != nil {
		row.Redirect = &control.Redirect{Status: x.Status, Scheme: x.Scheme, Host: x.Host, Path: x.Path, PrefixRewrite: x.PrefixRewrite}
	}
	if x := from.Respond; x != nil {
		row.Respond = &control.Respond{Status: x.Status, Body: x.Body}
	}
	if d := from.Destination; d != nil {
		row.PrefixRewrite = d.PrefixRewrite
		row.RequestHeaders, row.ResponseHeaders = editsOf(d.Request), editsOf(d.Response)
		if x := d.Retry; x != nil {
			row.Retry = &control.Retry{Attempts: x.Attempts, On: x.On, PerTryTimeout: duration(x.PerTryTimeout)}
		}
		if x := d.Mirror; x != nil {
			row.Mirror = &control.Mirror{Percent: percent(x.Share), Target: r.Mirror.Target.Name()}
		}
	}
	row.Fault = faultOf(from.Fault)
	return row
}

func percent(hundredths int) float64 { return float64(hundredths) / 100 }

func editsOf(from mesh.HeaderEdits) *control.HeaderEdits {
	to := control.HeaderEdits{Remove: from.Remove, Set: fieldsOf(from.Set), Add: fieldsOf(from.Add)}
	if len(to.Remove)+len(to.Set)+len(to.Add) == 0 {
		return nil
	}
	return &to
}

func fieldsOf(from []mesh.Field) []control.HeaderField {
	var to []control.HeaderField
	for _, f := range from {
		to = append(to, control.HeaderField(f))
	}
	return to
}

func faultOf(from *mesh.Fault) *control.Fault {
	if from == nil {
		return nil
	}
	to := new(control.Fault)
	if d := from.Delay; d != nil {
		to.DelayPercent, to.Delay = percent(d.Share), duration(d.Fixed)
	}
	if a := from.Abort; a != nil {
		to.AbortPercent, to.HTTPStatus = percent(a.Share), a.HTTPStatus
		if a.HTTPStatus == 0 {
			to.GRPCStatus = &a.GRPCStatus
		}
	}
	return to
}

// matchWords says in words what a request must have; none: every request matches.
func matchWords(m mesh.RouteMatch) []string {
	var words []string
	for _, path := range []struct {
		kind mesh.TextKind
		text string
	}{{mesh.TextExact, m.PathExact}, {mesh.TextPrefix, m.PathPrefix}, {mesh.TextRegex, m.PathRegex}} {
		if path.text != "" {
			words = append(words, "path "+textWords(path.kind, path.text))
		}
	}
	if len(m.Methods) > 0 {
		words = append(words, "method is "+oneOf(m.Methods))
	}
	for _, h := range m.Headers {
		word := fmt.Sprintf("header %s %s", h.Name, textWords(h.Kind, h.Text))
		if h.Invert {
			word = "no " + word
		}
		words = append(words, word)
	}
	for _, q := range m.Query {
		words = append(words, fmt.Sprintf("query parameter %s %s", q.Name, textWords(q.Kind, q.Text)))
	}
	return words
}

func textWords(kind mesh.TextKind, text string) string {
	verb := map[mesh.TextKind]string{mesh.TextPrefix: "begins with", mesh.TextSuffix: "ends with", mesh.TextRegex: "matches"}[kind]
	switch {
	case kind == mesh.TextPresent:
		return "is there"
	case verb == "":
		verb = "is"
	}
	return strings.TrimSpace(fmt.Sprintf("%s %q", verb, text))
}
