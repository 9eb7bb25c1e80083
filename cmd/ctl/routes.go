package ctl

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/engine/mesh"
)

var routesCommand = command{
	name:    "routes",
	kind:    noun,
	args:    "[SERVICE]",
	maxArgs: 1,
	summary: "where what comes to a service goes: routes, splits and subsets",
	help: `
The routes of a service in the order in which they are asked, then the targets
that they lead to, with the endpoints that stand for each now, each with the
file and line that says so. Of a service whose requests are not read there is
one route, which all connections take. Without SERVICE: all services with a
router, a splitter or a resolver.

With -config, -root or -host it reads files and asks no daemon.`,
	example: "meshctl routes billing",
	setup: func(p *program, flags *flag.FlagSet) runner {
		var from files
		from.declare(flags)
		return func(ctx context.Context, args []string) error {
			list, err := p.routes(ctx, from, append(args, "")[0])
			if err != nil {
				return err
			}
			if p.json {
				return p.writeJSON(list)
			}
			if len(list.Services) == 0 {
				none := "no service has a router, a splitter or a resolver"
				if len(args) > 0 {
					none = args[0] + " only calls others"
				}
				fmt.Fprintln(p.Stderr, none)
				return nil
			}
			for i, s := range list.Services {
				if i > 0 {
					fmt.Fprintln(p.Stdout)
				}
				writeRoutes(p.Stdout, s, p.Width)
			}
			return nil
		}
	},
}

func (p *program) routes(ctx context.Context, from files, service string) (control.RouteList, error) {
	if !from.given() {
		return p.client().Routes(ctx, service)
	}
	v, err := from.view(p)
	if err != nil {
		return control.RouteList{}, err
	}
	if _, found := v.Snapshot.Named(service); service != "" && !found {
		return control.RouteList{}, control.NoService(service)
	}
	return control.NewRouteList(v.Routes(service)), nil
}

func writeRoutes(w io.Writer, s control.ServiceRoutes, width int) {
	var ports []string
	for _, port := range s.Ports {
		text := fmt.Sprintf("port %d %s", port.Number, port.Protocol)
		if port.Listener != "" {
			text = fmt.Sprintf("listener %s: %s", port.Listener, text)
		}
		ports = append(ports, text)
	}
	writeHanging(w, s.Service+": ", at(strings.Join(ports, ", "), s.At), width)
	if s.Hardening != "" {
		writeHanging(w, "  ", fmt.Sprintf("hardening %s: heads from strangers are cleaned and checked, and who is slow or idle is cut off", s.Hardening), width)
	}
	number := len(strconv.Itoa(len(s.Routes)))
	isRead := slices.ContainsFunc(s.Ports, func(p control.RoutedPort) bool { return p.Protocol != mesh.TCP })
	for i, r := range s.Routes {
		fmt.Fprintln(w)
		writeHanging(w, fmt.Sprintf("%*d. ", number+2, i+1), at(matchText(r, isRead), r.At), width)
		writeFacts(w, strings.Repeat(" ", number+4), routeFacts(r), width)
	}
	fmt.Fprintln(w)
	for _, t := range s.Targets {
		writeHanging(w, "  "+t.Name+": ", at(targetText(t), t.At), width)
		writeHanging(w, "    ", cmp.Or(memberText(t), "no endpoint"), width)
	}
}

// at writes a text with the place that it is from.
func at(text, place string) string {
	if place == "" {
		return text
	}
	return text + " (" + place + ")"
}

// matchText says which requests take a route, or that all connections do.
func matchText(r control.Route, isRead bool) string {
	if !isRead {
		return "every connection"
	}
	return cmp.Or(strings.Join(r.Match, ", and "), "every request that comes so far")
}

// writeFacts writes names and values behind an indent, the values one below the other.
func writeFacts(w io.Writer, indent string, facts [][2]string, width int) {
	longest := 0
	for _, f := range facts {
		longest = max(longest, len(f[0]))
	}
	for _, f := range facts {
		writeHanging(w, fmt.Sprintf("%s%-*s  ", indent, longest, f[0]), f[1], width)
	}
}

