package bpf

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/engine/mesh"
)

// harms are what other tools, and people, do to what meshd has in the kernel.
var harms = []struct {
	name  string
	parts []Part
	do    func(k *Kernel) error
}{
	{"a link is detached", []Part{PartLinks, PartPins}, func(k *Kernel) error { return k.links.links[meshProgConnect4].Detach() }},
	{"all links are detached", []Part{PartLinks, PartPins}, func(k *Kernel) error {
		var errs []error
		for _, l := range k.links.links {
			errs = append(errs, l.Detach())
		}
		return errors.Join(errs...)
	}},
	{"a program is exchanged", []Part{PartLinks}, func(k *Kernel) error {
		return k.links.links[meshProgConnect4].Update(k.objects.Connect6)
	}},
	{"the pins are removed", []Part{PartPins}, func(k *Kernel) error { return os.RemoveAll(k.cfg.Dir) }},
	{"a pin is removed", []Part{PartPins}, func(k *Kernel) error {
		return os.Remove(pathOf(k, pinName(meshProgBind4)))
	}},
	{"a pin of another link", []Part{PartPins}, func(k *Kernel) error {
		path := pathOf(k, pinName(meshProgBind4))
		other, err := link.LoadPinnedLink(pathOf(k, pinName(meshProgBind6)), nil)
		if err != nil {
			return err
		}
		return errors.Join(os.Remove(path), other.Pin(path), other.Close())
	}},
	{"a program at the pin of a link", []Part{PartPins}, func(k *Kernel) error {
		return pinProgram(k, pinName(meshProgBind4))
	}},
	{"another map at the pin of a map", []Part{PartPins}, func(k *Kernel) error {
		other, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Hash, KeySize: 8, ValueSize: 4, MaxEntries: 16384, Flags: unix.BPF_F_NO_PREALLOC})
		if err != nil {
			return err
		}
		path := pathOf(k, meshMapCgroups)
		return errors.Join(os.Remove(path), other.Pin(path), other.Close())
	}},
	{"a program at the pin of a map", []Part{PartPins}, func(k *Kernel) error {
		return pinProgram(k, meshMapCgroups)
	}},
	{"a folder at the pin of a map", []Part{PartPins}, func(k *Kernel) error {
		path := pathOf(k, meshMapCgroups)
		return errors.Join(os.Remove(path), os.MkdirAll(filepath.Join(path, "folder"), 0o700))
	}},
	{"the programs are switched off", []Part{PartRules}, func(k *Kernel) error {
		return k.objects.Cfg.Put(uint32(0), meshConfig{})
	}},
	{"the services are gone", []Part{PartRules}, func(k *Kernel) error { return k.objects.Services.Delete(uint64(1)) }},
	{"a service is written to", []Part{PartRules}, func(k *Kernel) error { return k.objects.Services.Put(uint64(1), meshService{}) }},
	{"a stranger is excluded", []Part{PartRules}, func(k *Kernel) error {
		return k.objects.Cgroups.Put(k.self.Cgroup, Excluded)
	}},
	{"meshd is not known", []Part{PartRules}, func(k *Kernel) error { return k.objects.Own.Delete(k.self.TGID) }},
	{"the listeners are gone", []Part{PartListeners}, func(k *Kernel) error {
		return k.objects.Listeners.Delete(meshListenerKey{Netns: k.netns, Family: unix.AF_INET})
	}},
}

func pathOf(k *Kernel, pin string) string { return filepath.Join(k.cfg.Dir, pinVersion, pin) }

// pinProgram exchanges a pin for one of a program.
func pinProgram(k *Kernel, pin string) error {
	program, err := k.objects.Bind4.Clone()
	if err != nil {
		return err
	}
	path := pathOf(k, pin)
	return errors.Join(os.Remove(path), program.Pin(path), program.Close())
}

func TestRepair(t *testing.T) {
	b, k, _, d := committed(t)
	for _, harm := range harms {
		t.Run(harm.name, func(t *testing.T) {
			if err := harm.do(k); err != nil {
				t.Fatal(err)
			}
			if parts, err := k.Repair(); err != nil || !slices.Equal(parts, harm.parts) {
				t.Errorf("repaired %v, %v; want %v", parts, err, harm.parts)
			}
			d.expect("after the repair", "meshd")
			if parts, err := k.Repair(); err != nil || len(parts) > 0 {
				t.Errorf("a second repair: %v, %v", parts, err)
			}
			// One set of programs, and whoever comes next finds all of it.
			if n := len(attachedTo(b.cgroup, ebpf.AttachCGroupInet4Connect)); n != 1 {
				t.Errorf("%d programs decide", n)
			}
			if a := openAttachment(filepath.Join(b.dir, pinVersion), b.cgroup); !a.whole {
				t.Error("the pins are not whole")
			} else if err := a.close(); err != nil {
				t.Error(err)
			}
			for name, m := range k.objects.byName() {
				pinned, err := ebpf.LoadPinnedMap(pathOf(k, name), nil)
				if err != nil {
					t.Errorf("map %s: %v", name, err)
					continue
				}
				if got, want := mapID(t, pinned), mapID(t, m); got != want {
					t.Errorf("map %d is pinned as %s, which is %d", got, name, want)
				}
				pinned.Close()
			}
		})
	}
}

