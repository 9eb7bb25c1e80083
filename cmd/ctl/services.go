package ctl

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/meshd/meshd/engine/control"
)

var servicesCommand = command{
	name:    "services",
	kind:    noun,
	summary: "the services of the mesh, with their virtual addresses",
	help: `
DNS NAME resolves to the virtual addresses IPV4 and IPV6, where callers
connect to PORT. A service that only calls others has none of these. LOCAL
says whether processes of this host can be the service.`,
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
			fmt.Fprintln(p.Stderr, "no services: meshctl status shows what is configured")
			return nil
		}
		var rows [][]string
		for _, s := range list.Services {
			port := ""
			if s.Port != 0 {
				port = decimal(s.Port)
			}
			rows = append(rows, []string{
				s.Name, virtual(s, netip.Addr.Is4), virtual(s, netip.Addr.Is6), port,
				string(s.Protocol), string(s.Balancing), decimal(s.Endpoints), yes(s.Local), s.DNSName,
			})
		}
		return p.writeTable(serviceColumns, rows)
	}),
}

var serviceColumns = []column{
	{head: "SERVICE"},
	{head: "IPV4"},
	{head: "IPV6", drop: 1},
	{head: "PORT", drop: 6},
	{head: "PROTOCOL", drop: 4},
	{head: "BALANCING", drop: 2},
	{head: "ENDPOINTS", drop: 7},
	{head: "LOCAL", drop: 3},
	{head: "DNS NAME", drop: 5},
}

// virtual returns the virtual address of one family, empty when the service has none.
func virtual(s control.Service, isOf func(netip.Addr) bool) string {
	for _, a := range s.Addresses {
		if isOf(a) {
			return a.String()
		}
	}
	return ""
}
