package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/meshd/meshd/examples/lab"
)

// list shows all labs of the machine.
func (p *program) list(_ context.Context, args []string) error {
	if _, err := p.parse(flag.NewFlagSet("list", flag.ContinueOnError), args); err != nil {
		return err
	}
	names, err := lab.Names()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "LAB\tSTATE\tHOSTS\tDIR")
	for _, name := range names {
		l, err := lab.Open(name)
		if errors.Is(err, lab.ErrNotFound) {
			continue // ended meanwhile
		}
		if err != nil {
			return err
		}
		state := "up"
		if !l.Alive() {
			state = "dead"
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\n", name, state, len(l.Hosts()), l.Dir())
	}
	return table.Flush()
}

// status shows what runs on the hosts of a lab.
func (p *program) status(_ context.Context, args []string) error {
	if _, err := p.parse(flag.NewFlagSet("status", flag.ContinueOnError), args); err != nil {
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
		addresses := strings.Trim(fmt.Sprint(host.Addresses()), "[]")
		if len(units) == 0 {
			fmt.Fprintf(table, "%s\t%s\t-\t-\n", host.Name(), addresses)
		}
		for _, unit := range units {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", host.Name(), addresses, unit.Name, strings.Trim(fmt.Sprint(unit.PIDs), "[]"))
		}
	}
	return table.Flush()
}

// queries shows what the resolver was asked.
func (p *program) queries(_ context.Context, args []string) error {
	if _, err := p.parse(flag.NewFlagSet("queries", flag.ContinueOnError), args); err != nil {
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
