package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// callAsChild is the variable that makes the test binary a tool that calls the socket named in it.
const callAsChild = "MESHD_TEST_CALL"

// callAndReport calls once and prints what came of it: ok, or the error.
func callAndReport(socket string) int {
	_, err := NewClient(socket).Status(context.Background())
	switch {
	case errors.Is(err, ErrDenied):
		fmt.Println("denied:", err)
	case err != nil:
		fmt.Println("error:", err)
	default:
		fmt.Println("ok")
	}
	return 0
}

// callAs calls the socket from a process with other credentials.
func callAs(t *testing.T, socket string, credential *syscall.Credential) string {
	t.Helper()
	// By this name the program is found even where its folder is closed to others.
	child := exec.CommandContext(t.Context(), "/proc/self/exe")
	child.Env = []string{callAsChild + "=" + socket, "GORACE=atexit_sleep_ms=0"}
	child.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("run child: %v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestPermission(t *testing.T) {
	const group, nobody = 4242, 65534
	many := []uint32{}
	for id := range uint32(200) {
		many = append(many, 10_000+id)
	}
	type caller struct {
		name       string
		group      int
		credential *syscall.Credential
		want       string
	}
	cases := []caller{{"own user", -1, nil, "ok"}}
	if os.Geteuid() == 0 { // only root can be somebody else
		as := func(uid, gid uint32, groups ...uint32) *syscall.Credential {
			return &syscall.Credential{Uid: uid, Gid: gid, Groups: groups}
		}
		cases = append(cases,
			caller{"stranger", group, as(nobody, nobody), "denied: access denied to uid 65534"},
			caller{"stranger is told how", group, as(nobody, nobody), "usermod -aG meshd"},
			caller{"without a group", -1, as(nobody, group), "for root only: use sudo"},
			caller{"zero is no group", 0, as(nobody, 0), "denied"},
			caller{"own group", group, as(nobody, group), "ok"},
			caller{"supplementary group", group, as(nobody, nobody, 7, group), "ok"},
			caller{"last of many groups", group, as(nobody, nobody, append(many, group)...), "ok"},
			caller{"many other groups", group, as(nobody, nobody, many...), "denied"},
		)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			socket, _ := serve(t, &fakeBackend{}, Config{Group: c.group})
			if got := callAs(t, socket, c.credential); !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if os.Geteuid() == 0 {
		t.Run("closed socket", func(t *testing.T) {
			socket, _ := serve(t, &fakeBackend{}, Config{})
			if err := os.Chmod(socket, 0o600); err != nil {
				t.Fatal(err)
			}
			got := callAs(t, socket, &syscall.Credential{Uid: nobody, Gid: nobody})
			if !strings.HasPrefix(got, "denied: access to meshd denied") {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestRule(t *testing.T) {
	r := rule{uid: 990, group: 980}
	for _, c := range []struct {
		peer peer
		want bool
	}{
		{peer{uid: 0, groups: []uint32{0}}, true},
		{peer{uid: 990, groups: []uint32{1}}, true},
		{peer{uid: 1000, groups: []uint32{1000, 980}}, true},
		{peer{uid: 1000, groups: []uint32{1000}}, false},
		{peer{uid: 980, groups: []uint32{990}}, false},
	} {
		if got := r.permits(c.peer); got != c.want {
			t.Errorf("permits(%+v) = %v", c.peer, got)
		}
	}
}
