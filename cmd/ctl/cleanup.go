package ctl

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/meshd/meshd/engine/control"
)

// CleanupOptions says what to remove.
type CleanupOptions struct {
	BPFDir string // folder of the pinned programs and maps
	RunDir string // runtime folder of meshd
	DryRun bool   // only report
}

const cleanupEffect = `Without these, names of the mesh no longer resolve and virtual addresses lead
nowhere: applications reach only what they reach without a mesh.
`

var cleanupCommand = command{
	name:    "cleanup",
	kind:    verb,
	summary: "remove everything that meshd put into the kernel of this host",
	help: `
After meshd has stopped or died its programs stay in the kernel, so that
callers of the mesh go on working. This removes them, with the files of the
runtime folder and the names of the mesh in /etc/hosts; configuration and state
stay. It works without meshd, and can be repeated.

` + cleanupEffect + `
Without -yes it only shows what it would remove, and exits with 2; with -yes
it refuses while meshd runs.`,
	example: "meshctl cleanup -yes",
	setup: func(p *program, flags *flag.FlagSet) runner {
		var o CleanupOptions
		flags.StringVar(&o.BPFDir, "bpf-dir", "/sys/fs/bpf/meshd", "pinned programs, a `DIR` (default /sys/fs/bpf/meshd)")
		flags.StringVar(&o.RunDir, "run-dir", "/run/meshd", "runtime files of meshd, a `DIR` (default /run/meshd)")
		confirmed := flags.Bool("yes", false, "remove; without it only show what would be removed")
		return func(ctx context.Context, _ []string) error {
			o.DryRun = !*confirmed
			return cleanup(ctx, p, o)
		}
	},
}

func cleanup(ctx context.Context, p *program, o CleanupOptions) error {
	if p.Cleanup == nil {
		return errors.New("cleanup is not part of this program: use the meshctl of the package")
	}
	if !o.DryRun {
		if err := expectStopped(ctx, p, o); err != nil {
			return err
		}
	}
	report, err := p.Cleanup(ctx, o)
	writeLines(p.Stdout, "", report) // also what was removed before an error
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("clean up: %w: use sudo", err)
	case err != nil:
		return fmt.Errorf("clean up: %w", err)
	}
	if report == "" {
		fmt.Fprintln(p.Stdout, "nothing to remove")
		return nil
	}
	if o.DryRun {
		fmt.Fprint(p.Stdout, "\n"+cleanupEffect)
		return usageError("nothing was removed: systemctl stop meshd, then give the same command with -yes")
	}
	return nil
}

// expectStopped returns an error unless it is sure that no meshd runs.
//
// Whatever answers, even with an error or not in time, is a meshd that runs. Who is denied cannot tell: the file of a
// socket denies as well when nobody listens.
func expectStopped(ctx context.Context, p *program, o CleanupOptions) error {
	if p.socket == control.SocketPath { // as it stands when nobody gave another one
		p.socket = filepath.Join(o.RunDir, filepath.Base(control.SocketPath))
	}
	_, err := p.client().Status(ctx)
	switch {
	case errors.Is(err, control.ErrNotReachable):
		return nil
	case errors.Is(err, control.ErrDenied):
		return err
	}
	return fmt.Errorf("meshd runs and listens on %s: stop it first: systemctl stop meshd", p.socket)
}
