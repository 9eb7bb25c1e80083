package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/meshd/meshd/examples/lab"
)

// list shows all labs of the machine.
func (p *program) list(_ context.Context, args []string) error {
	if _, err := p.parse(p.flags(), args); err != nil {
		return err
	}
	labs, err := openAll()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "LAB\tSTATE\tHOSTS\tDIR")
	for _, l := range labs {
		state := "up"
		if !l.Alive() {
			state = "dead"
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\n", l.Name(), state, len(l.Hosts()), l.Dir())
	}
	return table.Flush()
}

// status shows what runs on the hosts of a lab.
func (p *program) status(_ context.Context, args []string) error {
	if _, err := p.parse(p.flags(), args); err != nil {
		return err
	}
	l, err := p.open()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "HOST\tADDRESSES\tUNIT\tPROCESSES")
	for _, host := range append(l.Hosts(), l.Host(lab.Outside)) {
		units, err := host.Units()
		if err != nil {
			return err
		}
		ended, err := host.Ended()
		if err != nil {
			return err
		}
		row := func(unit, processes string) {
			addresses := strings.Trim(fmt.Sprint(host.Addresses()), "[]")
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", host.Name(), addresses, unit, processes)
		}
		for _, unit := range units {
			row(unit.Name, strings.Trim(fmt.Sprint(unit.PIDs), "[]"))
		}
		for _, unit := range ended {
			row(unit.Name, fmt.Sprintf("dead, %s: meshlab logs %s %s", unit.How, host.Name(), unit.Name))
		}
		if len(units)+len(ended) == 0 {
			row("-", "-")
		}
	}
	return table.Flush()
}

// queries shows what the resolver was asked.
func (p *program) queries(_ context.Context, args []string) error {
	if _, err := p.parse(p.flags(), args); err != nil {
		return err
	}
	l, err := p.open()
	if err != nil {
		return err
	}
	queries, err := l.Queries()
	if err != nil {
		return err
	}
	for _, query := range queries {
		fmt.Fprintln(p.stdout, query)
	}
	return nil
}
