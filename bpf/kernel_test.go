package bpf

import (
	"cmp"
	"errors"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/meshd/meshd/engine/mesh"
)

var (
	virtual = netip.MustParseAddrPort("244.0.0.10:80")
	backend = netip.MustParseAddrPort("10.0.0.1:8080")
)

// simple are rules with one service of one endpoint.
func simple(port uint16) Rules {
	return Rules{
		OutboundPort: port,
		Virtual:      []Virtual{{Address: virtual, Service: 1}},
		Backends:     map[mesh.ServiceID][]netip.AddrPort{1: {backend}},
	}
}

// committed is a bench with simple rules, a listener that says "meshd", an endpoint that says "endpoint", and a dialer.
func committed(t *testing.T) (*bench, *Kernel, *net.TCPListener, *dialer) {
	t.Helper()
	b := newBench(t)
	k := b.open()
	l := b.listenLoopback(0, func(c *net.TCPConn) {
		if _, err := flowOf(k, c); err != nil {
			t.Error(err)
		}
		c.Write([]byte("meshd"))
	})
	b.listenTCP("tcp4", backend.String(), func(c *net.TCPConn) { c.Write([]byte("endpoint")) })
	steps := []error{k.Apply(simple(uint16(l.Addr().(*net.TCPAddr).Port))), k.Listen(l), k.Commit()}
	if err := errors.Join(steps...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(k.Close(), Withdraw(b.dir)); err != nil {
			t.Error(err)
		}
	})
	return b, k, l, b.startDialer("client", 0)
}

func (d *dialer) expect(what, reply string) {
	d.t.Helper()
	if r := d.do(dial{Op: "tcp", To: []netip.AddrPort{virtual}}); r.Reply != reply {
		d.t.Errorf("%s: got %+v, want %q", what, r, reply)
	}
}

func pins(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, pinVersion))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestOpenLeavesNothing(t *testing.T) {
	b := newBench(t)
	k := b.open()
	if err := errors.Join(k.Apply(simple(1)), k.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(b.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s exists before Commit", b.dir)
	}
}

func TestFailedCommitLeavesNothing(t *testing.T) {
	b := newBench(t)
	k := b.open()
	defer k.Close()
	k.cfg.Cgroup = filepath.Join(b.cgroup, "gone")
	if err := k.Commit(); err == nil {
		t.Fatal("committed to a cgroup that does not exist")
	}
	if got := pins(t, b.dir); len(got) > 0 {
		t.Errorf("pins left: %v", got)
	}
	if _, err := os.Stat(filepath.Join(b.dir, stagingDir)); !errors.Is(err, os.ErrNotExist) {
		t.Error("staging folder left")
	}
}

func TestMeshdGoneAndBack(t *testing.T) {
	b, k, l, d := committed(t)
	d.expect("running", "meshd")

	if err := k.Silence(); err != nil {
		t.Fatal(err)
	}
	d.expect("hung", "endpoint")
	if err := k.Beat(); err != nil {
		t.Fatal(err)
	}
	d.expect("awake again", "meshd")

	l.Close()
	d.expect("listener closed", "endpoint")

	// A second start finds the pins, decides by them at once, and exchanges the programs without a gap.
	again, err := Open(b.config())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if !again.links.whole {
		t.Error("the pinned links were not found")
	}
	l2 := b.listenLoopback(0, func(c *net.TCPConn) {
		if _, err := flowOf(again, c); err != nil {
			t.Error(err)
		}
		c.Write([]byte("meshd"))
	})
	rules := simple(uint16(l2.Addr().(*net.TCPAddr).Port))
	if err := errors.Join(again.Listen(l2), again.Apply(rules), again.Commit()); err != nil {
		t.Fatal(err)
	}
	d.expect("started again", "meshd")
	if err := k.Beat(); !errors.Is(err, ErrSuperseded) {
		t.Errorf("the meshd before may still beat: %v", err)
	}
	if have, want := again.Attached(); have != want {
		t.Errorf("%d of %d programs attached", have, want)
	}
	wantPins := slices.Sorted(maps.Keys(again.objects.byName()))
	for name := range again.objects.hooks() {
		wantPins = append(wantPins, pinName(name))
	}
	slices.Sort(wantPins)
	if got := pins(t, b.dir); !slices.Equal(got, wantPins) {
		t.Errorf("pins %v, want %v", got, wantPins)
	}
}

func TestWithdrawDetaches(t *testing.T) {
	b, _, _, d := committed(t)
	d.expect("attached", "meshd")
	if err := Withdraw(b.dir); err != nil {
		t.Fatal(err)
	}
	if r := d.do(dial{Op: "tcp", To: []netip.AddrPort{virtual}}); r.Errno != int(syscall.ECONNREFUSED) || r.Reply != "" {
		t.Errorf("after Withdraw: %+v", r) // the address is local in this namespace, and nobody listens
	}
	if _, err := os.Stat(b.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left", b.dir)
	}
}

// TestStagedPinsAreDetached has a start die after it has pinned its links and before it published them.
func TestStagedPinsAreDetached(t *testing.T) {
	b, k, _, d := committed(t)
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(b.dir, pinVersion), filepath.Join(b.dir, stagingDir)); err != nil {
		t.Fatal(err)
	}
	if err := Withdraw(b.dir); err != nil {
		t.Fatal(err)
	}
	if r := d.do(dial{Op: "tcp", To: []netip.AddrPort{virtual}}); r.Errno != int(syscall.ECONNREFUSED) || r.Reply != "" {
		t.Errorf("after Withdraw: %+v", r)
	}
}

