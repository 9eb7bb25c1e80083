package ctl

import (
	"context"
	"fmt"
)

var servicesCommand = command{
	name:    "services",
	kind:    noun,
	summary: "the services of the mesh, with their virtual addresses",
	help: `
LOCAL says whether processes of this host are the service. The table shows
the IPv4 address; -o json shows IPv6 too.`,
	example: "meshctl services",
	setup: noFlags(func(ctx context.Context, p *program) error {
		list, err := p.client().Services(ctx)
		if err != nil {
			return err
		}
		if p.json {
			return p.writeJSON(list)
		}
		if len(list.Services) == 0 {
			fmt.Fprintln(p.Stderr, "no services")
			return nil
		}
		var rows [][]string
		for _, s := range list.Services {
			row := []string{s.Name, "", "", string(s.Protocol), string(s.Balancing), decimal(s.Endpoints), yes(s.Local), s.DNSName}
			if len(s.Addresses) > 0 {
				row[1], row[2] = s.Addresses[0].String(), decimal(s.Port)
			}
			rows = append(rows, row)
		}
		return p.writeTable([]string{"SERVICE", "ADDRESS", "PORT", "PROTOCOL", "BALANCING", "ENDPOINTS", "LOCAL", "NAME"}, rows)
	}),
}
