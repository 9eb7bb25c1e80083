package ctl

import (
	"context"
	"errors"
	"fmt"

	"github.com/meshd/meshd/engine/control"
)

var reloadCommand = command{
	name:    "reload",
	kind:    verb,
	summary: "apply the configuration files",
	help: `
All or nothing: a configuration that is wrong changes nothing, its mistakes
are shown, and the exit code is 78. One with warnings is applied. Open
connections stay. The same as systemctl reload meshd, which shows the mistakes
in the journal.`,
	example: "meshctl reload",
	setup: noFlags(func(ctx context.Context, p *program) error {
		result, err := p.client().Reload(ctx)
		switch {
		case errors.Is(err, control.ErrNoAnswer), errors.Is(err, context.Canceled):
			return fmt.Errorf("%w; the reload may still go on: meshctl status shows which configuration runs", err)
		case err != nil:
			return err
		}
		if result.Text != "" {
			writeLines(p.Stderr, "", result.Text)
			fmt.Fprintln(p.Stderr)
		}
		switch {
		case !result.OK:
			fmt.Fprintf(p.Stderr, "meshctl: nothing was changed: configuration %s still runs\n", result.Hash)
			return printed(ExitConfig)
		case result.Changed:
			fmt.Fprintf(p.Stdout, "reloaded: configuration %s runs\n", result.Hash)
		default:
			fmt.Fprintf(p.Stdout, "nothing to do: configuration %s runs already\n", result.Hash)
		}
		return nil
	}),
}
