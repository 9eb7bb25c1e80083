package bpf

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"github.com/meshd/meshd/engine/mesh"
)

// world is what the model knows: the rules, and the facts that the kernel sees by itself.
type world struct {
	Rules
	alive   bool // the heartbeat is young
	listen4 bool // a listener of each family stands in the map
	listen6 bool
}

// caller is who dials in the model.
type caller struct {
	uid     uint32
	cgroups []uint64 // its own and those above it
}

// verdict is what connect does.
type verdict struct {
	kind string           // pass, refuse, meshd, straight
	to   []netip.AddrPort // straight: one of these
}

// decide is the model of connect() for TCP: bpf/src/connect.h in Go.
func (w *world) decide(who caller, v6 bool, dst netip.AddrPort) verdict {
	service, isVirtual, known := w.target(dst)
	switch {
	case !known && isVirtual:
		return verdict{kind: "refuse"}
	case !known:
		return verdict{kind: "pass"}
	}
	backends := w.Backends[service]
	if isVirtual && len(backends) == 0 {
		return verdict{kind: "refuse"}
	}
	straight := w.straight(v6 && !dst.Addr().Is4(), backends)
	if !isVirtual {
		straight = verdict{kind: "pass"}
	}
	switch {
	case w.Mode == mesh.CaptureOff || w.excluded(who, dst):
		return straight
	case w.alive && (dst.Addr().Is4() && w.listen4 || !dst.Addr().Is4() && (w.listen6 || w.listen4)):
		return verdict{kind: "meshd"}
	case w.Fail == mesh.FailClosed:
		return verdict{kind: "refuse"}
	}
	return straight
}

func (w *world) target(dst netip.AddrPort) (service mesh.ServiceID, isVirtual, known bool) {
	for _, v := range w.Virtual {
		if v.Address == dst {
			return v.Service, true, true
		}
		isVirtual = isVirtual || v.Address.Addr() == dst.Addr()
	}
	if isVirtual {
		return 0, true, false
	}
	for _, e := range w.Endpoints {
		if e.Address == dst {
			return e.Service, false, true
		}
	}
	return 0, false, false
}

func (w *world) straight(v6 bool, backends []netip.AddrPort) verdict {
	var four, six []netip.AddrPort
	for _, b := range backends {
		if b.Addr().Is4() {
			four = append(four, b)
		} else {
			six = append(six, b)
		}
	}
	if v6 && len(six) > 0 {
		return verdict{kind: "straight", to: six}
	}
	if len(four) == 0 {
		return verdict{kind: "refuse"}
	}
	return verdict{kind: "straight", to: four}
}

func (w *world) excluded(who caller, dst netip.AddrPort) bool {
	if slices.Contains(w.ExcludePorts, dst.Port()) || slices.Contains(w.ExcludeUIDs, who.uid) {
		return true
	}
	if slices.ContainsFunc(w.ExcludeCIDRs, func(p netip.Prefix) bool { return p.Contains(dst.Addr()) }) {
		return true
	}
	if !w.ByCgroup && !w.IncludeOnly {
		return false
	}
	var marks CgroupMark
	for _, id := range who.cgroups {
		marks |= w.Marks[id]
	}
	return marks&Excluded != 0 || w.IncludeOnly && marks&Included == 0
}

var (
	modelPorts   = []uint16{80, 8080, 9090}
	modelVirtual = addrs("244.0.0.10", "244.0.0.11", "fd00:1::10", "fd00:1::11")
	modelReal    = addrs("10.0.0.1", "10.0.0.2", "fd00:2::1", "fd00:2::2")
	modelOther   = addrs("10.9.9.9", "fd00:9::9")
)

