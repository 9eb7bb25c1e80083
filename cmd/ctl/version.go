package ctl

import (
	"context"
	"fmt"

	"github.com/meshd/meshd/engine/control"
)

// versions is the JSON of the version noun.
type versions struct {
	SchemaVersion int    `json:"schema_version"`
	Meshctl       string `json:"meshctl"`
	Meshd         string `json:"meshd"` // empty: it did not answer
}

var versionCommand = command{
	name:    "version",
	kind:    noun,
	summary: "the version of meshctl, and of the meshd that runs",
	help: `
They differ between an upgrade of the files and the restart of meshd. When
meshd does not answer, its version is shown as - and the exit code is still 0.`,
	example: "meshctl version",
	setup: noFlags(func(ctx context.Context, p *program) error {
		status, err := p.client().Status(ctx)
		v := versions{SchemaVersion: control.SchemaVersion, Meshctl: p.Version, Meshd: status.Version}
		if p.json {
			return p.writeJSON(v)
		}
		fmt.Fprintln(p.Stdout, "meshctl", v.Meshctl)
		if err != nil {
			fmt.Fprintln(p.Stdout, "meshd   -")
			fmt.Fprintln(p.Stderr, "meshctl: "+printable(err.Error()))
			return nil
		}
		fmt.Fprintln(p.Stdout, "meshd  ", printable(v.Meshd))
		return nil
	}),
}
