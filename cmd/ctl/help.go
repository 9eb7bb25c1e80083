package ctl

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
)

// helpCommand is a function and no variable because it lists the commands, itself among them.
func helpCommand() command {
	return command{
		name:    "help",
		kind:    offline,
		args:    "[COMMAND]",
		maxArgs: 1,
		summary: "this overview, or all about one command",
		example: "meshctl help endpoints",
		setup: func(p *program, _ *flag.FlagSet) runner {
			return func(_ context.Context, args []string) error {
				if len(args) == 0 {
					writeOverview(p.Stdout)
					return nil
				}
				c, found := lookup(args[0])
				if !found {
					return unknownCommand(args[0])
				}
				writeHelp(p.Stdout, c)
				return nil
			}
		},
	}
}

const exitCodes = `exit codes: 0 ok, 1 failure, 2 usage, 3 meshd not reachable or fmt -check
differs, 4 denied, 78 the configuration is wrong
`

// writeOverview writes the help of meshctl as a whole.
func writeOverview(w io.Writer) {
	fmt.Fprint(w, "meshctl shows and steers the meshd of this host.\n\nusage: meshctl COMMAND [FLAG]... [ARGUMENT]...\n")
	var last kind
	for _, c := range commands() {
		if c.kind != last {
			fmt.Fprintf(w, "\n%s\n", c.kind)
			last = c.kind
		}
		fmt.Fprintf(w, "  %-12s %s\n  %-12s   %s\n", c.name, c.summary, "", c.example)
	}
	fmt.Fprint(w, "\nTables are whole in a pipe; a narrow terminal is told which columns it lacks.\n")
	fmt.Fprintf(w, "meshctl COMMAND -h says all about one command.\n%s", exitCodes)
}

// writeHelp writes the help of one command.
func writeHelp(w io.Writer, c command) {
	flags, _ := c.prepare(&program{})
	usage := "usage: meshctl " + c.name
	flags.VisitAll(func(f *flag.Flag) { usage += " [" + flagUsage(f) + "]" })
	if c.args != "" {
		usage += " " + c.args
	}
	fmt.Fprintf(w, "meshctl %s: %s\n\n%s\n", c.name, c.summary, usage)
	if c.help != "" {
		fmt.Fprintf(w, "\n%s\n", strings.TrimSpace(c.help))
	}
	longest := 0
	flags.VisitAll(func(f *flag.Flag) { longest = max(longest, len(flagUsage(f))) })
	heading := "\nflags:\n"
	flags.VisitAll(func(f *flag.Flag) {
		_, text := flag.UnquoteUsage(f)
		fmt.Fprintf(w, "%s  %-*s  %s\n", heading, longest, flagUsage(f), text)
		heading = ""
	})
	fmt.Fprintf(w, "\nexample: %s\n%s", c.example, exitCodes)
}

// flagUsage returns a flag as it is typed, with the name of its value.
func flagUsage(f *flag.Flag) string {
	if value, _ := flag.UnquoteUsage(f); value != "" {
		return "-" + f.Name + " " + value
	}
	return "-" + f.Name
}
