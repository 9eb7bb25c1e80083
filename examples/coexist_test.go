package examples_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/engine/control"
)

// repairs returns how often meshd has put a part of its kernel state back.
func (h host) repairs(t *testing.T, part string) float64 {
	t.Helper()
	return h.metric(t, fmt.Sprintf("meshd_kernel_repairs_total{what=%q}", part))
}

// routes lists the routes of meshd.
func (h host) routes(t *testing.T) (all []string) {
	t.Helper()
	err := h.Do(func() error {
		filter := &netlink.Route{Protocol: 153}
		routes, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, filter, netlink.RT_FILTER_PROTOCOL)
		for _, r := range routes {
			if r.Type == unix.RTN_UNREACHABLE {
				all = append(all, r.Dst.String())
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// addDeadGateway gives a host a default route that leads nowhere.
func addDeadGateway(t *testing.T, h host) {
	t.Helper()
	err := h.Do(func() error {
		routes, err := netlink.RouteGet(net.ParseIP("10.77.0.12"))
		if err != nil {
			return err
		}
		for _, gateway := range []string{"10.77.0.254", "fd77::fe"} {
			err := netlink.RouteAdd(&netlink.Route{LinkIndex: routes[0].LinkIndex, Gw: net.ParseIP(gateway)})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// wantUnreachable dials an address that nobody captures. With a route out the call would hang.
func wantUnreachable(t *testing.T, h host, address string) {
	t.Helper()
	output, code := finish(t, h.clientCommand(t, "web.service", "tcp", address))
	if code != 1 || !strings.Contains(output, unix.EHOSTUNREACH.Error()) {
		t.Errorf("%s: exit code %d, %s", address, code, output)
	}
}

// TestRoutes has virtual addresses that nobody captures, and a default gateway that they would leave by.
func TestRoutes(t *testing.T) {
	t.Parallel()
	one, _ := newLab(t)
	addDeadGateway(t, one)
	one.write(t, moreFile, moreService)
	daemon := one.startMeshd(t)
	both := []string{"244.0.0.0/6", "fd6d:6573:6864::/64"}
	if got := one.routes(t); !slices.Equal(got, both) {
		t.Errorf("routes %v", got)
	}
	nobodys := []string{"244.1.2.3:80", "[fd6d:6573:6864::1234]:80"}
	for _, address := range nobodys {
		wantUnreachable(t, one, address)
	}
	t.Run("a service is removed", func(t *testing.T) {
		address := one.virtual(t, "more", 4) + ":7000"
		one.write(t, moreFile, "")
		one.run(t, "", "meshctl", "reload")
		wantUnreachable(t, one, address)
	})
	t.Run("a route is removed", func(t *testing.T) {
		err := one.Do(func() error {
			_, dst, err := net.ParseCIDR(both[0])
			return errors.Join(err, netlink.RouteDel(&netlink.Route{Dst: dst, Type: unix.RTN_UNREACHABLE, Protocol: 153}))
		})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the route is back", func() bool { return slices.Equal(one.routes(t), both) })
		eventually(t, "the repair is counted", func() bool { return one.repairs(t, "routes") == 1 })
	})
	t.Run("other ranges", func(t *testing.T) {
		const meshFile = "/etc/meshd/mesh.d/hosts.hcl"
		rewrite(meshFile, strings.Replace(one.read(t, meshFile), "{", "{\n  virtual_ipv4 = \"240.0.0.0/6\"", 1))(t, one)
		one.run(t, "", "meshctl", "reload")
		if got, want := one.routes(t), []string{"240.0.0.0/6", both[1]}; !slices.Equal(got, want) {
			t.Errorf("routes %v, want %v", got, want)
		}
	})
	one.run(t, "", "meshctl", "reload")
	t.Run("meshd is stopped", func(t *testing.T) {
		if err := daemon.Stop(); err != nil {
			t.Fatal(err)
		}
		for _, address := range nobodys {
			wantUnreachable(t, one, address)
		}
	})
	if output := one.run(t, "", "meshctl", "cleanup", "-yes"); !strings.Contains(output, "unreachable: 244.0.0.0/6, fd6d:6573:6864::/64") {
		t.Errorf("cleanup said %q", output)
	}
	if got := one.routes(t); len(got) != 0 {
		t.Errorf("routes %v after cleanup", got)
	}
}

// detachAll ends the links of meshd, as bpftool link detach does.
func detachAll() error {
	paths, err := filepath.Glob(filepath.Join(pins, "v1", "link_*"))
	errs := []error{err}
	if len(paths) == 0 {
		errs = append(errs, errors.New("no links are pinned"))
	}
	for _, path := range paths {
		l, err := link.LoadPinnedLink(path, nil)
		if err != nil {
			return err
		}
		errs = append(errs, l.Detach(), l.Close())
	}
	return errors.Join(errs...)
}

func emptyMap(name string) error {
	m, err := ebpf.LoadPinnedMap(filepath.Join(pins, "v1", name), nil)
	if err != nil {
		return err
	}
	defer m.Close()
	for {
		key, err := m.NextKeyBytes(nil)
		if err != nil || key == nil {
			return err
		}
		if err := m.Delete(key); err != nil {
			return err
		}
	}
}

// TestKernelStateIsPutBack has other tools change what meshd has put into the kernel.
func TestKernelStateIsPutBack(t *testing.T) {
	t.Parallel()
	one, _, daemon := startMesh(t)
	address := one.resolved(t)
	for _, harm := range []struct {
		name, part string
		do         func() error
	}{
		{"links", "links", detachAll},
		{"pins", "pins", func() error { return os.RemoveAll(pins) }},
		{"virtual addresses", "rules", func() error { return emptyMap("virtuals") }},
		{"services", "rules", func() error { return emptyMap("services") }},
		{"listeners", "listeners", func() error { return emptyMap("listeners") }},
	} {
		t.Run(harm.name, func(t *testing.T) {
			before := one.repairs(t, harm.part)
			if err := one.Do(harm.do); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it is put back", func() bool { return one.repairs(t, harm.part) == before+1 })
			opened := one.opened(t)
			if answer, code := one.page(t, hello); code != 0 || one.opened(t) != opened+1 {
				t.Errorf("not captured: exit code %d, %s", code, answer)
			}
			eventually(t, "meshd is ready", func() bool { return one.status(t).State == control.StateReady })
			if n := one.attached(t); n != len(hooks) {
				t.Errorf("%d programs are attached, want %d", n, len(hooks))
			}
		})
	}
	t.Run("bpffs", func(t *testing.T) { testLostBPFFS(t, one) })
	if err := daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	if answer, code := one.page(t, address...); code != 0 {
		t.Errorf("without meshd: exit code %d, %s", code, answer)
	}
}

// testLostBPFFS unmounts the file system of the pins.
func testLostBPFFS(t *testing.T, h host) {
	const folder = "/sys/fs/bpf"
	if err := h.Do(func() error { return unix.Unmount(folder, 0) }); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, h, "not pinned and would end with meshd", "mount -t bpf bpf /sys/fs/bpf")
	opened := h.opened(t)
	if answer, code := h.page(t, hello); code != 0 || h.opened(t) != opened+1 {
		t.Errorf("not captured: exit code %d, %s", code, answer)
	}
	if err := h.Do(func() error { return unix.Mount("bpf", folder, "bpf", 0, "mode=755") }); err != nil {
		t.Fatal(err)
	}
	eventually(t, "meshd has pinned again", func() bool { return h.status(t).State == control.StateReady })
	if !h.has(t, pins+"/v1/link_connect4") {
		t.Error("no pins")
	}
}

// wantProblem waits for a problem in the status and its fix.
func wantProblem(t *testing.T, h host, what, fix string) {
	t.Helper()
	eventually(t, "the status says: "+what, func() bool {
		s := h.status(t)
		return s.State == control.StateDegraded && slices.ContainsFunc(s.Problems, func(p control.Problem) bool {
			return strings.Contains(p.What, what) && strings.Contains(p.Fix, fix)
		})
	})
}

// TestOtherTools has programs of others decide about the same connections.
func TestOtherTools(t *testing.T) {
	t.Parallel()
	one, _, daemon := startMesh(t)
	for _, other := range []struct {
		name, cgroup, when string
		body               asm.Instructions
	}{
		{"deny_after", one.Cgroup(), "after", asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}},
		{"deny_before", one.UnitCgroup("meshd.service"), "before", asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}},
		{"move_after", one.Cgroup(), "after", asm.Instructions{
			asm.Mov.Imm(asm.R2, 9<<8),
			asm.StoreMem(asm.R1, 24, asm.R2, asm.Word), // user_port of struct bpf_sock_addr: 9
			asm.Mov.Imm(asm.R0, 1), asm.Return(),
		}},
	} {
		t.Run(other.name, func(t *testing.T) {
			p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
				Name: other.name, Type: ebpf.CGroupSockAddr, AttachType: ebpf.AttachCGroupInet4Connect, Instructions: other.body, License: "GPL",
			})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			l, err := link.AttachCgroup(link.CgroupOptions{Path: other.cgroup, Attach: ebpf.AttachCGroupInet4Connect, Program: p})
			if err != nil {
				t.Fatal(err)
			}
			wantProblem(t, one, fmt.Sprintf("%q on %s, which runs %s meshd's", other.name, other.cgroup, other.when), "bpftool cgroup detach")
			if err := errors.Join(l.Detach(), l.Close()); err != nil {
				t.Fatal(err)
			}
			eventually(t, "meshd is ready", func() bool { return one.status(t).State == control.StateReady })
		})
	}
	if n := strings.Count(logOf(t, daemon), `msg="capture fails"`); n != 3 {
		t.Errorf("the log says %d times that capture fails, want 3", n)
	}
}

// TestDisable takes meshd out of the way by hand.
func TestDisable(t *testing.T) {
	t.Parallel()
	one, _ := newLab(t)
	one.edit(t, nodeFile, `fail = "open"`, `fail = "closed"`)
	daemon := one.startMeshd(t)
	address := one.resolved(t)
	wantCaptured := func(when string, captured bool) {
		t.Helper()
		opened, direct := one.opened(t), one.event(t, "direct_by_rule")
		if answer, code := one.page(t, hello); code != 0 {
			t.Errorf("%s: exit code %d, %s", when, code, answer)
		}
		if got := one.opened(t) != opened; got != captured || one.event(t, "direct_by_rule") == direct != captured {
			t.Errorf("%s: captured %v, want %v", when, got, captured)
		}
		s := one.status(t)
		if s.Capture.Disabled == captured || s.State != control.StateReady {
			t.Errorf("%s: state %s, capture %+v", when, s.State, s.Capture)
		}
	}
	one.run(t, "", "meshctl", "disable")
	wantCaptured("disabled", false)
	one.run(t, "", "meshctl", "reload")
	wantCaptured("disabled and reloaded", false)
	if err := daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	if answer, code := one.page(t, address...); code != 0 {
		t.Errorf("disabled and stopped, with fail = closed: exit code %d, %s", code, answer)
	}
	daemon = one.startMeshd(t)
	wantCaptured("disabled and started again", false)
	if text := one.run(t, "", "meshctl", "status"); !strings.Contains(text, "disabled") {
		t.Errorf("the status does not say so:\n%s", text)
	}
	one.run(t, "", "meshctl", "enable")
	wantCaptured("enabled", true)
	// Nothing but the switch stood between fail = closed and the callers.
	if err := daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	wantOutage(t, one, outages[1], address)
}

// TestModesUnderLoad changes who is captured while connections are made.
func TestModesUnderLoad(t *testing.T) {
	t.Parallel()
	one, _, _ := startMesh(t)
	plain := one.read(t, nodeFile)
	rules := []string{`mode = "off"`, "exclude {\n  units = [\"web.service\"]\n}", "include {\n  units = [\"web.service\"]\n}", "exclude {\n  ports = [80]\n}"}
	one.underLoad(t, func() {
		for _, rule := range rules {
			one.write(t, nodeFile, strings.Replace(plain, captureBlock, "capture {\n"+rule+"\n}", 1))
			one.run(t, "", "meshctl", "reload")
		}
		one.write(t, nodeFile, plain)
		for _, verb := range []string{"disable", "reload", "enable"} {
			one.run(t, "", "meshctl", verb)
		}
	})
	if one.opened(t) == 0 || one.event(t, "direct_by_rule") == 0 {
		t.Error("the connections went one way only")
	}
}

// TestWithoutIPv6 has a host that has turned IPv6 off.
func TestWithoutIPv6(t *testing.T) {
	t.Parallel()
	one, _ := newLab(t)
	err := one.Do(func() error { return os.WriteFile("/proc/sys/net/ipv6/conf/all/disable_ipv6", []byte("1"), 0o644) })
	if err != nil {
		t.Fatal(err)
	}
	one.startMeshd(t)
	if s := one.status(t); s.State != control.StateReady {
		t.Errorf("state %s, problems %v", s.State, s.Problems)
	}
	if answer, code := one.page(t, hello); code != 0 || one.opened(t) != 1 {
		t.Errorf("exit code %d, %s", code, answer)
	}
}
