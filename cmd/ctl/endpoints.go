package ctl

import (
	"context"
	"flag"
	"fmt"
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
All counts are of this host. ACTIVE: connections that are open or being made.
OK and FAILED: connects since meshd learned of the endpoint. After a failed
connect the next endpoint is tried: a caller notices only when none is left.`,
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
					e.Service, e.Host, address(e.Address), decimal(e.Weight), strings.Join(e.Tags, ","),
					decimal(e.Active), decimal(e.Connected), decimal(e.Failed), lastFailure(e, p.Now()),
				})
			}
			return p.writeTable(endpointColumns, rows)
		}
	},
}

var endpointColumns = []column{
	{head: "SERVICE"},
	{head: "HOST", drop: 3},
	{head: "ADDRESS"},
	{head: "WEIGHT", drop: 2},
	{head: "TAGS", drop: 1, optional: true},
	{head: "ACTIVE", drop: 5},
	{head: "OK", drop: 6},
	{head: "FAILED", drop: 7},
	{head: "LAST FAILURE", drop: 4, shorten: true},
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
