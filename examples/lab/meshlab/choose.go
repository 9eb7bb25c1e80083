package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/meshd/meshd/examples/lab"
)

// open returns the lab that is meant: the one that was named, else the only one, else the only one whose folder is near
// the current one.
func (p *program) open() (*lab.Lab, error) {
	name := p.lab
	if name == "" {
		name = p.getenv("MESHLAB")
	}
	if name != "" {
		return lab.Open(name)
	}
	labs, err := openAll()
	if err != nil {
		return nil, err
	}
	if len(labs) == 0 {
		return nil, errors.New("there is no lab: make one with meshlab up DIR")
	}
	folder, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	var choice strings.Builder
	var near []*lab.Lab
	for _, l := range labs {
		if within(l.Dir(), folder) || within(folder, l.Dir()) {
			near = append(near, l)
		}
		fmt.Fprintf(&choice, "\n  -lab %s  (%s)", l.Name(), l.Dir())
	}
	switch {
	case len(labs) == 1:
		return labs[0], nil
	case len(near) == 1:
		return near[0], nil
	}
	return nil, fmt.Errorf("there are several labs: say which one with%s", choice.String())
}

// openAll returns all labs of the machine, sorted by name.
func openAll() ([]*lab.Lab, error) {
	names, err := lab.Names()
	if err != nil {
		return nil, err
	}
	var labs []*lab.Lab
	for _, name := range names {
		l, err := lab.Open(name)
		if errors.Is(err, lab.ErrNotFound) {
			continue // ended meanwhile
		}
		if err != nil {
			return nil, err
		}
		labs = append(labs, l)
	}
	return labs, nil
}

// within says whether a folder is another one or below it.
func within(folder, other string) bool {
	relative, err := filepath.Rel(other, folder)
	return err == nil && filepath.IsLocal(relative)
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
