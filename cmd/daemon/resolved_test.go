package daemon

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"go.uber.org/goleak"

	"github.com/meshd/meshd/engine/dns"
	"github.com/meshd/meshd/engine/listen"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/snapshot"
	"github.com/meshd/meshd/systemd"
	"github.com/meshd/meshd/systemd/resolvedtest"
)

// resolvedHost is a host with a system bus and a network of its own, for as long as the test.
type resolvedHost struct {
	*resolved
	socket  string // of the bus
	domains []string
}

func newResolvedHost(t *testing.T) *resolvedHost {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	runtime.LockOSThread() // for good: the thread ends with the test, and its network with it
	made, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	defer made.Close()
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		t.Fatal(err)
	}

	h := &resolvedHost{domains: []string{"mesh", "api.stripe.com"}}
	h.socket, _ = resolvedtest.StartBus(t)
	d := &daemon{log: slog.New(slog.DiscardHandler), notifier: systemd.NewNotifier(func(string) string { return "" }), snapshots: &snapshot.Store{}}
	h.resolved = d.newResolved(nil)
	h.bus, h.resolved.socket = h.socket, filepath.Join(t.TempDir(), "none")
	h.resolved.domains = func() []string { return h.domains }
	server, err := dns.New(dns.Config{Domain: func() string { return "mesh" }, Names: func() dns.Names { return d.snapshots.Load() }})
	if err != nil {
		t.Fatal(err)
	}
	sockets := listen.New(nil)
	published := make(chan struct{})
	close(published)
	h.uplinks = &resolvers{name: "dns-resolved", file: writeFile(t, "nameserver 10.9.0.1\nnameserver 10.9.0.2\n"), most: maxUplinks,
		published: published, at: resolvedServer, port: 15053, sockets: sockets, server: server, log: d.log}
	t.Cleanup(func() { h.close(); sockets.Close() })
	return h
}

func (h *resolvedHost) hasLink() bool {
	_, err := net.InterfaceByName(systemd.NameLinkName)
	return err == nil
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestResolvedAsksMeshd(t *testing.T) {
	h := newResolvedHost(t)
	fake := resolvedtest.Start(t, h.socket)
	if !h.keep(t.Context()) {
		t.Error("nothing serves it that was not there before")
	}
	link := fake.Link()
	if len(link.Domains) != 2 || len(link.Servers) != 2 || link.Servers[1].Port != 15053 || !slices.Equal(link.Servers[1].Address, []byte{127, 15, 0, 54}) {
		t.Errorf("resolved is told %+v", link)
	}
	if h.problems() != nil || !strings.Contains(h.describe(), "2 of its domains") || !h.hasLink() {
		t.Errorf("%v, %q", h.problems(), h.describe())
	}
	fake.Calls()
	if h.keep(t.Context()) || len(fake.Calls()) > 0 {
		t.Error("what is as it should be is done again")
	}

	held, err := h.uplinks.serving[0].binding.UDP.File() // as the service manager does
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := os.WriteFile(h.uplinks.file, []byte("nameserver 10.9.0.2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if !h.keep(t.Context()) || len(fake.Link().Servers) != 1 {
		t.Error("a change of whom resolved asks is not followed")
	}
	h.domains = nil
	if h.keep(t.Context()); h.hasLink() || h.describe() != "" {
		t.Error("the link stays without a mesh")
	}
}

func TestResolvedComesBack(t *testing.T) {
	h := newResolvedHost(t)
	fake := resolvedtest.Start(t, h.socket)
	h.keep(t.Context())
	fake.Close()
	<-h.comesAndGoes()
	if h.keep(t.Context()); h.problems() != nil || h.describe() != "" || !h.hasLink() {
		t.Errorf("while it restarts: %v, %q", h.problems(), h.describe())
	}
	fake = resolvedtest.Start(t, h.socket)
	<-h.comesAndGoes()
	<-h.dialled // at first
	if h.keep(t.Context()); len(fake.Link().Domains) != 2 {
		t.Error("the new one is not told")
	}
	if h.hangUp(); h.keep(t.Context()) || h.describe() == "" {
		t.Error("not connected again")
	}
}

func TestResolvedProblems(t *testing.T) {
	h := newResolvedHost(t)
	fake := resolvedtest.Start(t, h.socket)
	fake.Fail("SetLinkDNSEx", "org.freedesktop.DBus.Error.UnknownMethod")
	h.keep(t.Context())
	if all := h.problems(); len(all) != 1 || !strings.Contains(all[0].What, "older than version 246") || !strings.Contains(all[0].Fix, "nsswitch.conf") {
		t.Errorf("an old resolved: %v", all)
	}
	fake.Fail("SetLinkDNSEx", "")
	for n := range systemd.MaxDomains {
		h.domains = append(h.domains, fmt.Sprintf("%d.example.com", n))
	}
	h.keep(t.Context())
	if all := h.problems(); len(all) != 1 || !strings.Contains(all[0].What, "of 258 domains it takes 256") || len(fake.Link().Domains) != systemd.MaxDomains {
		t.Errorf("too many domains: %v", all)
	}
	h.domains = h.domains[:1]
	if h.keep(t.Context()); h.problems() != nil {
		t.Errorf("solved: %v", h.problems())
	}
}

func TestResolvedDomains(t *testing.T) {
	if got := resolvedDomains(snapshot.Build(snapshot.Input{})); got != nil {
		t.Errorf("without a mesh: %v", got)
	}
	snap := snapshot.Build(snapshot.Input{Catalog: mesh.Catalog{
		Mesh: mesh.Mesh{Domain: "mesh"}, Services: []mesh.Service{{Name: "a", Hostnames: []string{"z.example", "b.example"}}, {Name: "b"}},
	}})
	if got, want := resolvedDomains(snap), []string{"mesh", "b.example", "z.example"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	var r resolved
	for _, name := range []string{"z.example", "a.z.example"} {
		if r.isOwn(name) {
			t.Errorf("%s is asked of whom resolved asks", name)
		}
	}
	r.expect([]string{"z.example"})
	for name, want := range map[string]bool{"z.example": true, "a.z.example": true, "az.example": false, "example": false} {
		if r.isOwn(name) != want {
			t.Errorf("%s is asked of whom resolved asks: %v, want %v", name, !want, want)
		}
	}
}

// A host without a bus, or without a resolved on it, gets no link and hears nothing.
func TestResolvedIsNotThere(t *testing.T) {
	h := newResolvedHost(t)
	for _, bus := range []string{h.socket, filepath.Join(t.TempDir(), "none")} {
		h.bus = bus
		if h.settle(t.Context()) || h.hasLink() || h.problems() != nil || h.describe() != "" {
			t.Errorf("with bus %s: %v, %q", bus, h.problems(), h.describe())
		}
		if h.conn != nil {
			h.hangUp()
		}
	}
}