// routeFacts says what becomes of what takes a route, as names and values. A name that is empty goes on with the
// one before.
func routeFacts(r control.Route) [][2]string {
	var facts [][2]string
	add := func(name, format string, args ...any) {
		facts = append(facts, [2]string{name, fmt.Sprintf(format, args...)})
	}
	name := "to"
	for _, s := range r.Shares {
		add(name, "%s", shareText(s, len(r.Shares) > 1))
		name = ""
	}
	if x := r.Redirect; x != nil {
		add("redirect", "%s", redirectText(*x))
	}
	if x := r.Respond; x != nil {
		add("respond", "%d %s", x.Status, strconv.Quote(x.Body))
	}
	if r.PrefixRewrite != "" {
		add("rewrite", "what the path matched becomes %q", r.PrefixRewrite)
	}
	if r.RequestTimeout != "" {
		add("timeout", "%s for a request, with all its retries", r.RequestTimeout)
	}
	if r.IdleTimeout != "" {
		add("idle", "%s without a byte end a request", r.IdleTimeout)
	}
	if x := r.Retry; x != nil {
		text := fmt.Sprintf("%s on %s", count(x.Attempts, "time"), strings.Join(x.On, ", "))
		if x.PerTryTimeout != "" {
			text += fmt.Sprintf(", %s for each try", x.PerTryTimeout)
		}
		add("retry", "%s", text)
	}
	if x := r.RequestHeaders; x != nil {
		add("request", "%s", editText(*x))
	}
	if x := r.ResponseHeaders; x != nil {
		add("response", "%s", editText(*x))
	}
	if x := r.Fault; x != nil {
		add("fault", "%s", faultText(*x))
	}
	if x := r.Mirror; x != nil {
		add("mirror", "copies of %s go to %s", percent(x.Percent), x.Target)
	}
	return facts
}

// shareText says where a share goes, and by which way.
func shareText(s control.Share, isSplit bool) string {
	text := s.Target
	if isSplit {
		text = percent(s.Percent) + " " + text
	}
	if s.Drawn && isSplit {
		text += ", drawn"
	}
	if s.Live != "" {
		text += fmt.Sprintf(", for which %s stands in, as none of its endpoints is up", s.Live)
	}
	if len(s.Splits) > 0 {
		text = at(text, strings.Join(s.Splits, ", "))
	}
	for _, step := range s.Way {
		text += "; " + at(step.Text, step.At)
	}
	return text
}

func redirectText(r control.Redirect) string {
	text := fmt.Sprintf("%d", r.Status)
	for _, part := range [][2]string{{"scheme", r.Scheme}, {"host", r.Host}, {"path", r.Path}} {
		if part[1] != "" {
			text += fmt.Sprintf(", %s %s", part[0], part[1])
		}
	}
	if r.PrefixRewrite != "" {
		text += fmt.Sprintf(", what the path matched becomes %q", r.PrefixRewrite)
	}
	return text
}

func editText(e control.HeaderEdits) string {
	var parts []string
	if len(e.Remove) > 0 {
		parts = append(parts, "without "+strings.Join(e.Remove, ", "))
	}
	for _, f := range e.Set {
		parts = append(parts, fmt.Sprintf("%s: %s", f.Name, f.Value))
	}
	for _, f := range e.Add {
		parts = append(parts, fmt.Sprintf("one more %s: %s", f.Name, f.Value))
	}
	return strings.Join(parts, "; ")
}

func faultText(f control.Fault) string {
	var parts []string
	if f.Delay != "" {
		parts = append(parts, fmt.Sprintf("%s wait %s", percent(f.DelayPercent), f.Delay))
	}
	switch {
	case f.GRPCStatus != nil:
		parts = append(parts, fmt.Sprintf("%s are answered with the status %d of gRPC", percent(f.AbortPercent), *f.GRPCStatus))
	case f.HTTPStatus != 0:
		parts = append(parts, fmt.Sprintf("%s are answered with %d", percent(f.AbortPercent), f.HTTPStatus))
	}
	return strings.Join(parts, ", ")
}

// percent writes a percentage to as many places as it needs.
func percent(p float64) string { return strconv.FormatFloat(p, 'f', -1, 64) + "%" }

// targetText says what a target is, and how one of its endpoints is chosen.
func targetText(t control.Target) string {
	var parts []string
	switch {
	case t.Subset != "" && t.Filter != "":
		parts = append(parts, t.Filter)
	default:
		parts = append(parts, "all endpoints")
	}
	if t.StandsIn {
		parts = append(parts, "only stands in")
	}
	choice := "by " + string(t.Balancing)
	if len(t.Hash) > 0 {
		choice += " of " + strings.Join(t.Hash, ", ")
	}
	parts = append(parts, choice, "connect timeout "+t.ConnectTimeout)
	if len(t.Zones) > 0 {
		parts = append(parts, "zones "+strings.Join(t.Zones, ", "))
	}
	if len(t.Failover) > 0 {
		parts = append(parts, "failover "+strings.Join(t.Failover, ", "))
	}
	if l := t.Limits; l != nil {
		parts = append(parts, limitTexts(*l)...)
	}
	return strings.Join(parts, "; ")
}

func limitTexts(l control.Limits) []string {
	var parts []string
	for _, x := range []struct {
		name string
		most int64
	}{
		{"max_connections", l.MaxConnections}, {"max_pending_requests", l.MaxPendingRequests}, {"max_concurrent_requests", l.MaxConcurrentRequests},
	} {
		if x.most > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", x.name, x.most))
		}
	}
	return slices.Concat(parts, l.Rates)
}

// memberText lists the endpoints of a target, and how they stand if they are not up.
func memberText(t control.Target) string {
	var names []string
	for _, e := range t.Endpoints {
		if !e.Member {
			continue
		}
		name := e.Name
		if e.State != control.EndpointUp {
			name += " (" + string(e.State) + ")"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}
