package ctl

import (
	"context"
	"flag"
	"fmt"
)

var endpointsCommand = command{
	name:    "endpoints",
	kind:    noun,
	args:    "[SERVICE]",
	maxArgs: 1,
	summary: "who serves, and how each endpoint is doing",
	help: `
ACTIVE counts the open connections from this host. OK and FAILED count the
connects since the start of meshd. -o json also has weights and tags.`,
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
				fmt.Fprintln(p.Stderr, "no endpoints")
				return nil
			}
			var rows [][]string
			for _, e := range list.Endpoints {
				failure := ""
				if e.LastFailure != nil {
					failure = elapsed(p.Now().Sub(e.LastFailure.At)) + " ago: " + e.LastFailure.Text
				}
				rows = append(rows, []string{e.Service, e.Host, e.Address.String(), decimal(e.Active), decimal(e.Connected), decimal(e.Failed), failure})
			}
			return p.writeTable([]string{"SERVICE", "HOST", "ADDRESS", "ACTIVE", "OK", "FAILED", "LAST FAILURE"}, rows)
		}
	},
}