func addrs(s ...string) (all []netip.Addr) {
	for _, a := range s {
		all = append(all, netip.MustParseAddr(a))
	}
	return all
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func some[T any](r *rand.Rand, from []T) (out []T) {
	for _, v := range from {
		if r.IntN(3) == 0 {
			out = append(out, v)
		}
	}
	return out
}

func randomWorld(r *rand.Rand, port uint16, cgroups []uint64, uids []uint32) *world {
	w := &world{alive: r.IntN(4) > 0, listen4: r.IntN(4) > 0, listen6: r.IntN(4) > 0}
	w.Rules = Rules{
		Mode:         pick(r, []mesh.CaptureMode{mesh.CaptureMesh, mesh.CaptureMesh, mesh.CaptureMesh, mesh.CaptureOff}),
		Fail:         pick(r, []mesh.FailMode{mesh.FailOpen, mesh.FailClosed}),
		OutboundPort: port,
		Backends:     map[mesh.ServiceID][]netip.AddrPort{},
		IncludeOnly:  r.IntN(4) == 0,
		ByCgroup:     r.IntN(2) == 0,
		Marks:        map[uint64]CgroupMark{},
	}
	for i, v := range modelVirtual {
		id := mesh.ServiceID(i/2 + 1)
		for _, p := range some(r, modelPorts) {
			w.Virtual = append(w.Virtual, Virtual{Address: netip.AddrPortFrom(v, p), Service: id})
		}
		for _, b := range some(r, modelReal) {
			w.Backends[id] = append(w.Backends[id], netip.AddrPortFrom(b, pick(r, modelPorts)))
		}
	}
	for _, a := range some(r, modelReal) {
		w.Endpoints = append(w.Endpoints, Endpoint{Address: netip.AddrPortFrom(a, pick(r, modelPorts)), Service: 1})
	}
	if r.IntN(3) == 0 {
		w.ExcludePorts = some(r, modelPorts)
		w.ExcludeUIDs = some(r, uids)
		w.ExcludeCIDRs = some(r, []netip.Prefix{netip.MustParsePrefix("244.0.0.10/31"), netip.MustParsePrefix("fd00:2::/32"), netip.MustParsePrefix("10.0.0.2/32")})
	}
	for _, id := range some(r, cgroups) {
		w.Marks[id] |= Excluded
	}
	for _, id := range some(r, cgroups) {
		w.Marks[id] |= Included
	}
	return w
}

// TestDecisionMatchesModel makes random connections under random rules: the kernel must do what the model says, show the
// application the address that it dialled, and record a true flow for every connection that meshd gets.
func TestDecisionMatchesModel(t *testing.T) {
	b := newBench(t)
	k := b.open()
	defer k.Close()
	for _, port := range modelPorts {
		for _, network := range []string{"tcp4", "tcp6"} {
			b.listenTCP(network, fmt.Sprintf(":%d", port), func(c *net.TCPConn) {
				fmt.Fprintf(c, "straight %s\n", c.LocalAddr())
			})
		}
	}
	answer := func(c *net.TCPConn) {
		flow, err := flowOf(k, c)
		if err != nil {
			fmt.Fprintln(c, err)
			return
		}
		at := c.LocalAddr().(*net.TCPAddr).AddrPort().Addr()
		if at.Is4() && at != sourcePool(flow.Cgroup) {
			t.Errorf("a caller of cgroup %d came to %s", flow.Cgroup, at)
		}
		if err := json.NewEncoder(c).Encode(flow); err != nil {
			t.Error(err)
		}
	}
	l4 := b.listenLoopback(0, answer)
	port := uint16(l4.Addr().(*net.TCPAddr).Port)
	l6 := b.listenTCP("tcp6", fmt.Sprintf("[::1]:%d", port), answer)
	if err := k.Commit(); err != nil {
		t.Fatal(err)
	}
	defer Withdraw(b.dir)

	dialers := []*dialer{b.startDialer("one", 0), b.startDialer("two", 1001)}
	base, err := cgroupID(b.cgroup)
	if err != nil {
		t.Fatal(err)
	}
	cgroups := []uint64{dialers[0].cgroup, dialers[1].cgroup, base}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	seen := map[string]int{}
	for range 80 {
		w := randomWorld(r, port, cgroups, []uint32{0, 1001})
		b.impose(k, w, l4, l6)
		for range 25 {
			d := pick(r, dialers)
			dst := netip.AddrPortFrom(pick(r, slices.Concat(modelVirtual, modelVirtual, modelReal, modelOther)), pick(r, modelPorts))
			v6 := dst.Addr().Is6() || r.IntN(2) == 0
			want := w.decide(caller{uid: d.uid, cgroups: []uint64{d.cgroup, base}}, v6, dst)
			got := d.do(dial{Op: "tcp", V6: v6, To: []netip.AddrPort{dst}})
			seen[want.kind]++
			if err := agree(want, got, d, dst); err != nil {
				t.Fatalf("uid %d dials %s (v6 socket %v): %v\nmodel: %+v\nkernel: %+v\nworld: %+v", d.uid, dst, v6, err, want, got, w)
			}
		}
	}
	t.Logf("verdicts: %v", seen)
	for _, kind := range []string{"pass", "refuse", "meshd", "straight"} {
		if seen[kind] == 0 {
			t.Errorf("no random case was decided as %s", kind)
		}
	}
}

// impose makes the kernel's world that of the model.
func (b *bench) impose(k *Kernel, w *world, l4, l6 *net.TCPListener) {
	b.t.Helper()
	check := func(err error) {
		b.t.Helper()
		if err != nil {
			b.t.Fatal(err)
		}
	}
	check(k.Apply(w.Rules))
	if w.alive {
		check(k.Beat())
	} else {
		check(k.Silence())
	}
	for l, wanted := range map[*net.TCPListener]bool{l4: w.listen4, l6: w.listen6} {
		check(k.Listen(l))
		if !wanted {
			check(k.objects.Listeners.Delete(k.listenerKey(l)))
		}
	}
}

func agree(want verdict, got dialledResult, d *dialer, dst netip.AddrPort) error {
	if want.kind == "refuse" {
		if got.Errno != int(syscall.ECONNREFUSED) {
			return fmt.Errorf("not refused: errno %d", got.Errno)
		}
		return nil
	}
	if got.Errno != 0 {
		return fmt.Errorf("errno %d", got.Errno)
	}
	if got.Peer != dst {
		return fmt.Errorf("getpeername shows %s", got.Peer)
	}
	switch want.kind {
	case "meshd":
		var flow mesh.Flow
		if err := json.Unmarshal([]byte(got.Reply), &flow); err != nil {
			return fmt.Errorf("not at meshd: %q", got.Reply)
		}
		if flow.Destination != dst || flow.Cgroup != d.cgroup || flow.PID != uint32(d.pid) || flow.UID != d.uid || flow.Netns == 0 ||
			!slices.Equal(flow.Lineage(), d.lineage) {
			return fmt.Errorf("flow %+v is not that of pid %d", flow, d.pid)
		}
	case "pass":
		if got.Reply != "straight "+dst.String() {
			return fmt.Errorf("ended at %q", got.Reply)
		}
	case "straight":
		if !slices.ContainsFunc(want.to, func(a netip.AddrPort) bool { return got.Reply == "straight "+a.String() }) {
			return fmt.Errorf("ended at %q", got.Reply)
		}
	}
	return nil
}
