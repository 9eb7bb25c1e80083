package ctl

import (
	"context"
	"flag"
	"fmt"
	"net"
	"strings"

	"github.com/meshd/meshd/engine/control"
)

var explainCommand = command{
	name:    "explain",
	kind:    noun,
	args:    "FROM TO [METHOD URL]",
	maxArgs: 4,
	summary: "what becomes of a connection or request, and why",
	help: `
The first line is the answer. Then come the steps that lead to it, each with
the file and line that says so: the name, who calls, whether the kernel
captures it, the routes that were asked and why they were not taken, the split,
and every endpoint, with the reason when it is not chosen. It is what meshd
would do now: it asks the same code, and sends nothing.

FROM is a service, host:NAME for what is no service on this host, or pid:NUMBER
for a process of it. TO is a service or another name, both with or without a
port, or an address with its port. Without METHOD and URL a request to a
service that speaks HTTP is GET /.

With -config, -root or -host it reads files and asks no daemon: the state of
endpoints is not known then, and all are taken to be up.`,
	example: "meshctl explain web billing GET /v2/items -H 'x-canary: 1'",
	setup: func(p *program, flags *flag.FlagSet) runner {
		var from files
		from.declare(flags)
		q := control.Question{}
		flags.Func("H", "header `FIELD` of the request, as 'x-canary: 1'; may be repeated", func(field string) error {
			q.Headers = append(q.Headers, field)
			return nil
		})
		flags.BoolVar(&q.Draw, "draw", false, "draw one of the targets of a split, as meshd would")
		return func(ctx context.Context, args []string) error {
			switch {
			case len(args) < 2:
				return usageError("explain: name who calls and what, as in: meshctl explain web billing")
			case len(args) == 3:
				return usageError("explain: a request has a method and a URL, as in: meshctl explain web billing GET /v2/items")
			case len(args) == 4:
				q.Method, q.URL = args[2], args[3]
			}
			q.From, q.To = args[0], args[1]
			x, err := p.explain(ctx, from, q)
			if err != nil {
				return err
			}
			if p.json {
				return p.writeJSON(x)
			}
			return p.writeExplanation(x)
		}
	},
}

func (p *program) explain(ctx context.Context, from files, q control.Question) (control.Explanation, error) {
	if !from.given() {
		return p.client().Explain(ctx, q)
	}
	v, err := from.view(p)
	if err != nil {
		return control.Explanation{}, err
	}
	x, refused := v.Explain(q)
	if refused != nil {
		return x, refused
	}
	return x.Arranged(), nil
}

func (p *program) writeExplanation(x control.Explanation) error {
	what := fmt.Sprintf("from %s to %s: ", x.Source.Name, dialledText(x.Destination))
	if r := x.Request; r != nil {
		what = fmt.Sprintf("from %s, %s %s: ", x.Source.Name, r.Method, urlText(*r))
	}
	writeHanging(p.Stdout, "", what+x.Outcome.Text, p.Width)
	if !x.Live {
		writeHanging(p.Stdout, "", "(of files alone, as on "+x.Host+": all endpoints are taken to be up)", p.Width)
	}
	fmt.Fprintln(p.Stdout)
	writeFacts(p.Stdout, "", explainFacts(x), p.Width)
	var rows [][]string
	for _, t := range x.Targets {
		for _, e := range t.Endpoints {
			rows = append(rows, p.candidateRow(t, e))
		}
	}
	if len(rows) == 0 {
		return nil
	}
	fmt.Fprintln(p.Stdout)
	return p.writeTable(candidateColumns, rows)
}

// dialledText returns what people call a destination.
func dialledText(d control.Destination) string {
	name := d.Service
	if d.Service == "" && len(d.Addresses) > 0 {
		name = d.Addresses[0].String()
	}
	return net.JoinHostPort(name, decimal(d.Port))
}

func urlText(r control.ExplainedRequest) string {
	text := "http://" + r.Authority + r.Path
	if r.Query != "" {
		text += "?" + r.Query
	}
	return text
}

