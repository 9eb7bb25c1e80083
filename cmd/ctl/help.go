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
	m := c.manual()
	fmt.Fprintf(w, "meshctl %s: %s\n\n", m.Name, m.Summary)
	writeUsage(w, m.Usage)
	if m.Text != "" {
		fmt.Fprintf(w, "\n%s\n", m.Text)
	}
	longest := 0
	for _, f := range m.Flags {
		longest = max(longest, len(f.Usage))
	}
	heading := "\nflags:\n"
	for _, f := range m.Flags {
		fmt.Fprintf(w, "%s  %-*s  %s\n", heading, longest, f.Usage, f.Text)
		heading = ""
	}
	fmt.Fprintf(w, "\nexample: %s\n%s", m.Example, exitCodes)
}

// writeUsage writes a usage line, wrapped between what stands in brackets.
func writeUsage(w io.Writer, usage string) {
	const width, indent = 80, "       "
	line := "usage: "
	for i, part := range strings.SplitAfter(usage, "] ") {
		if i > 0 && len(line)+len(strings.TrimRight(part, " ")) > width {
			fmt.Fprintln(w, strings.TrimRight(line, " "))
			line = indent
		}
		line += part
	}
	fmt.Fprintln(w, line)
}
