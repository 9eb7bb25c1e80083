package lab

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// New makes a lab for a test. It ends with the test, and when the test failed the logs of all units are shown.
func New(t testing.TB, config Config) *Lab {
	t.Helper()
	l, err := Up(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			l.showLogs(t)
		}
		if err := l.Down(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func (l *Lab) showLogs(t testing.TB) {
	paths, err := filepath.Glob(l.state.path("log", "*", "*.log"))
	if err != nil {
		t.Error(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}
		t.Logf("%s:\n%s", path, text)
	}
	for _, b := range l.booted {
		if b.leader != 0 {
			// The context of the test is over by now.
			text, err := b.Command(context.Background(), "journalctl", "--no-pager", "-o", "short-monotonic", "-n", "400").CombinedOutput()
			t.Logf("journal of %s: %v\n%s", b.Name(), err, text)
		}
	}
}

// Eventually waits, for 20 seconds at most, until a condition holds of which nobody announces when it does.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ticks := time.NewTicker(50 * time.Millisecond)
	defer ticks.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain: %s", what)
		case <-ticks.C:
		}
	}
}
