package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"github.com/meshd/meshd/examples/lab"
)

const usage = `meshlab makes many hosts on one machine, to play with a mesh. It needs root.

  meshlab up DIR                      make the hosts that DIR describes, start meshd and the units on each
  meshlab list                        show the labs of this machine
  meshlab status                      show the hosts of a lab and what runs on them
  meshlab exec HOST [-unit U] -- CMD  run a command on a host, in the cgroup of a unit or of a login session
  meshlab start HOST UNIT             start DIR/units/HOST/UNIT, or meshd.service
  meshlab stop HOST UNIT              stop a unit
  meshlab sync                        copy DIR's configuration to every host again, and reload meshd there
  meshlab logs HOST UNIT              show what a unit has written
  meshlab queries                     show what the resolver of the lab was asked
  meshlab down [-all]                 end a lab and everything in it

When there are several labs, say which one: meshlab -lab NAME VERB ...
The host "outside" is the rest of the world. Each verb explains itself with -h.
`

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
	stdin          io.Reader
	stdout, stderr io.Writer
	lab            string // name of the lab that is meant; empty: the only one
}

// verbs is the command line: what follows the name of the verb is the verb's.
var verbs = map[string]func(*program, context.Context, []string) error{
	"up":      (*program).up,
	"list":    (*program).list,
	"status":  (*program).status,
	"exec":    (*program).exec,
	"start":   (*program).start,
	"stop":    (*program).stop,
	"sync":    (*program).sync,
	"logs":    (*program).logs,
	"queries": (*program).queries,
	"down":    (*program).down,
}

// run does what the arguments say and returns the exit code.
func run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer, args []string) int {
	p := &program{stdin: stdin, stdout: stdout, stderr: stderr}
	flags := flag.NewFlagSet("meshlab", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(flags.Output(), usage) }
	flags.StringVar(&p.lab, "lab", "", "name of the lab")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return exitOK
	} else if err != nil {
		return exitUsage
	}
	verb, ok := verbs[flags.Arg(0)]
	if !ok {
		flags.Usage()
		return exitUsage
	}
	err := verb(p, ctx, flags.Args()[1:])
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && flags.Arg(0) == "exec" {
		return exit.ExitCode()
	}
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errUsage):
		return exitUsage
	}
	fmt.Fprintln(stderr, "meshlab:", err)
	return exitFailure
}

// parse parses the arguments of a verb and returns one value for each name; flags may stand between them. When the
// last name ends in "..." its value is all that is left, flags of a command included.
func (p *program) parse(flags *flag.FlagSet, args []string, names ...string) ([]string, error) {
	flags.SetOutput(p.stderr)
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), "usage: meshlab [-lab NAME] %s %s\n", flags.Name(), strings.Join(names, " "))
		flags.PrintDefaults()
	}
	tail := len(names) > 0 && strings.HasSuffix(names[len(names)-1], "...")
	var values []string
	for {
		if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
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
		flags.Usage()
		return nil, errUsage
	}
	return values, nil
}

// open returns the lab that is meant.
func (p *program) open() (*lab.Lab, error) {
	if p.lab != "" {
		return lab.Open(p.lab)
	}
	names, err := lab.Names()
	if err != nil {
		return nil, err
	}
	switch len(names) {
	case 0:
		return nil, errors.New("there is no lab: make one with meshlab up DIR")
	case 1:
		return lab.Open(names[0])
	}
	return nil, fmt.Errorf("there are several labs: choose one with meshlab -lab %s", strings.Join(names, " | "))
}

// host returns a host of the lab that is meant.
func (p *program) host(name string) (*lab.Host, error) {
	l, err := p.open()
	if err != nil {
		return nil, err
	}
	if host := l.Host(name); host != nil {
		return host, nil
	}
	names := []string{lab.Outside}
	for _, host := range l.Hosts() {
		names = append(names, host.Name())
	}
	return nil, fmt.Errorf("lab %s has no host %s, only %s", l.Name(), name, strings.Join(names, ", "))
}
