package examples_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/meshd/meshd/examples/lab"
)

// socketRig is a mesh with a Redis that it does not know, and two socket clients on the first host: one in a unit, and
// one that the kernel programs do not see, which tells what there is without meshd.
type socketRig struct {
	one, two        host
	daemon          *lab.Unit
	inside, outside *scripts
	families        []family // IPv4, IPv6, and IPv4 by IPv6 sockets
}

func newSocketRig(t *testing.T) *socketRig {
	t.Helper()
	one, two, daemon := startMesh(t)
	return rigOf(t, one, two, daemon)
}

func rigOf(t *testing.T, one, two host, daemon *lab.Unit) *socketRig {
	t.Helper()
	unknown := two.Command(t.Context(), "unknown.service", "redis-server", "--port", fmt.Sprint(unknownPort), "--bind", "0.0.0.0", "::",
		"--requirepass", password, "--save", "", "--dir", "/run")
	if err := unknown.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unknown.Process.Kill()
		_ = unknown.Wait()
	})
	if err := two.WaitListening(t.Context(), unknownPort); err != nil {
		t.Fatal(err)
	}
	return &socketRig{
		one, two, daemon,
		startScripts(t, one, "web", "web.service"), startScripts(t, one, outsider, ""),
		familiesOf(t, one),
	}
}

// scripts is a socket client that runs: see socketclient_test.go.
type scripts struct {
	name  string
	says  io.Writer
	hears *bufio.Reader
}

// outsider is the client that is in the network of the host, but in no cgroup of it.
const outsider = "outsider"

// startScripts starts a client in a unit of the host, or the outsider.
func startScripts(t *testing.T, h host, name, unit string) *scripts {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // the clients end before it does, by the end of their input
	cmd := h.Command(ctx, unit, self, "client", "script", name)
	start := cmd.Start
	if name == outsider {
		cmd.Cmd = exec.CommandContext(ctx, self, "client", "script", name)
		start = func() error { return h.Do(cmd.Cmd.Start) }
	}
	// Signals of the runtime would interrupt system calls.
	cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=0", "GODEBUG=asyncpreemptoff=1")
	in, errIn := cmd.StdinPipe()
	out, errOut := cmd.StdoutPipe()
	if err := errors.Join(errIn, errOut, start()); err != nil {
		t.Fatal(err)
	}
	giveUp := time.AfterFunc(3*time.Minute, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		giveUp.Stop()
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("socket client %s: %v", name, err)
		}
	})
	s := &scripts{name: name, says: in, hears: bufio.NewReader(out)}
	if got := s.line(t); got != "ready" {
		t.Fatal(got)
	}
	return s
}

// play has the client play a script, and returns the word for each step.
func (s *scripts) play(t *testing.T, script string) string {
	t.Helper()
	if _, err := fmt.Fprintln(s.says, strings.ReplaceAll(script, "{name}", s.name)); err != nil {
		t.Fatal(err)
	}
	return s.line(t)
}

func (s *scripts) wants(t *testing.T, script, want string) {
	t.Helper()
	if got := s.play(t, script); got != want {
		t.Errorf("%s\n got %s\nwant %s", script, got, want)
	}
}

func (s *scripts) line(t *testing.T) string {
	t.Helper()
	line, err := s.hears.ReadString('\n')
	if err != nil {
		t.Fatalf("the socket client said %q and no more: %v", line, err)
	}
	return strings.TrimSpace(line)
}

const unknownPort = 6400

// family is a way to use addresses.
type family struct {
	name     string
	version  string         // of the sockets
	virtual  netip.AddrPort // of the cache
	other    netip.AddrPort // of the Redis that the mesh does not know
	closed   netip.AddrPort // where nobody listens
	own      netip.Addr     // of the host
	wildcard netip.Addr
	loopback netip.Addr
}

func familiesOf(t *testing.T, h host) []family {
	t.Helper()
	addr := netip.MustParseAddr
	four := family{name: "IPv4", version: "4", own: addr("10.77.0.11"), wildcard: netip.IPv4Unspecified(), loopback: addr("127.0.0.1")}
	four.at(addr(h.virtual(t, "cache", 4)), addr("10.77.0.12"))
	six := family{name: "IPv6", version: "6", own: addr("fd77::11"), wildcard: netip.IPv6Unspecified(), loopback: netip.IPv6Loopback()}
	six.at(addr(h.virtual(t, "cache", 6)), addr("fd77::12"))
	both := family{name: "mapped", version: "6", own: mapped(four.own), wildcard: netip.IPv6Unspecified(), loopback: mapped(four.loopback)}
	both.at(mapped(four.virtual.Addr()), mapped(four.other.Addr()))
	return []family{four, six, both}
}

func (f *family) at(virtual, two netip.Addr) {
	f.virtual = netip.AddrPortFrom(virtual, 6379)
	f.other = netip.AddrPortFrom(two, unknownPort)
	f.closed = netip.AddrPortFrom(two, unknownPort+1)
}

// fill fills in the addresses of a script, or of what is expected of it.
func (f family) fill(template string, to netip.AddrPort) string {
	return strings.NewReplacer(
		"{S}", f.version, "{to}", to.String(), "{virtual}", f.virtual.String(), "{other}", f.other.String(), "{closed}", f.closed.String(),
		"{own}", f.own.String(), "{own0}", netip.AddrPortFrom(f.own, 0).String(), "{any0}", netip.AddrPortFrom(f.wildcard, 0).String(),
		"{lo}", f.loopback.String(),
	).Replace(template)
}

// mapped returns an IPv4 address as IPv6 sockets write it.
func mapped(a netip.Addr) netip.Addr { return netip.AddrFrom16(a.As16()) }
