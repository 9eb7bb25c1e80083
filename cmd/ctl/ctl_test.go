package ctl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/control"
)

func testEnv() (Env, *bytes.Buffer, *bytes.Buffer) {
	var stdout, stderr bytes.Buffer
	return Env{
		Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr,
		Getenv:   func(string) string { return "" },
		Hostname: func() (string, error) { return "app-1", nil },
		Now:      func() time.Time { return noon },
	}, &stdout, &stderr
}

// TestNounsOnlyRead holds meshctl to its law: whatever a noun asks, it asks with GET.
func TestNounsOnlyRead(t *testing.T) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var methods []string
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		methods = append(methods, r.Method)
		fmt.Fprint(w, "{}")
	})}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	defer func() { srv.Close(); <-ended }()

	asked := func() []string { // and forget it
		mu.Lock()
		defer mu.Unlock()
		defer func() { methods = nil }()
		return methods
	}
	for _, c := range commands() {
		if c.kind == verb || c.kind == offline {
			continue
		}
		env, _, stderr := testEnv()
		args := []string{c.name, "-socket", l.Addr().String()}
		if c.name == "explain" {
			args = append(args, "web", "billing")
		}
		if code := Run(t.Context(), env, args); code != ExitOK {
			t.Errorf("%s: exit code %d: %s", c.name, code, stderr)
		}
		if got := asked(); len(got) == 0 || slices.ContainsFunc(got, func(m string) bool { return m != "GET" }) {
			t.Errorf("%s: asked with %q", c.name, got)
		}
	}
}

func TestHelpFitsATerminal(t *testing.T) {
	texts := [][]string{{"help"}}
	for _, c := range commands() {
		texts = append(texts, []string{"help", c.name})
	}
	for _, args := range texts {
		env, stdout, _ := testEnv()
		if code := Run(t.Context(), env, args); code != ExitOK {
			t.Errorf("%q: exit code %d", args, code)
		}
		for line := range strings.Lines(stdout.String()) {
			if len(line) > 81 || strings.HasSuffix(line, " \n") {
				t.Errorf("%q: line is too long or ends in a blank: %q", args, line)
			}
		}
	}
}

// full is a device without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestLostOutputIsAFailure(t *testing.T) {
	env, _, stderr := testEnv()
	env.Stdout = full{}
	if code := Run(t.Context(), env, []string{"help"}); code != ExitFailure || !strings.Contains(stderr.String(), "no space left") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestInterruptedReloadSaysThatItMayGoOn(t *testing.T) {
	silent, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	env, stdout, stderr := testEnv()
	code := Run(ctx, env, []string{"reload", "-socket", silent.Addr().String()})
	if code != ExitFailure || stdout.Len() > 0 || !strings.Contains(stderr.String(), "interrupted") || !strings.Contains(stderr.String(), "may still go on") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
}

func TestExitCode(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("x"), 1},
		{usageError("x"), 2},
		{fmt.Errorf("x: %w", control.ErrNotReachable), 3},
		{fmt.Errorf("x: %w", control.ErrNoAnswer), 3},
		{&control.Error{Status: http.StatusForbidden}, 4},
		{fmt.Errorf("x: %w", fs.ErrPermission), 4},
		{printed(78), 78},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("exitCode(%v) = %d, want %d", c.err, got, c.want)
		}
	}
}

func TestNumbersForPeople(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0ms", 999 * time.Millisecond: "999ms", 1500 * time.Millisecond: "1s", 59*time.Minute + 59*time.Second: "59m",
		2 * time.Hour: "2h", 2*time.Hour + 13*time.Minute: "2h13m", 24 * time.Hour: "1d", 76 * time.Hour: "3d4h",
	} {
		if got := elapsed(d); got != want {
			t.Errorf("elapsed(%d) = %s, want %s", d, got, want)
		}
	}
	for n, want := range map[uint64]string{
		0: "0B", 1023: "1023B", 1024: "1.0KiB", 10188: "9.9KiB", 10189: "10KiB", 1 << 20: "1.0MiB", 1<<64 - 1: "16EiB",
	} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %s, want %s", n, got, want)
		}
	}
	for n, want := range map[int]string{0: "0 queries", 1: "1 query"} {
		if got := count(n, "query"); got != want {
			t.Errorf("count(%d) = %s, want %s", n, got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"status", "services", "check", "fmt"}
	for word, want := range map[string]string{
		"statsu": "status", "service": "services", "serv": "services", "chek": "check", "format": "", "fm": "fmt", "x": "", "": "",
	} {
		if got := nearest(word, names); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestWrap(t *testing.T) {
	for text, want := range map[string][]string{
		"":                        {""},
		"one two":                 {"one two"},
		"one two three":           {"one two", "three"},
		"a/very/long/path":        {"a/very/long/path"},
		"x a/very/long/path y\nz": {"x", "a/very/long/path", "y z"},
	} {
		if got := wrap(text, 8); !slices.Equal(got, want) {
			t.Errorf("wrap(%q) = %q, want %q", text, got, want)
		}
	}
}
