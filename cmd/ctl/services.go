package ctl

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/meshd/meshd/engine/control"
)

var servicesCommand = command{
	name:    "services",
	kind:    noun,
	summary: "the services of the mesh, with their virtual addresses",
	help: `
DNS NAME resolves to the virtual addresses IPV4 and IPV6, where callers
connect to PORT, or to the port of one of its LISTENERS. A service that only
calls others has none of these. HOST NAMES outside the mesh resolve to the same
addresses. LOCAL says whether processes of this host can be the service.`,
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
				listeners(s), string(s.Protocol), string(s.Balancing), decimal(s.Endpoints), yes(s.Local), s.DNSName,
				strings.Join(s.Hostnames, ","),
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
	{head: "LISTENERS", drop: 3, optional: true},
	{head: "PROTOCOL", drop: 4},
	{head: "BALANCING", drop: 2},
	{head: "ENDPOINTS", drop: 7},
	{head: "LOCAL", drop: 3},
	{head: "DNS NAME", drop: 5},
	{head: "HOST NAMES", drop: 3, optional: true},
}

// listeners returns the further ports of a service with their names.
func listeners(s control.Service) string {
	var all []string
	for _, l := range s.Listeners {
		all = append(all, l.Name+":"+decimal(l.Port))
	}
	return strings.Join(all, ",")
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
