package ctl

import (
	"context"
	"flag"
	"fmt"
)

var connectionsCommand = command{
	name:    "connections",
	kind:    noun,
	summary: "the captured connections that are open, the oldest first",
	help: `
SENT and RECEIVED are seen from the application. -o json also has the
client's address, the address it dialled, its unit and its user.`,
	example: "meshctl connections -service billing",
	setup: func(p *program, flags *flag.FlagSet) runner {
		service := flags.String("service", "", "only connections to this service, a `NAME`")
		return func(ctx context.Context, _ []string) error {
			list, err := p.client().Connections(ctx, *service)
			if err != nil {
				return err
			}
			if p.json {
				return p.writeJSON(list)
			}
			if len(list.Connections) == 0 {
				fmt.Fprintln(p.Stderr, "no open connections")
				return nil
			}
			var rows [][]string
			for _, c := range list.Connections {
				rows = append(rows, []string{
					elapsed(p.Now().Sub(c.OpenedAt)), c.Source, decimal(c.PID), c.Destination, c.Endpoint,
					size(c.Sent), size(c.Received), string(c.State),
				})
			}
			if err := p.writeTable([]string{"AGE", "SOURCE", "PID", "SERVICE", "ENDPOINT", "SENT", "RECEIVED", "STATE"}, rows); err != nil {
				return err
			}
			if more := list.Total - len(list.Connections); more > 0 {
				fmt.Fprintf(p.Stderr, "and %d more: name a service with -service\n", more)
			}
			return nil
		}
	},
}