// explainFacts returns the steps of an explanation, in their order.
func explainFacts(x control.Explanation) [][2]string {
	var facts [][2]string
	add := func(name, text, place string) { facts = append(facts, [2]string{name, at(text, place)}) }
	add("name", destinationText(x.Destination), x.Destination.At)
	add("caller", sourceText(x.Source), x.Source.Why.At)
	if x.Capture.Text != "" {
		add("captured", x.Capture.Text, x.Capture.At)
	}
	for _, r := range x.Routes {
		if r.WhyNot != "" {
			add("not", fmt.Sprintf("%s: %s", r.Name, r.WhyNot), r.At)
			continue
		}
		add("route", r.Name+": "+matchText(r.Route, x.Request != nil), r.At)
		facts = append(facts, routeFacts(r.Route)...)
	}
	if r := x.Request; r != nil && r.Travels != "" && r.Travels != pathAndQuery(*r) {
		add("path", "the endpoint gets "+r.Travels, "")
	}
	for _, t := range x.Targets {
		text := targetText(t)
		if t.Panics {
			text += "; less than half are up, so that all are chosen from"
		}
		add("target", t.Name+": "+text, t.At)
		if l := t.Limits; l != nil && x.Live {
			add("", fmt.Sprintf("now %s, %s, %d of them pending", count(int(l.Connections), "connection"), count(int(l.ConcurrentRequests), "request"), l.PendingRequests), "")
		}
	}
	return facts
}

func pathAndQuery(r control.ExplainedRequest) string {
	if r.Query == "" {
		return r.Path
	}
	return r.Path + "?" + r.Query
}

func destinationText(d control.Destination) string {
	var addresses []string
	for _, a := range d.Addresses {
		if a.String() != d.Text {
			addresses = append(addresses, a.String())
		}
	}
	text := d.Text
	if len(addresses) > 0 && !strings.HasPrefix(text, addresses[0]) {
		text += " is " + strings.Join(addresses, " and ")
	}
	switch {
	case d.Service == "":
		return fmt.Sprintf("%s port %d", text, d.Port)
	case d.Protocol == "":
		return fmt.Sprintf("%s of service %q, which has no port %d", text, d.Service, d.Port)
	case d.Listener != "":
		return fmt.Sprintf("%s, service %q, listener %q, port %d, %s", strings.TrimSuffix(text, ","), d.Service, d.Listener, d.Port, d.Protocol)
	}
	return fmt.Sprintf("%s, service %q, port %d, %s", strings.TrimSuffix(text, ","), d.Service, d.Port, d.Protocol)
}

func sourceText(s control.Source) string {
	text := fmt.Sprintf("%s, as %s", s.Name, s.Identity)
	if s.PID != 0 {
		text = fmt.Sprintf("pid %d, uid %d, is %s", s.PID, s.UID, text)
	}
	return text + ": " + s.Why.Text
}

var candidateColumns = []column{
	{head: "TARGET"},
	{head: "ENDPOINT"},
	{head: "ADDRESS", drop: 2},
	{head: "STATE"},
	{head: "ZONE", drop: 5, optional: true},
	{head: "WEIGHT", drop: 3},
	{head: "ACTIVE", drop: 1},
	{head: "CHOSEN"},
	{head: "WHY", drop: 4, shorten: true, optional: true},
}

func (p *program) candidateRow(t control.Target, e control.Candidate) []string {
	state := string(e.State)
	if e.EjectedUntil != nil {
		state += " " + elapsed(e.EjectedUntil.Sub(p.Now()))
	}
	chosen := "no"
	switch {
	case e.Chosen && e.Percent > 0:
		chosen = percent(e.Percent)
	case e.Chosen:
		chosen = "yes"
	}
	return []string{t.Name, e.Name, address(e.Address), state, e.Zone, decimal(e.Weight), decimal(e.Active), chosen, e.Why}
}
