// Package ctl is meshctl: what a person types to see and steer the meshd of a host.
//
// The law of the commands: a noun reads and never changes anything, a verb changes, and the rest works on files without a
// daemon. What is printed is sorted and stable; -o json is for scripts and carries a schema_version.
package ctl

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/meshd/meshd/engine/control"
)

// Env is everything that meshctl takes from the process that it runs in.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Hostname       func() (string, error)
	Now            func() time.Time
	IsTerminal     bool   // Stdout and Stderr are a terminal: tables are fitted to Width, diagnostics may have colour
	Width          int    // columns of the terminal; 0: 80
	Version        string // of this binary, as people should see it

	// Probe checks this host without the daemon; nil: check only asks the daemon.
	Probe func(context.Context) []control.CheckResult
	// Cleanup removes what meshd left behind and reports it line by line, with nothing to report when there is nothing
	// to remove; nil: cleanup fails.
	Cleanup func(context.Context, CleanupOptions) (string, error)
}

// Run runs meshctl with the arguments that follow its name and returns the exit code.
func Run(ctx context.Context, env Env, args []string) int {
	if env.Width <= 0 {
		env.Width = 80
	}
	stdout := &output{Writer: env.Stdout}
	env.Stdout = stdout
	err := dispatch(ctx, env, args)
	if err == nil && stdout.lost != nil {
		err = fmt.Errorf("write output: %w", stdout.lost)
	}
	if _, isPrinted := errors.AsType[printed](err); err != nil && !isPrinted {
		fmt.Fprintln(env.Stderr, "meshctl: "+printable(err.Error()))
	}
	return exitCode(err)
}

// program is meshctl with the flags that several commands have in common.
type program struct {
	Env
	socket string
	json   bool
}

func (p *program) client() *control.Client { return control.NewClient(p.socket) }

// dispatch finds the command and runs it.
func dispatch(ctx context.Context, env Env, args []string) error {
	if len(args) == 0 {
		writeOverview(env.Stderr)
		return printed(ExitUsage)
	}
	name, args := args[0], args[1:]
	switch name {
	case completeWord:
		complete(ctx, env, args)
		return nil
	case "-h", "-help", "--help":
		name = "help"
	case "-version", "--version":
		name = "version"
	}
	if strings.HasPrefix(name, "-") {
		return usageError("flags stand behind the command, as in: meshctl status " + name)
	}
	c, found := lookup(name)
	if !found {
		return unknownCommand(name)
	}
	p := &program{Env: env}
	flags, run := c.prepare(p)
	args, err := parse(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		writeHelp(env.Stdout, c)
		return nil
	case err != nil:
		return usageError(fmt.Sprintf("%s: %v: see meshctl %s -h", name, err, name))
	case len(args) > c.maxArgs && c.maxArgs >= 0:
		return usageError(fmt.Sprintf("%s: unexpected argument %q: see meshctl %s -h", name, args[c.maxArgs], name))
	}
	return run(ctx, args)
}

// parse parses flags wherever they stand: unlike the standard library, people write flags last too.
func parse(flags *flag.FlagSet, args []string) (positional []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		rest := flags.Args()
		if len(rest) == 0 {
			return positional, nil
		}
		if parsed := len(args) - len(rest); parsed > 0 && args[parsed-1] == "--" {
			return append(positional, rest...), nil
		}
		positional, args = append(positional, rest[0]), rest[1:]
	}
}

func lookup(name string) (command, bool) {
	all := commands()
	i := slices.IndexFunc(all, func(c command) bool { return c.name == name })
	if i < 0 {
		return command{}, false
	}
	return all[i], true
}

func unknownCommand(name string) error {
	var names []string
	for _, c := range commands() {
		names = append(names, c.name)
	}
	if near := nearest(name, names); near != "" {
		return usageError(fmt.Sprintf("unknown command %q: did you mean %s?", name, near))
	}
	return usageError(fmt.Sprintf("unknown command %q: meshctl help lists them", name))
}
