package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"

	"github.com/meshd/meshd/examples/lab"
)

// up makes a lab and leaves it running.
func (p *program) up(ctx context.Context, args []string) error {
	flags := p.flags()
	meshd := flags.String("meshd", "", "the meshd `BINARY`; default: the one beside meshlab, else the one in PATH")
	name := flags.String("name", p.lab, "`NAME` of the lab; default: a name that is not in use")
	noMeshd := flags.Bool("no-meshd", false, "do not start meshd, to see what the applications do without it")
	values, err := p.parse(flags, args, "DIR")
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	if *meshd == "" {
		*meshd, err = findMeshd()
		if err != nil && !*noMeshd {
			return err
		}
	}
	l, err := lab.Up(ctx, lab.Config{Dir: values[0], Meshd: *meshd, Name: *name})
	if err != nil {
		return err
	}
	if err := p.startAll(ctx, l, !*noMeshd); err != nil {
		return errors.Join(err, l.Down())
	}
	if err := l.Detach(); err != nil {
		return errors.Join(err, l.Down())
	}
	first := l.Hosts()[0].Name()
	fmt.Fprintf(p.stdout, "lab %s is up; try next:\n"+
		"  meshlab -lab %[1]s status\n"+
		"  meshlab -lab %[1]s exec %[2]s -- bash\n"+
		"  meshlab -lab %[1]s down\n", l.Name(), first)
	return nil
}

// startAll starts meshd on all hosts and then the units, in the order of a boot.
func (p *program) startAll(ctx context.Context, l *lab.Lab, meshd bool) error {
	for _, host := range l.Hosts() {
		if !meshd {
			break
		}
		if err := p.startUnit(ctx, host, meshdUnit); err != nil {
			return err
		}
	}
	for _, host := range append(l.Hosts(), l.Host(lab.Outside)) {
		units, err := host.UnitFiles()
		if err != nil {
			return err
		}
		for _, unit := range units {
			if err := p.startUnit(ctx, host, unit); err != nil {
				return err
			}
		}
	}
	return nil
}

func findMeshd() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	beside := filepath.Join(filepath.Dir(self), "meshd")
	if _, err := os.Stat(beside); err == nil {
		return beside, nil
	}
	path, err := exec.LookPath("meshd")
	if err != nil {
		return "", errors.New("find meshd: it is neither beside meshlab nor in PATH: use -meshd PATH or -no-meshd")
	}
	return path, nil
}

// down ends a lab, or all of them.
func (p *program) down(_ context.Context, args []string) error {
	flags := p.flags()
	all := flags.Bool("all", false, "end all labs of this machine")
	if _, err := p.parse(flags, args); err != nil {
		return err
	}
	if !*all {
		l, err := p.open()
		if err != nil {
			return err
		}
		return l.Down()
	}
	labs, err := openAll()
	if err != nil {
		return err
	}
	var failed []error
	for _, l := range labs {
		failed = append(failed, l.Down())
	}
	return errors.Join(failed...)
}
