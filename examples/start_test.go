package examples_test

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// hooks are where meshd attaches its programs.
var hooks = []ebpf.AttachType{
	ebpf.AttachCGroupInet4Connect, ebpf.AttachCGroupInet6Connect,
	ebpf.AttachCgroupInet4GetPeername, ebpf.AttachCgroupInet6GetPeername,
	ebpf.AttachCGroupUDP4Sendmsg, ebpf.AttachCGroupUDP6Sendmsg,
	ebpf.AttachCGroupUDP4Recvmsg, ebpf.AttachCGroupUDP6Recvmsg,
	ebpf.AttachCGroupInet4Bind, ebpf.AttachCGroupInet6Bind,
	ebpf.AttachCGroupSockOps,
}

const pins = "/sys/fs/bpf/meshd"

// attached counts the programs on the cgroup of the host.
func (h host) attached(t *testing.T) int {
	t.Helper()
	folder, err := os.Open(h.Cgroup())
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	n := 0
	for _, hook := range hooks {
		result, err := link.QueryPrograms(link.QueryOptions{Target: int(folder.Fd()), Attach: hook})
		if err != nil {
			t.Fatal(err)
		}
		n += len(result.Programs)
	}
	return n
}

// has says whether the host has a file.
func (h host) has(t *testing.T, path string) bool {
	t.Helper()
	err := h.Do(func() error {
		_, err := os.Lstat(path)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

// wantNothing checks that meshd has left nothing on a host: neither programs nor pins nor listeners.
func (h host) wantNothing(t *testing.T) {
	t.Helper()
	if n := h.attached(t); n != 0 {
		t.Errorf("%d programs are attached", n)
	}
	if h.has(t, pins) {
		t.Errorf("%s is left", pins)
	}
	units, err := h.Units()
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range units {
		if u.Name == "meshd.service" {
			t.Errorf("processes %v of meshd are left", u.PIDs)
		}
	}
	if output, code := h.try(t, "", "meshctl", "status"); code != 3 {
		t.Errorf("meshctl status: exit code %d, want 3 for a daemon that is not there\n%s", code, output)
	}
}

// brokenStart is a start of meshd that cannot succeed.
type brokenStart struct {
	name     string
	prepare  func(t *testing.T, h host) // and repairs it at the end of t; nil: nothing
	dropping []string                   // capabilities
	args     []string
	code     int
	says     []string // the cause and the fix
}

var brokenStarts = []brokenStart{
	{
		name: "no cgroup2", args: []string{"-cgroup", "/tmp"}, code: 1,
		says: []string{"cgroup /tmp", "another file system is mounted there", "meshd needs cgroup2"},
	},
	{
		name: "no bpffs", prepare: unmountBPF, code: 1,
		says: []string{"folder /sys/fs/bpf", "mount -t bpf bpf /sys/fs/bpf"},
	},
	{
		// What CAP_BPF allows, CAP_SYS_ADMIN allows too.
		name: "without CAP_BPF", dropping: []string{"bpf", "sys_admin"}, code: 4,
		says: []string{"meshd needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON", "run it as root", "meshctl check"},
	},
	{
		name: "without CAP_NET_ADMIN", dropping: []string{"net_admin", "sys_admin"}, code: 4,
		says: []string{"meshd needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON", "run it as root", "meshctl check"},
	},
	{
		name: "without CAP_PERFMON", dropping: []string{"perfmon", "sys_admin"}, code: 1,
		says: []string{"load kernel programs", "cannot use helper", "meshctl check"},
	},
	{
		name: "outbound port taken", prepare: occupy(15001), code: 1,
		says: []string{"tcp port 15001 is in use by redis-server (pid", "stop it, or give meshd another port"},
	},
	{
		name: "metrics port taken", prepare: occupy(15020), code: 1,
		says: []string{"tcp port 15020 is in use by redis-server (pid", "stop it, or give meshd another port"},
	},
	{
		name: "names port taken", prepare: occupy(15053), code: 1,
		says: []string{"tcp port 15053 is in use by redis-server (pid", "stop it, or give meshd another port"},
	},
	{
		name: "unreadable file", prepare: chmod(servicesFile, 0), dropping: []string{"dac_override", "dac_read_search"}, code: 78,
		says: []string{"Cannot read " + servicesFile, "as root or as the owner of the file"},
	},
	{
		name: "file that others can write", prepare: chmod(servicesFile, 0o664), code: 78,
		says: []string{servicesFile + " can be written by others than its owner", "chmod go-w " + servicesFile},
	},
	{
		name: "no configuration", prepare: remove(nodeFile), code: 78,
		says: []string{nodeFile + " does not exist", "Create it"},
	},
	{
		name: "syntax error", prepare: rewrite(nodeFile, "capture {\n"), code: 78,
		says: []string{"on " + nodeFile + " line 1", "Unclosed configuration block"},
	},
	{
		name: "wrong value", prepare: rewrite(nodeFile, "capture {\n  fail = \"ajar\"\n}\n"), code: 78,
		says: []string{"on " + nodeFile + " line 2", `There is no fail mode "ajar"`, `Write "open" or "closed"`},
	},
}

func TestStartFails(t *testing.T) {
	t.Parallel()
	one, _ := newLab(t)
	for _, broken := range brokenStarts {
		t.Run(broken.name, func(t *testing.T) { testStartFails(t, one, broken) })
	}
	t.Run("repaired", func(t *testing.T) {
		one.startMeshd(t)
		if answer, code := one.page(t, hello); code != 0 {
			t.Errorf("exit code %d: %s", code, answer)
		}
	})
}

func testStartFails(t *testing.T, h host, broken brokenStart) {
	if broken.prepare != nil {
		broken.prepare(t, h)
	}
	argv := append([]string{"meshd", "-cgroup", h.Cgroup()}, broken.args...)
	output, code := h.try(t, "meshd.service", append(without(broken.dropping), argv...)...)
	if code != broken.code {
		t.Errorf("exit code %d, want %d", code, broken.code)
	}
	text := words(output)
	for _, want := range broken.says {
		if !strings.Contains(text, want) {
			t.Errorf("the error does not say %q", want)
		}
	}
	// The log quotes an error in one line, and a diagnostic begins with its word.
	if n := strings.Count(output, "level=ERROR") + strings.Count(output, "Error: "); n != 1 {
		t.Errorf("%d errors were shown, want one", n)
	}
	if broken.code == 78 {
		validated, code := h.try(t, "", append(without(broken.dropping), "meshctl", "validate")...)
		if code != 78 || words(validated) != text {
			t.Errorf("meshctl validate: exit code %d\n%s", code, validated)
		}
	}
	h.wantNothing(t)
	if t.Failed() {
		t.Log(output)
	}
}

// words is a text without its line breaks, which depend on the width of the terminal.
func words(text string) string {
	text = strings.ReplaceAll(text, `\"`, `"`)
	return strings.Join(strings.Fields(text), " ")
}

// without is the beginning of a command line that takes capabilities away.
func without(capabilities []string) []string {
	if capabilities == nil {
		return nil
	}
	list := "-" + strings.Join(capabilities, ",-")
	return []string{"setpriv", "--bounding-set", list, "--inh-caps", list}
}

func unmountBPF(t *testing.T, h host) {
	const folder = "/sys/fs/bpf"
	if err := h.Do(func() error { return unix.Unmount(folder, 0) }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Do(func() error { return unix.Mount("bpf", folder, "bpf", 0, "mode=755") }); err != nil {
			t.Error(err)
		}
	})
}

// occupy starts another program that listens on a port.
func occupy(port uint16) func(*testing.T, host) {
	return func(t *testing.T, h host) {
		squatter := h.Command(t.Context(), "", "redis-server", "--bind", "127.0.0.1", "--port", strconv.Itoa(int(port)))
		if err := squatter.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = squatter.Process.Kill()
			_ = squatter.Wait() // says that it was killed
		})
		if err := h.WaitListening(t.Context(), port); err != nil {
			t.Fatal(err)
		}
	}
}

func chmod(path string, mode fs.FileMode) func(*testing.T, host) {
	return func(t *testing.T, h host) {
		change := func(mode fs.FileMode) error { return h.Do(func() error { return os.Chmod(path, mode) }) }
		if err := change(mode); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := change(0o644); err != nil {
				t.Error(err)
			}
		})
	}
}

// rewrite replaces a file until the end of the test.
func rewrite(path, text string) func(*testing.T, host) {
	return func(t *testing.T, h host) {
		before := h.read(t, path)
		h.write(t, path, text)
		t.Cleanup(func() { h.write(t, path, before) })
	}
}

// remove takes a file away until the end of the test.
func remove(path string) func(*testing.T, host) {
	return func(t *testing.T, h host) {
		before := h.read(t, path)
		if err := h.Do(func() error { return os.Remove(path) }); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.write(t, path, before) })
	}
}
