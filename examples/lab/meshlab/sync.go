package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"

	"github.com/meshd/meshd/examples/lab"
)

// sync brings a configuration that was edited in the folder of the lab to every host, when it is valid.
func (p *program) sync(ctx context.Context, args []string) error {
	if _, err := p.parse(p.flags(), args); err != nil {
		return err
	}
	l, err := p.open()
	if err != nil {
		return err
	}
	if err := l.Hosts()[0].CheckConfiguration(ctx); err != nil {
		return fmt.Errorf("nothing was changed: %w", err)
	}
	var failed []error
	for _, host := range l.Hosts() {
		if err := host.CopyConfiguration(); err != nil {
			return err
		}
		failed = append(failed, p.reload(ctx, host))
	}
	return errors.Join(failed...)
}

// reload has the meshd of a host, if there is one, apply its configuration.
func (p *program) reload(ctx context.Context, host *lab.Host) error {
	running, err := runs(host, meshdUnit)
	if err != nil {
		return err
	}
	if !running {
		fmt.Fprintf(p.stdout, "%s: copied; meshd does not run there: meshlab start %[1]s %s\n", host.Name(), meshdUnit)
		return nil
	}
	fmt.Fprintf(p.stdout, "%s# meshctl reload\n", host.Name())
	cmd := host.Command(ctx, "", "meshctl", "reload")
	cmd.Stdout, cmd.Stderr = p.stdout, p.stderr
	err = cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		return fmt.Errorf("meshd on host %s was not reloaded, it says why: meshlab logs %[1]s %s", host.Name(), meshdUnit)
	}
	return err
}
