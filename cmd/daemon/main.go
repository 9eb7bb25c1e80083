package daemon

import (
	"context"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/meshd/meshd/cmd/ctl"
	"github.com/meshd/meshd/engine/control"
)

// Env is everything that meshd takes from the process that it runs in.
type Env struct {
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Hostname       func() (string, error)
}

// Main is the whole program: meshctl or meshd by the name it was called by.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if filepath.Base(args[0]) == "meshctl" || len(args) > 1 && args[1] == "validate" {
		return ctl.Run(ctx, meshctlEnv(), args[1:])
	}
	// A second signal ends meshd at once, without draining: by then the first has restored the default.
	context.AfterFunc(ctx, stop)
	return Run(ctx, Env{Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Hostname: os.Hostname}, args[1:])
}

func meshctlEnv() ctl.Env {
	env := ctl.Env{
		Stdin:    os.Stdin,
		Stdout:   os.Stdout,
		Stderr:   os.Stderr,
		Getenv:   os.Getenv,
		Hostname: os.Hostname,
		Now:      time.Now,
		Version:  build().String(),
		Probe:    func(context.Context) []control.CheckResult { return checkHost() },
		Cleanup:  cleanUp,
	}
	if width, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil {
		env.IsTerminal, env.Width = term.IsTerminal(int(os.Stderr.Fd())), width
	}
	return env
}
