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
PID, UID and UNIT are those of the application, and SOURCE is the service
that it is, or its host. DIALLED is the address that it asked for; ENDPOINT
is the one that it got, or that is being tried; with HTTP, that of the last
request. SENT and RECEIVED are seen from the application. STATE is connecting,
open, or half-closed: one side has finished sending. -o json also has the
addresses of client and endpoint.`,
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
				none := "no captured connections are open"
				if *service != "" {
					none += " to " + *service
				}
				fmt.Fprintln(p.Stderr, none)
				return nil
			}
			var rows [][]string
			for _, c := range list.Connections {
				rows = append(rows, []string{
					elapsed(p.Now().Sub(c.OpenedAt)), decimal(c.PID), decimal(c.UID), c.Unit,
					c.Source, c.Destination, address(c.OriginalDestination), c.Endpoint,
					size(c.Sent), size(c.Received), string(c.State),
				})
			}
			if err := p.writeTable(connectionColumns, rows); err != nil {
				return err
			}
			if more := list.Total - len(list.Connections); more > 0 {
				fmt.Fprintf(p.Stderr, "and %d more, all younger: name a service with -service\n", more)
			}
			return nil
		}
	},
}

var connectionColumns = []column{
	{head: "AGE", drop: 6},
	{head: "PID", drop: 7},
	{head: "UID", drop: 1},
	{head: "UNIT", drop: 3, shorten: true},
	{head: "SOURCE"},
	{head: "DESTINATION"},
	{head: "DIALLED", drop: 2},
	{head: "ENDPOINT", drop: 9},
	{head: "SENT", drop: 4},
	{head: "RECEIVED", drop: 5},
	{head: "STATE", drop: 8},
}
