package ctl

import (
	"context"
	"flag"
	"fmt"

	"github.com/meshd/meshd/engine/config"
)

var validateCommand = command{
	name:    "validate",
	kind:    offline,
	args:    "[PATH]...",
	maxArgs: -1,
	summary: "whether the configuration is right, before meshd sees it",
	help: `
Runs what meshd runs at start and at reload, and shows every mistake with its
file and line; then exits with 78. A warning alone is no mistake. A path is a
file or a folder of *.hcl; without one, /etc/meshd/meshd.hcl and
/etc/meshd/conf.d.

With -root a folder stands for /etc/meshd, also where the files name it: so a
copy of another host's /etc/meshd can be checked on any machine. my-mesh in
the example has meshd.hcl and mesh.d, and may have conf.d.`,
	example: "meshctl validate -root my-mesh -host app-1",
	setup: func(p *program, flags *flag.FlagSet) runner {
		var paths []string
		flags.Func("config", "file or folder, a `PATH`, as meshd takes it; may be repeated", func(path string) error {
			paths = append(paths, path)
			return nil
		})
		root := flags.String("root", "", "look into this `DIR` for what is below /etc/meshd")
		host := flags.String("host", "", "validate as the host of this `NAME` (default: this one)")
		return func(_ context.Context, args []string) error {
			o := config.Options{Paths: append(paths, args...), Root: *root, Hostname: *host, UserID: config.LocalUser}
			if *host != "" || *root != "" {
				o.UserID = nil // that host has other users
			}
			return validate(p, o)
		}
	},
}

func validate(p *program, o config.Options) error {
	if o.Hostname == "" {
		var err error
		if o.Hostname, err = p.Hostname(); err != nil {
			return fmt.Errorf("read host name: %w: name the host with -host", err)
		}
	}
	loaded, diagnostics := config.Load(o)
	if diagnostics.Len() > 0 {
		if err := diagnostics.WriteText(p.Stderr, p.Width, p.IsTerminal && p.Getenv("NO_COLOR") == ""); err != nil {
			return fmt.Errorf("write diagnostics: %w", err)
		}
	}
	if diagnostics.HasErrors() {
		return printed(ExitConfig)
	}
	endpoints := 0
	for _, s := range loaded.Catalog.Services {
		endpoints += len(s.Endpoints)
	}
	summary := fmt.Sprintf("valid: %s, %s, %s", count(len(loaded.Files), "file"), count(len(loaded.Catalog.Services), "service"), count(endpoints, "endpoint"))
	if warnings := diagnostics.Len(); warnings > 0 {
		summary += ", " + count(warnings, "warning")
	}
	fmt.Fprintln(p.Stdout, summary)
	return nil
}
