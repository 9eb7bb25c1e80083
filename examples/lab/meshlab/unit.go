package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/meshd/meshd/examples/lab"
)

// exec runs a command on a host, with the streams of meshlab.
func (p *program) exec(ctx context.Context, args []string) error {
	flags := p.flags()
	unit := flags.String("unit", "", "run in the cgroup of the unit `U`; default: a login session, which is of no service")
	values, err := p.parse(flags, args, "HOST", "CMD...")
	if err != nil {
		return err
	}
	host, err := p.host(values[0])
	if err != nil {
		return err
	}
	if err := p.warnOfUnit(host, *unit); err != nil {
		return err
	}
	cmd := host.Command(ctx, *unit, values[1:]...)
	if *unit == "" {
		cmd.Dir = "/root" // where a login begins
	}
	// The terminal sends an interrupt to the command too, which may go on after it; meshlab stays as long as that.
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 0
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.stdin, p.stdout, p.stderr
	return cmd.Run()
}

// warnOfUnit warns of a unit that the host has not: a mistyped name is that of no service.
func (p *program) warnOfUnit(host *lab.Host, unit string) error {
	files, err := host.UnitFiles()
	if err != nil {
		return err
	}
	if unit == "" || unit == meshdUnit || slices.Contains(files, unit) {
		return nil
	}
	if running, err := runs(host, unit); running || err != nil {
		return err
	}
	fmt.Fprintf(p.stderr, "meshlab: warning: %s has neither a unit file %s nor a unit of that name that runs\n", host.Name(), unit)
	return nil
}

// runs says whether a unit has processes.
func runs(host *lab.Host, unit string) (bool, error) {
	units, err := host.Units()
	return slices.ContainsFunc(units, func(u lab.UnitState) bool { return u.Name == unit }), err
}

// meshdUnit is the unit of meshd, which has no file.
const meshdUnit = "meshd.service"

// start starts a unit, which may be one whose file was written after the lab was made.
func (p *program) start(ctx context.Context, args []string) error {
	values, err := p.parse(p.flags(), args, "HOST", "UNIT")
	if err != nil {
		return err
	}
	host, err := p.host(values[0])
	if err != nil {
		return err
	}
	return p.startUnit(ctx, host, values[1])
}

// startUnit starts a unit of a host and says so.
func (p *program) startUnit(ctx context.Context, host *lab.Host, unit string) (err error) {
	if unit == meshdUnit {
		_, err = host.StartMeshd(ctx)
	} else {
		_, err = host.Start(ctx, unit)
	}
	if err == nil {
		fmt.Fprintf(p.stdout, "%s: started %s\n", host.Name(), unit)
	}
	return err
}

// stop stops a unit.
func (p *program) stop(_ context.Context, args []string) error {
	values, err := p.parse(p.flags(), args, "HOST", "UNIT")
	if err != nil {
		return err
	}
	host, err := p.host(values[0])
	if err != nil {
		return err
	}
	return host.Stop(values[1])
}

// logs shows what a unit has written since the lab is up.
func (p *program) logs(_ context.Context, args []string) error {
	values, err := p.parse(p.flags(), args, "HOST", "UNIT")
	if err != nil {
		return err
	}
	host, err := p.host(values[0])
	if err != nil {
		return err
	}
	f, err := os.Open(host.LogPath(values[1]))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("show log: %s was never started on host %s: see meshlab status", values[1], values[0])
	}
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(p.stdout, f)
	return err
}
