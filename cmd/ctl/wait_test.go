package ctl

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"testing"

	"github.com/meshd/meshd/engine/control"
)

func TestWaitReturnsWhenMeshdIsThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meshd.sock")
	env, stdout, stderr := testEnv()
	waited := make(chan int)
	go func() { waited <- Run(t.Context(), env, []string{"wait", "-socket", path}) }()

	var d fakeDaemon
	d.Answers.Status = control.Status{Host: "app-1", State: control.StateReady}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() {
		served <- control.New(&d, control.Config{Log: slog.New(slog.DiscardHandler)}).Serve(ctx, l)
	}()
	if code := <-waited; code != ExitOK {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if got, want := stdout.String(), "meshd on app-1 is ready\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
