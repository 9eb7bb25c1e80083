package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// The exit codes, as those of meshctl. exec returns the code of its command instead.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// errUsage says that the arguments are wrong and that this has been explained.
var errUsage = errors.New("usage")

// program is one run of meshlab.
type program struct {
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer
	verb           verb
	lab            string // name of the lab that is meant; empty: see open
}

// run does what the arguments say and returns the exit code.
func (p *program) run(ctx context.Context, args []string) int {
	flags := flag.NewFlagSet("meshlab", flag.ContinueOnError)
	flags.StringVar(&p.lab, "lab", "", "name of the lab")
	if err := p.parseFlags(flags, args, "meshlab -h"); errors.Is(err, flag.ErrHelp) {
		writeOverview(p.stdout)
		return exitOK
	} else if err != nil {
		return exitUsage
	}
	if flags.NArg() == 0 {
		writeOverview(p.stderr)
		return exitUsage
	}
	var known bool
	if p.verb, known = lookup(flags.Arg(0)); !known {
		fmt.Fprintf(p.stderr, "meshlab: unknown verb %q: it is one of %s; see meshlab -h\n", flags.Arg(0), strings.Join(verbNames(), ", "))
		return exitUsage
	}
	err := p.verb.run(p, ctx, flags.Args()[1:])
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && p.verb.name == "exec" {
		return exit.ExitCode()
	}
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errUsage):
		return exitUsage
	}
	fmt.Fprintln(p.stderr, "meshlab:", err)
	return exitFailure
}

// flags returns the flags of the verb: those that all verbs have.
func (p *program) flags() *flag.FlagSet {
	flags := flag.NewFlagSet(p.verb.name, flag.ContinueOnError)
	if p.verb.ofLab {
		flags.StringVar(&p.lab, "lab", p.lab, "`NAME` of the lab that is meant")
	}
	return flags
}

// parse parses the arguments of the verb and returns one value for each name; flags may stand between them. When the
// last name ends in "..." its value is all that is left, flags of a command included.
func (p *program) parse(flags *flag.FlagSet, args []string, names ...string) ([]string, error) {
	tail := len(names) > 0 && strings.HasSuffix(names[len(names)-1], "...")
	var values []string
	for {
		if err := p.parseFlags(flags, args, p.verb.usage()); errors.Is(err, flag.ErrHelp) {
			p.verb.writeHelp(p.stdout, flags)
			return nil, err
		} else if err != nil {
			return nil, errUsage
		}
		if args = flags.Args(); len(args) == 0 || tail && len(values) == len(names)-1 {
			break
		}
		values, args = append(values, args[0]), args[1:]
	}
	values = append(values, args...)
	if len(values) < len(names) || len(values) > len(names) && !tail {
		fmt.Fprintf(p.stderr, "usage: %s\n", p.verb.usage())
		return nil, errUsage
	}
	return values, nil
}

// parseFlags parses flags and explains what is wrong with them.
func (p *program) parseFlags(flags *flag.FlagSet, args []string, usage string) error {
	flags.SetOutput(io.Discard)
	err := flags.Parse(args)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(p.stderr, "meshlab: %v\nusage: %s\n", err, usage)
	}
	return err
}