func mapID(t *testing.T, m *ebpf.Map) ebpf.MapID {
	t.Helper()
	info, err := m.Info()
	if err != nil {
		t.Fatal(err)
	}
	id, _ := info.ID()
	return id
}

// TestRepairWhileStopping wants listeners that meshd has closed itself to stay out of the map.
func TestRepairWhileStopping(t *testing.T) {
	_, k, l, d := committed(t)
	l.Close()
	if parts, err := k.Repair(); err != nil || len(parts) > 0 {
		t.Errorf("repaired %v, %v", parts, err)
	}
	d.expect("the listener is closed", "endpoint")
}

// TestRestartWithoutSysAdmin wants the capabilities that meshd needs to be enough for taking over, too.
func TestRestartWithoutSysAdmin(t *testing.T) {
	b, _, l, d := committed(t)
	dropSysAdmin(t)
	next := b.open()
	defer next.Close()
	if !next.links.whole {
		t.Error("the pinned links were not found")
	}
	if err := errors.Join(next.Listen(l), next.Apply(simple(uint16(portOf(l)))), next.Commit()); err != nil {
		t.Fatal(err)
	}
	if err := next.links.links[meshProgConnect4].Detach(); err != nil {
		t.Fatal(err)
	}
	if parts, err := next.Repair(); err != nil || len(parts) == 0 {
		t.Errorf("repaired %v, %v", parts, err)
	}
	d.expect("after the restart", "meshd")
}

// dropSysAdmin takes CAP_SYS_ADMIN from the thread of the test until its end.
func dropSysAdmin(t *testing.T) {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var before [2]unix.CapUserData
	if err := unix.Capget(&header, &before[0]); err != nil {
		t.Fatal(err)
	}
	less := before
	less[0].Effective &^= 1 << unix.CAP_SYS_ADMIN
	if err := unix.Capset(&header, &less[0]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Capset(&header, &before[0]); err != nil {
			t.Error(err)
		}
	})
}

// TestRepairWithoutBPFFS has the file system of the pins go, and come back empty.
func TestRepairWithoutBPFFS(t *testing.T) {
	b, k, _, d := committed(t)
	fs := filepath.Dir(b.dir)
	if err := unix.Unmount(fs, 0); err != nil {
		t.Fatal(err)
	}
	if parts, err := k.Repair(); !errors.Is(err, ErrNoBPFFS) || len(parts) > 0 {
		t.Errorf("without a bpffs: %v, %v", parts, err)
	}
	d.expect("without a bpffs", "meshd")
	if err := unix.Mount("bpf", fs, "bpf", 0, "mode=0700"); err != nil {
		t.Fatal(err)
	}
	if parts, err := k.Repair(); err != nil || !slices.Equal(parts, []Part{PartPins}) {
		t.Errorf("with a new bpffs: %v, %v", parts, err)
	}
	if got, want := len(pins(t, b.dir)), len(k.objects.byName())+len(k.objects.hooks()); got != want {
		t.Errorf("%d pins, want %d", got, want)
	}
}

// TestSupersededRepairsNothing wants a meshd that has lost the host to leave it to the other.
func TestSupersededRepairsNothing(t *testing.T) {
	b, k, _, _ := committed(t)
	next := b.open()
	defer next.Close()
	if err := errors.Join(next.Apply(Rules{}), next.Commit()); err != nil {
		t.Fatal(err)
	}
	if parts, err := k.Repair(); !errors.Is(err, ErrSuperseded) || len(parts) > 0 {
		t.Errorf("repaired %v, %v", parts, err)
	}
}

