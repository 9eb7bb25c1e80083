package ctl

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/meshd/meshd/engine/control"
)

var endpointsCommand = command{
	name:    "endpoints",
	kind:    noun,
	args:    "[SERVICE]",
	maxArgs: 1,
	summary: "who serves, and how each endpoint is doing",
	help: `
All counts are of this host. ACTIVE: connections that are open or being made,
with HTTP requests under way. OK and FAILED: connects since meshd learned of the
endpoint. After a failed connect the next endpoint is tried: a caller notices
only when none is left.

STATE: up; down, when its check fails; ejected for as long as it says, when five
connections in a row failed or were reset, or as outlier_detection says. For one
SERVICE the changes of it follow, the last eight of each endpoint.`,
	example: "meshctl endpoints billing",
	setup: func(p *program, _ *flag.FlagSet) runner {
		return func(ctx context.Context, args []string) error {
			list, err := p.client().Endpoints(ctx, append(args, "")[0])
			if err != nil {
				return err
			}
			if p.json {
				return p.writeJSON(list)
			}
			if len(list.Endpoints) == 0 {
				none := "no endpoints: meshctl status shows what is configured"
				if len(args) > 0 {
					none = args[0] + " has no endpoints"
				}
				fmt.Fprintln(p.Stderr, none)
				return nil
			}
			var rows [][]string
			for _, e := range list.Endpoints {
				rows = append(rows, []string{
					e.Service, cmp.Or(e.Host, e.Hostname), address(e.Address), stateOf(e, p.Now()), decimal(e.Weight), strings.Join(e.Tags, ","),
					decimal(e.Active), decimal(e.Connected), decimal(e.Failed), lastFailure(e, p.Now()),
				})
			}
			if err := p.writeTable(endpointColumns, rows); err != nil || len(args) == 0 {
				return err
			}
			return p.writeHistory(list.Endpoints)
		}
	},
}

var endpointColumns = []column{
	{head: "SERVICE"},
	{head: "HOST", drop: 3},
	{head: "ADDRESS"},
	{head: "STATE"},
	{head: "WEIGHT", drop: 2},
	{head: "TAGS", drop: 1, optional: true},
	{head: "ACTIVE", drop: 5},
	{head: "OK", drop: 6},
	{head: "FAILED", drop: 7},
	{head: "LAST FAILURE", drop: 4, shorten: true},
}

// stateOf returns how an endpoint stands, and for how long when that is known.
func stateOf(e control.Endpoint, now time.Time) string {
	if e.EjectedUntil == nil {
		return string(e.State)
	}
	return string(e.State) + " " + elapsed(e.EjectedUntil.Sub(now))
}

var historyColumns = []column{
	{head: "WHEN"},
	{head: "ADDRESS"},
	{head: "STATE"},
	{head: "REASON", shorten: true},
}

// writeHistory writes the changes of all endpoints, the latest last as in a log; nothing when there were none.
func (p *program) writeHistory(endpoints []control.Endpoint) error {
	type change struct {
		control.Transition
		of netip.AddrPort
	}
	var changes []change
	for _, e := range endpoints {
		for _, t := range e.History {
			changes = append(changes, change{t, e.Address})
		}
	}
	if len(changes) == 0 {
		return nil
	}
	slices.SortStableFunc(changes, func(a, b change) int { return a.At.Compare(b.At) })
	var rows [][]string
	for _, c := range changes {
		rows = append(rows, []string{elapsed(p.Now().Sub(c.At)) + " ago", address(c.of), string(c.State), c.Reason})
	}
	fmt.Fprintln(p.Stdout)
	return p.writeTable(historyColumns, rows)
}

// lastFailure returns when and why a connect failed last, without the address: it stands in the same row, and would
// push the cause out of a narrow terminal.
func lastFailure(e control.Endpoint, now time.Time) string {
	if e.LastFailure == nil {
		return ""
	}
	cause := e.LastFailure.Text
	if _, rest, found := strings.Cut(cause, e.Address.String()+": "); found {
		cause = rest
	}
	return elapsed(now.Sub(e.LastFailure.At)) + " ago: " + cause
}
