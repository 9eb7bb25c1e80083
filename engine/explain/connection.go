package explain

import (
	"fmt"
	"strings"

	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/route"
	"github.com/meshd/meshd/engine/snapshot"
)

// connection ends an explanation of a connection whose bytes are not read.
func (v View) connection(x *control.Explanation, caller caller, p *snapshot.Port, q control.Question) {
	e := p.Routes.ExplainConnection()
	x.Routes = []control.AskedRoute{{Route: v.route(p, 0, e.Candidates[0].Route)}}
	possible := v.possible(x, &e, q.Draw, func(t *route.Target) route.Hash { return t.HashConnection(caller.source.Name) })
	var parts, endpoints []string
	var lost *control.Outcome
	for _, s := range possible {
		t := x.Targets[indexOf(x.Targets, s.Live.Name())]
		names, part := chosen(t), ""
		if end := endOf(t); end != nil {
			lost, part = end, fmt.Sprintf("nobody, as %s (%s, %s)", end.Text, end.Kind, end.Reason)
		} else {
			endpoints, part = append(endpoints, names...), oneOf(names)
		}
		if len(possible) > 1 {
			part = fmt.Sprintf("%s (%s%%)", part, percentText(s.Percent))
		}
		parts = append(parts, part)
	}
	x.Outcome = control.Outcome{Kind: control.OutcomeProxied, Endpoints: endpoints, Text: "it goes to " + strings.Join(parts, ", else to ")}
	if len(endpoints) == 0 {
		x.Outcome = *lost
		x.Outcome.Text = "it is reset: " + lost.Text
	}
}

// endOf is the outcome of a connection that meshd cannot pass on to a target; nil: it can. The text says why.
func endOf(t control.Target) *control.Outcome {
	if l := t.Limits; l != nil && l.MaxConnections > 0 && l.Connections >= l.MaxConnections {
		return &control.Outcome{
			Kind: control.OutcomeReset, Reason: string(mesh.ReasonOverload), Text: t.Service + " has as many connections open as its max_connections allows",
		}
	}
	if len(chosen(t)) == 0 {
		return &control.Outcome{Kind: control.OutcomeReset, Reason: string(mesh.ReasonNoEndpoint), Text: t.Name + " has no endpoint that is up"}
	}
	return nil
}
