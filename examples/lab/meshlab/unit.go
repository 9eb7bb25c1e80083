package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"syscall"
)

// exec runs a command on a host, with the streams of meshlab.
func (p *program) exec(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("exec", flag.ContinueOnError)
	unit := flags.String("unit", "", "run in the cgroup of this `unit`; default: a login session, which is of no service")
	values, err := p.parse(flags, args, "HOST", "CMD...")
	if err != nil {
		return err
	}
	host, err := p.host(values[0])
	if err != nil {
		return err
	}
	cmd := host.Command(ctx, *unit, values[1:]...)
	// The terminal sends an interrupt to the command too, which may go on after it; meshlab stays as long as that.
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 0
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.stdin, p.stdout, p.stderr
	return cmd.Run()
}

// start starts a unit, which may be one whose file was written after the lab was made.
func (p *program) start(ctx context.Context, args []string) error {
	values, err := p.parse(flag.NewFlagSet("start", flag.ContinueOnError), args, "HOST", "UNIT")
	if err != nil {
		return err
	}
	host, err := p.host(values[0])
	if err != nil {
		return err
	}
	if values[1] == "meshd.service" {
		_, err = host.StartMeshd(ctx)
	} else {
		_, err = host.Start(ctx, values[1])
	}
	return err
}

// stop stops a unit.
func (p *program) stop(_ context.Context, args []string) error {
	values, err := p.parse(flag.NewFlagSet("stop", flag.ContinueOnError), args, "HOST", "UNIT")
	if err != nil {
		return err
	}
	host, err := p.host(values[0])
	if err != nil {
		return err
	}
	return host.Stop(values[1])
}

// sync brings a configuration that was edited in the folder of the lab to every host.
func (p *program) sync(ctx context.Context, args []string) error {
	if _, err := p.parse(flag.NewFlagSet("sync", flag.ContinueOnError), args); err != nil {
		return err
	}
	l, err := p.open()
	if err != nil {
		return err
	}
	var failed []error
	for _, host := range l.Hosts() {
		if err := host.CopyConfiguration(); err != nil {
			return err
		}
		fmt.Fprintf(p.stdout, "%s# meshctl reload\n", host.Name())
		reload := host.Command(ctx, "", "meshctl", "reload")
		reload.Stdout, reload.Stderr = p.stdout, p.stderr
		if err := reload.Run(); err != nil {
			failed = append(failed, fmt.Errorf("reload meshd on host %s: %w", host.Name(), err))
		}
	}
	return errors.Join(failed...)
}

// logs shows what a unit has written since the lab is up.
func (p *program) logs(_ context.Context, args []string) error {
	values, err := p.parse(flag.NewFlagSet("logs", flag.ContinueOnError), args, "HOST", "UNIT")
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
