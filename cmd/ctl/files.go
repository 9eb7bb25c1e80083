package ctl

import (
	"flag"
	"fmt"

	"github.com/meshd/meshd/engine/config"
	"github.com/meshd/meshd/engine/explain"
)

// files is the configuration that a command looks at instead of asking the daemon.
type files struct {
	paths      []string
	root, host string
}

// declare declares the flags that name it.
func (f *files) declare(flags *flag.FlagSet) {
	flags.Func("config", "ask this file or folder, a `PATH`, and no daemon; may be repeated", func(path string) error {
		f.paths = append(f.paths, path)
		return nil
	})
	flags.StringVar(&f.root, "root", "", "ask no daemon; look into this `DIR` for what is below /etc/meshd")
	flags.StringVar(&f.host, "host", "", "ask no daemon; answer as on the host of this `NAME`")
}

// given says whether one of the flags was.
func (f *files) given() bool { return len(f.paths) > 0 || f.root != "" || f.host != "" }

// view reads the files. What is wrong with them is shown as by validate.
func (f *files) view(p *program) (explain.View, error) {
	loaded, diagnostics, err := p.load(f.paths, f.root, f.host)
	if err != nil {
		return explain.View{}, err
	}
	if diagnostics.HasErrors() {
		if err := p.writeDiagnostics(diagnostics); err != nil {
			return explain.View{}, err
		}
		return explain.View{}, printed(ExitConfig)
	}
	return explain.Offline(loaded), nil
}

// load reads a configuration as meshd does, for this host or another.
func (p *program) load(paths []string, root, host string) (*config.Config, *config.Diagnostics, error) {
	o := config.Options{Paths: paths, Root: root, Hostname: host, UserID: config.LocalUser}
	if host != "" || root != "" {
		o.UserID = nil // that host has other users
	}
	if o.Hostname == "" {
		var err error
		if o.Hostname, err = p.Hostname(); err != nil {
			return nil, nil, fmt.Errorf("read host name: %w: name the host with -host", err)
		}
	}
	loaded, diagnostics := config.Load(o)
	return loaded, diagnostics, nil
}

func (p *program) writeDiagnostics(d *config.Diagnostics) error {
	if err := d.WriteText(p.Stderr, p.Width, p.IsTerminal && p.Getenv("NO_COLOR") == ""); err != nil {
		return fmt.Errorf("write diagnostics: %w", err)
	}
	return nil
}
