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
file and line; then exits with 78. A path is a file or a folder of *.hcl;
without one, /etc/meshd/meshd.hcl and /etc/meshd/conf.d.`,
	example: "meshctl validate /etc/meshd/meshd.hcl -host app-1",
	setup: func(p *program, flags *flag.FlagSet) runner {
		var paths []string
		flags.Func("config", "file or folder, a `PATH`, as meshd takes it; may be repeated", func(path string) error {
			paths = append(paths, path)
			return nil
		})
		host := flags.String("host", "", "validate as the host of this `NAME` (default: this one)")
		return func(_ context.Context, args []string) error {
			return validate(p, append(paths, args...), *host)
		}
	},
}

func validate(p *program, paths []string, host string) error {
	if host == "" {
		var err error
		if host, err = p.Hostname(); err != nil {
			return fmt.Errorf("read host name: %w: name the host with -host", err)
		}
	}
	loaded, diagnostics := config.Load(config.Options{Paths: paths, Hostname: host})
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
	fmt.Fprintf(p.Stdout, "valid: %s, %s, %s\n", count(len(loaded.Files), "file"), count(len(loaded.Catalog.Services), "service"), count(endpoints, "endpoint"))
	return nil
}