// foreign loads a program for connect4 that ends with these instructions.
func foreign(t *testing.T, name string, body ...asm.Instruction) *ebpf.Program {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: name, Type: ebpf.CGroupSockAddr, AttachType: ebpf.AttachCGroupInet4Connect, License: "GPL",
		Instructions: append(body, asm.Return()),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

var (
	deny  = []asm.Instruction{asm.Mov.Imm(asm.R0, 0)}
	allow = []asm.Instruction{asm.Mov.Imm(asm.R0, 1)}
	// elsewhere sends every connection to port 9 of the address that it was for.
	elsewhere = []asm.Instruction{
		asm.Mov.Imm(asm.R2, int32(networkOrder(9))),
		asm.StoreMem(asm.R1, 24, asm.R2, asm.Word), // user_port of struct bpf_sock_addr
		asm.Mov.Imm(asm.R0, 1),
	}
)

func attachForeign(t *testing.T, cgroup string, p *ebpf.Program) link.Link {
	t.Helper()
	l, err := link.AttachCgroup(link.CgroupOptions{Path: cgroup, Attach: ebpf.AttachCGroupInet4Connect, Program: p})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// TestNeighbours has other tools decide about connections, too.
func TestNeighbours(t *testing.T) {
	b, k, _, d := committed(t)
	leaf := filepath.Join(b.cgroup, "client")
	for _, c := range []struct {
		name   string
		cgroup string
		body   []asm.Instruction
		before bool
		ours   string // what the connection is answered by; empty: it fails
	}{
		{"allow_after", b.cgroup, allow, false, "meshd"},
		{"deny_after", b.cgroup, deny, false, ""},
		{"moved_after", b.cgroup, elsewhere, false, ""},
		{"allow_before", leaf, allow, true, "meshd"},
		{"deny_before", leaf, deny, true, ""},
		{"moved_before", leaf, elsewhere, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := attachForeign(t, c.cgroup, foreign(t, c.name, c.body...))
			r := d.do(dial{Op: "tcp", To: []netip.AddrPort{virtual}})
			if r.Reply != c.ours {
				t.Errorf("%+v, want a reply of %q", r, c.ours)
			}
			got := k.Neighbours(leaf)
			if len(got) != 1 || got[0].Name != c.name || got[0].Before != c.before || got[0].Cgroup != c.cgroup {
				t.Errorf("neighbours %+v", got)
			}
			if parts, err := k.Repair(); err != nil || len(parts) > 0 {
				t.Errorf("repaired %v, %v: a neighbour does no harm to what is ours", parts, err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if len(k.Neighbours(leaf)) == 0 {
				d.expect("without the neighbour", "meshd")
			}
		})
	}
}

// TestHookIsNotShared has an old tool hold a hook in the way of before Linux 4.15, alone.
func TestHookIsNotShared(t *testing.T) {
	b := newBench(t)
	k := b.open()
	defer k.Close()
	folder, err := os.Open(b.cgroup)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	old := foreign(t, "old_tool", allow...)
	if err := link.RawAttachProgram(link.RawAttachProgramOptions{Target: int(folder.Fd()), Program: old, Attach: ebpf.AttachCGroupInet4Connect}); err != nil {
		t.Fatal(err)
	}
	err = errors.Join(k.Apply(simple(1)), k.Commit())
	if !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), `"old_tool" on `+b.cgroup+" does not share this hook") {
		t.Errorf("the error is %v", err)
	}
	if n := len(attachedTo(b.cgroup, ebpf.AttachCGroupInet6Connect)); n != 0 {
		t.Errorf("%d programs are attached after a start that failed", n)
	}
	if err := link.RawDetachProgram(link.RawDetachProgramOptions{Target: int(folder.Fd()), Program: old, Attach: ebpf.AttachCGroupInet4Connect}); err != nil {
		t.Fatal(err)
	}
	if err := k.Commit(); err != nil {
		t.Errorf("when the old tool has gone: %v", err)
	}
	if err := Withdraw(b.dir); err != nil {
		t.Error(err)
	}
}

// TestSwitchOff wants a person's word to outlast rules, and the process.
func TestSwitchOff(t *testing.T) {
	b, k, l, d := committed(t)
	if err := k.SwitchOff(true); err != nil || !k.IsOff() {
		t.Fatalf("off %v: %v", k.IsOff(), err)
	}
	d.expect("switched off", "endpoint")
	rules := simple(uint16(portOf(l)))
	if err := k.Apply(rules); err != nil {
		t.Fatal(err)
	}
	d.expect("after new rules", "endpoint")
	next := b.open()
	defer next.Close()
	if err := errors.Join(next.Listen(l), next.Apply(rules), next.Commit()); err != nil {
		t.Fatal(err)
	}
	if !next.IsOff() {
		t.Error("the next meshd does not know")
	}
	d.expect("after a restart", "endpoint")
	rules.Fail = mesh.FailClosed
	if err := errors.Join(next.Apply(rules), next.Silence()); err != nil {
		t.Fatal(err)
	}
	d.expect("switched off, and then dead with fail = closed", "endpoint")
	if err := errors.Join(next.Beat(), next.SwitchOff(false)); err != nil {
		t.Fatal(err)
	}
	d.expect("switched on again", "meshd")
	if err := next.Silence(); err != nil {
		t.Fatal(err)
	}
	if r := d.do(dial{Op: "tcp", To: []netip.AddrPort{virtual}}); r.Errno != int(syscall.ECONNREFUSED) {
		t.Errorf("on, dead, and fail = closed: %+v", r)
	}
}