func TestCgroupChanged(t *testing.T) {
	b, k, l, d := committed(t)
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	narrow := filepath.Join(b.cgroup, "narrow")
	if err := os.Mkdir(narrow, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(narrow)
	moved, err := Open(Config{Dir: b.dir, Cgroup: narrow, DeadAfter: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer moved.Close()
	if err := errors.Join(moved.Listen(l), moved.Commit()); err != nil {
		t.Fatal(err)
	}
	if r := d.do(dial{Op: "tcp", To: []netip.AddrPort{virtual}}); r.Errno != int(syscall.ECONNREFUSED) {
		t.Errorf("a process outside the new cgroup is still captured: %+v", r)
	}
	if have, want := moved.Attached(); have != want {
		t.Errorf("%d of %d programs attached", have, want)
	}
}

// TestOwnConnectionsPass has meshd (this process) dial what it captures for others: only its probe comes back to it.
func TestOwnConnectionsPass(t *testing.T) {
	b := newBench(t)
	k := b.open()
	defer k.Close()
	// Only processes below the bench's cgroup are captured, so the test stands in for a meshd inside it by its entry
	// in the table: the dialer is made meshd.
	l := b.listenLoopback(0, func(c *net.TCPConn) { c.Write([]byte("meshd")) })
	b.listenTCP("tcp4", "244.0.0.10:80", func(c *net.TCPConn) { c.Write([]byte("passed")) })
	probe := netip.MustParseAddrPort("244.0.0.99:1")
	rules := simple(uint16(l.Addr().(*net.TCPAddr).Port))
	rules.Virtual = append(rules.Virtual, Virtual{Address: probe, Service: 9, Probe: true})
	if err := errors.Join(k.Apply(rules), k.Listen(l), k.Commit()); err != nil {
		t.Fatal(err)
	}
	defer Withdraw(b.dir)
	d := b.startDialer("meshd", 0)
	if r := d.do(dial{Op: "tcp", To: []netip.AddrPort{virtual}}); r.Reply != "meshd" {
		t.Fatalf("a stranger: %+v", r)
	}
	if err := k.objects.Own.Put(uint32(d.pid), d.cgroup); err != nil {
		t.Fatal(err)
	}
	if r := d.do(dial{Op: "tcp", To: []netip.AddrPort{virtual}}); r.Reply != "passed" {
		t.Errorf("meshd dials a virtual address: %+v", r)
	}
	if r := d.do(dial{Op: "tcp", To: []netip.AddrPort{probe}}); r.Reply != "meshd" {
		t.Errorf("meshd dials its probe: %+v", r)
	}
	if err := k.objects.Own.Put(uint32(d.pid), d.cgroup+1); err != nil {
		t.Fatal(err)
	}
	if r := d.do(dial{Op: "tcp", To: []netip.AddrPort{virtual}}); r.Reply != "meshd" {
		t.Errorf("meshd's process id in another cgroup: %+v", r)
	}
}

func TestBoundToDevicePasses(t *testing.T) {
	b, _, _, d := committed(t)
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "v0"}, PeerName: "v1"}
	if err := netlink.LinkAdd(veth); err != nil {
		t.Fatal(err)
	}
	b.listenTCP("tcp4", virtual.String(), func(c *net.TCPConn) { c.Write([]byte("passed")) })
	if r := d.do(dial{Op: "tcp", To: []netip.AddrPort{virtual}, Device: "lo"}); r.Reply != "meshd" {
		t.Errorf("bound to lo: %+v", r)
	}
	// v0 is down, so that the call fails at once instead of asking the neighbours.
	if r := d.do(dial{Op: "tcp", To: []netip.AddrPort{virtual}, Device: "v0"}); r.Errno == 0 || r.Errno == int(syscall.ECONNREFUSED) {
		t.Errorf("bound to v0: %+v", r)
	}
}

func TestReservedPorts(t *testing.T) {
	_, k, l, d := committed(t)
	rules := simple(uint16(l.Addr().(*net.TCPAddr).Port))
	rules.Reserved = []Port{{Port: 15001}, {Port: 15053, UDP: true}}
	if err := k.Apply(rules); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		addr  string
		v6    bool
		errno syscall.Errno
	}{
		{"127.0.0.1:15001", false, syscall.EPERM},
		{"[::]:15001", true, syscall.EPERM},
		{"127.0.0.1:15002", false, 0},
		{"127.0.0.1:15053", false, 0}, // only reserved for UDP
	} {
		r := d.do(dial{Op: "bind", V6: c.v6, To: []netip.AddrPort{netip.MustParseAddrPort(c.addr)}})
		if r.Errno != int(c.errno) {
			t.Errorf("bind %s: errno %d, want %d", c.addr, r.Errno, int(c.errno))
		}
	}
	if err := k.objects.Own.Put(uint32(d.pid), d.cgroup); err != nil {
		t.Fatal(err)
	}
	if r := d.do(dial{Op: "bind", To: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:15001")}}); r.Errno != 0 {
		t.Errorf("meshd binds its own port: errno %d", r.Errno)
	}
	events, err := k.Events()
	if err != nil {
		t.Fatal(err)
	}
	if events["bind_denied"] != 2 {
		t.Errorf("events: %v", events)
	}
}

func TestApplyKeepsOldRulesOnFailure(t *testing.T) {
	_, k, l, d := committed(t)
	rules := simple(uint16(l.Addr().(*net.TCPAddr).Port))
	rules.Virtual = nil
	for i := range 2000 {
		rules.ExcludePorts = append(rules.ExcludePorts, uint16(i+1))
	}
	if err := k.Apply(rules); err == nil {
		t.Fatal("2000 excluded ports fit")
	}
	d.expect("after a failed Apply", "meshd")
}

// TestFailedStartKeepsFailOpen has a start fail on rules that do not fit: what callers got from the meshd before, which
// is gone, they still get.
func TestFailedStartKeepsFailOpen(t *testing.T) {
	b, k, l, d := committed(t)
	l.Close()
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	next := b.open()
	defer next.Close()
	rules := simple(15001)
	for i := range 2000 {
		rules.ExcludePorts = append(rules.ExcludePorts, uint16(i+1))
	}
	if err := next.Apply(rules); err == nil {
		t.Fatal("2000 excluded ports fit")
	}
	d.expect("after a start that failed", "endpoint")
}

// TestProbePassesRules wants meshd's probe captured whatever is excluded: it tells whether capture works at all.
func TestProbePassesRules(t *testing.T) {
	_, k, l, d := committed(t)
	probe := netip.MustParseAddrPort("244.0.0.99:1")
	for name, change := range map[string]func(*Rules){
		"mode off":         func(r *Rules) { r.Mode = mesh.CaptureOff },
		"user excluded":    func(r *Rules) { r.ExcludeUIDs = []uint32{d.uid} },
		"port excluded":    func(r *Rules) { r.ExcludePorts = []uint16{1} },
		"network excluded": func(r *Rules) { r.ExcludeCIDRs = []netip.Prefix{netip.MustParsePrefix("244.0.0.0/6")} },
		"not included":     func(r *Rules) { r.IncludeOnly = true },
	} {
		rules := simple(uint16(l.Addr().(*net.TCPAddr).Port))
		rules.Virtual = append(rules.Virtual, Virtual{Address: probe, Probe: true})
		change(&rules)
		if err := k.Apply(rules); err != nil {
			t.Fatal(err)
		}
		if r := d.do(dial{Op: "tcp", To: []netip.AddrPort{probe}}); r.Reply != "meshd" {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if err := k.Silence(); err != nil {
		t.Fatal(err)
	}
	if r := d.do(dial{Op: "tcp", To: []netip.AddrPort{probe}}); r.Errno != int(syscall.ECONNREFUSED) {
		t.Errorf("a probe that nobody can answer: %+v", r)
	}
}

func TestOpenNamesWhatIsMissing(t *testing.T) {
	b := newBench(t)
	plain := t.TempDir()
	if _, err := Open(Config{Dir: b.dir, Cgroup: plain}); err == nil {
		t.Error("opened on a folder that is no cgroup")
	}
	if _, err := Open(Config{Dir: filepath.Join(plain, "meshd"), Cgroup: b.cgroup}); err == nil {
		t.Error("opened on a folder that is no bpffs")
	}
}

func TestSelf(t *testing.T) {
	b := newBench(t)
	k := b.open()
	defer k.Close()
	// The test runs in the first pid namespace, where the kernel's view and getpid agree.
	if self := k.Self(); self.TGID != uint32(os.Getpid()) || self.Cgroup == 0 {
		t.Errorf("the kernel sees this process, %d, as %+v", os.Getpid(), self)
	}
	var cgroup uint64
	if err := k.objects.Own.Lookup(uint32(os.Getpid()), &cgroup); err != nil || cgroup != k.Self().Cgroup {
		t.Errorf("own process is entered as %d: %v", cgroup, err)
	}
}

func TestFeatures(t *testing.T) {
	for _, f := range Features() {
		if f.Err != nil {
			t.Errorf("%s: %v", f.Name, f.Err)
		}
	}
}

// TestRefusals wants what is refused in connect() to be told: no other part of meshd hears of it.
func TestRefusals(t *testing.T) {
	_, k, l, d := committed(t)
	rules := simple(uint16(l.Addr().(*net.TCPAddr).Port))
	empty := netip.MustParseAddrPort("[fd00:1::10]:80")
	rules.Virtual = append(rules.Virtual, Virtual{Address: empty, Service: 2})
	if err := k.Apply(rules); err != nil {
		t.Fatal(err)
	}
	undeclared := netip.AddrPortFrom(virtual.Addr(), 443)
	for _, to := range []netip.AddrPort{undeclared, undeclared, empty, virtual} {
		d.do(dial{Op: "tcp", V6: to.Addr().Is6(), To: []netip.AddrPort{to}})
	}
	got, err := k.Refusals()
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(got, func(a, b Refusal) int { return cmp.Compare(b.Count, a.Count) })
	want := []Refusal{{undeclared, "refused_port", 2}, {empty, "refused_no_endpoint", 1}}
	if !slices.Equal(got, want) {
		t.Errorf("refusals %v, want %v", got, want)
	}
}

// flowOf asks for what the kernel has recorded of an accepted connection.
func flowOf(k *Kernel, c *net.TCPConn) (mesh.Flow, error) {
	return k.Flow(c.LocalAddr().(*net.TCPAddr).AddrPort(), c.RemoteAddr().(*net.TCPAddr).AddrPort())
}
