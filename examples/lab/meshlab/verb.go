package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/meshd/meshd/examples/lab"
)

// verb is one word of the command line: what follows it is its own.
type verb struct {
	name    string
	args    string // as a person types them
	summary string
	help    string // more than the summary; may be empty
	ofLab   bool   // it is about a lab that is up
	run     func(*program, context.Context, []string) error
}

// verbs is a function and no variable because the methods use it themselves.
func verbs() []verb {
	return []verb{
		{name: "up", args: "DIR", run: (*program).up,
			summary: "make the hosts that DIR describes, start meshd and the units on each",
			help: `DIR has meshd.hcl and mesh.d/*.hcl, the configuration of all hosts, whose host
blocks say which hosts there are, and units/HOST/*.service. Every host sees DIR
as /srv/lab.`},
		{name: "list", run: (*program).list,
			summary: "show the labs of this machine"},
		{name: "status", ofLab: true, run: (*program).status,
			summary: "show the hosts of a lab, what runs on them and what has ended"},
		{name: "exec", args: "HOST [-unit U] -- CMD", ofLab: true, run: (*program).exec,
			summary: "run a command on a host, in the cgroup of a unit or of a login session",
			help:    "Exits as the command does; with 127 when it was not found."},
		{name: "start", args: "HOST UNIT", ofLab: true, run: (*program).start,
			summary: "start DIR/units/HOST/UNIT, or meshd.service",
			help:    lab.UnitHelp},
		{name: "stop", args: "HOST UNIT", ofLab: true, run: (*program).stop,
			summary: "stop a unit: SIGTERM, and after ten seconds SIGKILL"},
		{name: "sync", ofLab: true, run: (*program).sync,
			summary: "copy DIR's configuration to every host again, and reload meshd there",
			help: `A configuration that is not valid changes nothing. The hosts stay the same: for a
host block that was added or removed take the lab down and up again.`},
		{name: "logs", args: "HOST UNIT", ofLab: true, run: (*program).logs,
			summary: "show what a unit has written since the lab is up"},
		{name: "queries", ofLab: true, run: (*program).queries,
			summary: "show what the resolver of the lab was asked"},
		{name: "down", args: "[-all]", ofLab: true, run: (*program).down,
			summary: "end a lab and everything in it"},
	}
}

func lookup(name string) (verb, bool) {
	all := verbs()
	i := slices.IndexFunc(all, func(v verb) bool { return v.name == name })
	if i < 0 {
		return verb{}, false
	}
	return all[i], true
}

func verbNames() []string {
	var names []string
	for _, v := range verbs() {
		names = append(names, v.name)
	}
	return names
}

// writeOverview writes the help of meshlab as a whole.
func writeOverview(w io.Writer) {
	fmt.Fprint(w, "meshlab makes many hosts on one machine, to play with a mesh. It needs root.\n\n")
	all := verbs()
	longest := 0
	for _, v := range all {
		longest = max(longest, len(v.usage()))
	}
	for _, v := range all {
		fmt.Fprintf(w, "  %-*s  %s\n", longest, v.usage(), v.summary)
	}
	fmt.Fprint(w, `
When there are several labs, the one is meant whose DIR is near the current
folder. Or say which one: with -lab NAME, before or after the verb, or with
MESHLAB=NAME in the environment.

The host "outside" is the rest of the world. What a host writes to files, it alone
sees; but all hosts and the machine see the same processes, so pkill on one host
ends programs on all. Each verb explains itself with -h.
`)
}

func (v verb) usage() string { return strings.TrimSpace("meshlab " + v.name + " " + v.args) }

// writeHelp writes the help of one verb.
func (v verb) writeHelp(w io.Writer, flags *flag.FlagSet) {
	fmt.Fprintf(w, "meshlab %s: %s.\n\nusage: %s\n", v.name, v.summary, v.usage())
	if v.help != "" {
		fmt.Fprintf(w, "\n%s\n", v.help)
	}
	heading := "\nflags:\n"
	flags.VisitAll(func(f *flag.Flag) {
		value, text := flag.UnquoteUsage(f)
		fmt.Fprintf(w, "%s  %s\n      %s\n", heading, strings.TrimSpace("-"+f.Name+" "+value), text)
		heading = ""
	})
}
