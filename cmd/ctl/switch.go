package ctl

import (
	"context"
	"errors"
	"fmt"

	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/engine/mesh"
)

var disableCommand = command{
	name:    "disable",
	kind:    verb,
	summary: "take meshd out of the way of new connections",
	help: `
From now on the kernel connects new connections to the mesh straight to a
random endpoint, as with capture.mode = "off": no balancing by load, no next
endpoint when one is down, no metrics of connections. Names still resolve, and
open connections stay. It holds until meshctl enable, also over a reload and a
restart of meshd; a reboot of the host ends it.`,
	example: "meshctl disable",
	setup:   noFlags(func(ctx context.Context, p *program) error { return switchCapture(ctx, p, false) }),
}

var enableCommand = command{
	name:    "enable",
	kind:    verb,
	summary: "end meshctl disable",
	help: `
New connections to the mesh go through meshd again, if capture.mode says so.`,
	example: "meshctl enable",
	setup:   noFlags(func(ctx context.Context, p *program) error { return switchCapture(ctx, p, true) }),
}

func switchCapture(ctx context.Context, p *program, on bool) error {
	result, err := p.client().Switch(ctx, on)
	if err != nil {
		return err
	}
	if result.Error != "" {
		return errors.New(result.Error)
	}
	already := ""
	if !result.Changed {
		already = " already"
	}
	switch {
	case !on:
		fmt.Fprintf(p.Stdout, "disabled%s: new connections go straight to endpoints, until meshctl enable\n", already)
	case result.Capture.Mode == mesh.CaptureOff:
		fmt.Fprintf(p.Stdout, "enabled%s; new connections still go straight to endpoints: capture.mode is \"off\"\n", already)
	case result.Capture.State == control.CaptureDegraded:
		fmt.Fprintf(p.Stdout, "enabled%s; capture does not work as it should: meshctl status\n", already)
	default:
		fmt.Fprintf(p.Stdout, "enabled%s: new connections go through meshd\n", already)
	}
	return nil
}
