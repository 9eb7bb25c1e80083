package ctl

import (
	"context"
	"flag"
	"fmt"
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
			return validate(p, append(paths, args...), *root, *host)
		}
	},
}

func validate(p *program, paths []string, root, host string) error {
	loaded, diagnostics, err := p.load(paths, root, host)
	if err != nil {
		return err
	}
	if diagnostics.Len() > 0 {
		if err := p.writeDiagnostics(diagnostics); err != nil {
			return err
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
