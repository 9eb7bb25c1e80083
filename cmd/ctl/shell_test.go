package ctl

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshd/meshd/engine/control"
)

// asMeshctl makes the program of these tests meshctl itself, for shells to call.
const asMeshctl = "TEST_AS_MESHCTL"

func TestMain(m *testing.M) {
	if os.Getenv(asMeshctl) != "" {
		os.Exit(Run(context.Background(), Env{Stdout: os.Stdout, Stderr: os.Stderr}, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// TestShells: each shell, with the script that meshctl gives it, offers what meshctl says.
func TestShells(t *testing.T) {
	folder := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(folder, "meshctl")); err != nil {
		t.Fatal(err)
	}
	socket := serveServices(t, folder)

	// The completion of zsh works only while a person types: here on a terminal of zsh's own, where ^B and ^E frame what is shown.
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("FILES", "")
	write(".zshrc", `PS1=; unset zle_bracketed_paste
autoload -Uz compinit && compinit -D -u
zstyle ':completion:*' verbose false
source <(meshctl completion zsh)
started() { print STARTED }; zle -N zle-line-init started
from() { zle -I; print FROM }; zle -N from; bindkey ^B from
to() { zle -I; print TO }; zle -N to; bindkey ^E to
bindkey ^I list-choices
`)
	zsh := `zmodload zsh/zpty
zpty terminal zsh -d -i
zpty -r -m terminal shown '*STARTED*'
zpty -w -n terminal "$*"$'\x02\t\x05'
zpty -r -m terminal shown '*FROM*TO*'
shown=${${shown#*FROM}%TO*}
print -r -- ${shown//"$*"}`
	bash := `compopt() { echo FILES; }
source <(meshctl completion bash)
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _meshctl; ((${#COMPREPLY[@]} == 0)) || printf '%s\n' "${COMPREPLY[@]}"`
	fish := `meshctl completion fish | source
function __fish_complete_path; echo FILES; end
complete -C "$argv" | string replace -r '\t.*' ''; or true`

	shells := map[string][]string{
		"bash": {"bash", "--norc", "-c", bash, "bash"},
		"zsh":  {"zsh", "-f", "-c", zsh, "zsh"},
		"fish": {"fish", "--no-config", "-c", fish},
	}
	tests := []struct {
		name  string
		typed []string
		want  string
	}{
		{"commands", []string{"meshctl", "en"}, "enable endpoints"},
		{"flags", []string{"meshctl", "fmt", "-"}, "-check -diff -w"},
		{"services", []string{"meshctl", "endpoints", "-socket", socket, "b"}, "billing books"},
		{"all services", []string{"meshctl", "endpoints", "-socket", socket, ""}, "billing books web"},
		{"files", []string{"meshctl", "validate", "F"}, "FILES"},
		{"nothing", []string{"meshctl", "status", ""}, ""},
	}
	for shell, args := range shells {
		for _, test := range tests {
			t.Run(shell+"/"+test.name, func(t *testing.T) {
				typed := test.typed
				if shell == "fish" {
					typed = []string{strings.Join(typed, " ")}
				}
				cmd := exec.CommandContext(t.Context(), args[0], append(args[1:], typed...)...)
				cmd.Dir = folder
				cmd.Env = append(os.Environ(), asMeshctl+"=1", "PATH="+folder+":"+os.Getenv("PATH"), "HOME="+folder, "ZDOTDIR="+folder, "TERM=dumb")
				out, err := cmd.Output()
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.want, strings.Join(strings.Fields(string(out)), " ")); diff != "" {
					t.Errorf("what %s offers (-want +got):\n%s", shell, diff)
				}
			})
		}
	}
}

// serveServices serves a meshd with some services, and returns its socket.
func serveServices(t *testing.T, folder string) string {
	t.Helper()
	var d fakeDaemon
	if err := json.Unmarshal([]byte(`[{"name": "billing"}, {"name": "books"}, {"name": "web"}]`), &d.Answers.Services); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- control.New(&d, control.Config{Log: slog.New(slog.DiscardHandler)}).Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return path
}
