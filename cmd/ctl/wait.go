package ctl

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/meshd/meshd/engine/control"
)

// How long wait pauses between two questions. A meshd that is restarted keeps its socket, where a question waits for it.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
)

var waitCommand = command{
	name:    "wait",
	kind:    noun,
	summary: "return when meshd is ready, or its time is over",
	help: `
Ready is a meshd that captures connections and answers names, as when systemctl
start meshd returns. One that is stopping is waited for until it is back. When
the time is over the exit code is 3. A unit that must not begin without the mesh
needs no command: Requires=meshd-online.target and After=meshd-online.target.`,
	example: "meshctl wait -timeout 30s",
	setup: func(p *program, flags *flag.FlagSet) runner {
		timeout := flags.Duration("timeout", time.Minute, "how long to wait, a `TIME` (default 1m)")
		return func(ctx context.Context, _ []string) error {
			status, err := p.awaitReady(ctx, *timeout)
			switch {
			case err != nil:
				return err
			case p.json:
				return p.writeJSON(status)
			}
			fmt.Fprintln(p.Stdout, printable(fmt.Sprintf("meshd on %s is ready", status.Host)))
			return nil
		}
	},
}

// awaitReady asks until meshd is ready, it denies an answer, or the time is over.
func (p *program) awaitReady(ctx context.Context, timeout time.Duration) (control.Status, error) {
	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	last := fmt.Errorf("%w in time", control.ErrNoAnswer)
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		status, err := p.client().Status(waiting)
		switch {
		case err == nil && status.State != control.StateStarting && status.State != control.StateDraining:
			return status, nil
		case ctx.Err() != nil:
			return status, ctx.Err()
		case waiting.Err() != nil:
			return status, fmt.Errorf("meshd is not ready after %v: %w", timeout, last)
		case err == nil:
			last = fmt.Errorf("%w that it is: it is %s", control.ErrNoAnswer, status.State)
		case !errors.Is(err, control.ErrNotReachable) && !errors.Is(err, control.ErrNoAnswer):
			return status, err
		default:
			last = err
		}
		select {
		case <-waiting.Done():
		case <-time.After(pause):
		}
	}
}
