package ctl

import (
	"context"
	"flag"
	"fmt"
	"io"

	"github.com/meshd/meshd/engine/control"
)

// kind is what a command may do. It is a law: a noun never changes anything, so anybody may type it at any time.
type kind string

const (
	noun    kind = "Nouns read and never change anything:"
	offline kind = "Without a daemon:"
	verb    kind = "Verbs change something:"
)

// command is one word that meshctl knows.
type command struct {
	name    string
	kind    kind
	args    string // as the usage line shows them
	maxArgs int    // -1: any number
	summary string // half a line
	help    string // paragraphs, at most 76 columns wide
	example string

	// setup declares the flags that only this command has, and returns what runs it once they are parsed.
	setup func(p *program, flags *flag.FlagSet) runner
}

type runner func(ctx context.Context, args []string) error

// commands is the whole of meshctl. The order is that of the help.
func commands() []command {
	return []command{
		statusCommand, servicesCommand, endpointsCommand, connectionsCommand, routesCommand, explainCommand, checkCommand, waitCommand, versionCommand,
		validateCommand, fmtCommand, completionCommand, helpCommand(),
		reloadCommand, disableCommand, enableCommand, cleanupCommand,
	}
}

// prepare returns the flags of the command, those that its kind has among them, and what runs it.
func (c command) prepare(p *program) (*flag.FlagSet, runner) {
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	if c.kind == noun {
		flags.Func("o", "print a `FORMAT`: table or json (default table)", func(format string) error {
			if format != "table" && format != "json" {
				return fmt.Errorf("want table or json")
			}
			p.json = format == "json"
			return nil
		})
	}
	if c.kind != offline {
		flags.StringVar(&p.socket, "socket", control.SocketPath, "control socket of meshd, a `PATH` (default "+control.SocketPath+")")
	}
	return flags, c.setup(p, flags)
}

// noFlags is the setup of a command without flags or arguments of its own.
func noFlags(run func(ctx context.Context, p *program) error) func(*program, *flag.FlagSet) runner {
	return func(p *program, _ *flag.FlagSet) runner {
		return func(ctx context.Context, _ []string) error { return run(ctx, p) }
	}
}
