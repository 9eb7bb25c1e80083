// Command meshdemo shows on two hosts of a lab what meshd does, step by step, each with the command that a person would
// type.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/meshd/meshd/examples/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Stdout, os.Stderr, os.Args[1:]))
}

// run brings up the lab, shows every step and takes the lab down again, also when a step fails or ctx ends.
func run(ctx context.Context, stdout, stderr io.Writer, args []string) (code int) {
	flags := flag.NewFlagSet("meshdemo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	meshd := flags.String("meshd", "bin/meshd", "the meshd `BINARY` to show")
	dir := flags.String("dir", "examples/01-two-hosts", "`FOLDER` that describes the hosts")
	name := flags.String("name", "", "`NAME` of the lab (default one that is not in use)")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "demo: unexpected argument %q: see -h\n", flags.Arg(0))
		return 2
	}
	hosts, err := lab.Up(ctx, lab.Config{Dir: *dir, Meshd: *meshd, Name: *name})
	if err != nil {
		fmt.Fprintln(stderr, "demo:", err)
		return 1
	}
	defer func() {
		if err := hosts.Down(); err != nil {
			fmt.Fprintln(stderr, "demo:", err)
			code = 1
		}
	}()
	d := &demo{ctx: ctx, lab: hosts, out: stdout, units: map[string]*lab.Unit{}}
	for _, s := range steps {
		fmt.Fprintf(stdout, "\n=== %s\n", s.title)
		err := s.run(d)
		if ctx.Err() != nil {
			fmt.Fprintln(stderr, "demo: interrupted")
			return 1
		}
		if err != nil {
			fmt.Fprintf(stderr, "demo: %s: %v\n", s.title, err)
			return 1
		}
	}
	fmt.Fprintln(stdout, "\ndemo: ok")
	return 0
}
