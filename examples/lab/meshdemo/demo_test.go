package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/meshd/meshd/examples/lab"
)

const example = "../../01-two-hosts"

// gone checks that nothing of a lab is left.
func gone(t *testing.T, name string) {
	t.Helper()
	if _, err := lab.Open(name); !errors.Is(err, lab.ErrNotFound) {
		t.Errorf("lab %s is left: %v", name, err)
	}
}

// TestDemo runs every step: each fails unless what it shows is true.
func TestDemo(t *testing.T) {
	name := fmt.Sprint("demo-test-", os.Getpid())
	var shown, complaint bytes.Buffer
	if code := run(t.Context(), &shown, &complaint, []string{"-meshd", lab.Meshd(t), "-dir", example, "-name", name}); code != 0 {
		t.Fatalf("exit code %d\n%s\n%s", code, shown.String(), complaint.String())
	}
	if !strings.HasSuffix(shown.String(), "\ndemo: ok\n") {
		t.Errorf("it does not end well:\n%s", shown.String())
	}
	gone(t, name)
}

// TestInterrupted interrupts the demo as soon as it has shown its first command.
func TestInterrupted(t *testing.T) {
	name := fmt.Sprint("demo-interrupted-", os.Getpid())
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var complaint bytes.Buffer
	shown := writerFunc(func(text []byte) (int, error) {
		if bytes.Contains(text, []byte("systemctl start")) {
			interrupt()
		}
		return len(text), nil
	})
	if code := run(ctx, shown, &complaint, []string{"-meshd", lab.Meshd(t), "-dir", example, "-name", name}); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if got := complaint.String(); got != "demo: interrupted\n" {
		t.Errorf("it says %q", got)
	}
	gone(t, name)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(text []byte) (int, error) { return f(text) }
