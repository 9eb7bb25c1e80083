package systemd

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/systemd/resolvedtest"
)

var routing = Routing{
	Servers: []netip.AddrPort{netip.MustParseAddrPort("127.15.0.53:15053"), netip.MustParseAddrPort("[::1]:15053")},
	Domains: []string{"mesh", "api.stripe.com"},
}

// newBus returns the socket of a bus, after whose end no goroutine is left.
func newBus(t *testing.T) (socket string, stop func()) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	return resolvedtest.StartBus(t)
}

func dialResolved(t *testing.T, socket string) *Resolved {
	t.Helper()
	r, err := DialResolved(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestRoute(t *testing.T) {
	socket, _ := newBus(t)
	fake := resolvedtest.Start(t, socket)
	r := dialResolved(t, socket)
	route := func(to Routing, want bool) {
		t.Helper()
		if changed, err := r.Route(t.Context(), 7, to); changed != want || err != nil {
			t.Fatalf("changed: %v, %v, want %v", changed, err, want)
		}
	}
	route(routing, true)
	want := resolvedtest.Link{
		Servers: []resolvedtest.Server{
			{Family: unix.AF_INET, Address: []byte{127, 15, 0, 53}, Port: 15053},
			{Family: unix.AF_INET6, Address: netip.IPv6Loopback().AsSlice(), Port: 15053},
		},
		Domains: []resolvedtest.Domain{{Name: "mesh", Route: true}, {Name: "api.stripe.com", Route: true}},
		Modes:   map[string]string{"SetLinkLLMNR": "no", "SetLinkMulticastDNS": "no", "SetLinkDNSOverTLS": "no", "SetLinkDNSSEC": "no"},
	}
	if diff := cmp.Diff(want, fake.Link()); diff != "" {
		t.Errorf("what it was told (-want +got):\n%s", diff)
	}
	calls := fake.Calls()
	if calls[0] != "SetLinkDefaultRoute" || calls[len(calls)-2] != "SetLinkDNSEx" || calls[len(calls)-1] != "FlushCaches" {
		t.Errorf("the link is asked before it is set up, or after what was remembered of it: %v", calls)
	}

	if route(routing, false); len(fake.Calls()) > 0 {
		t.Error("it was told again what it knows")
	}
	fewer := Routing{Servers: routing.Servers, Domains: routing.Domains[:1]}
	if route(fewer, true); len(fake.Link().Domains) != 1 {
		t.Errorf("domains are %v", fake.Link().Domains)
	}
}

func TestResolvedRestarts(t *testing.T) {
	socket, stop := newBus(t)
	r := dialResolved(t, socket)
	running := func(want bool) {
		t.Helper()
		if got, err := r.IsRunning(t.Context()); got != want || err != nil {
			t.Errorf("running: %v, %v, want %v", got, err, want)
		}
	}
	running(false)
	fake := resolvedtest.Start(t, socket)
	<-r.Changed()
	running(true)
	if _, err := r.Route(t.Context(), 7, routing); err != nil {
		t.Fatal(err)
	}
	fake.Close()
	<-r.Changed()
	running(false)
	fake = resolvedtest.Start(t, socket)
	<-r.Changed()
	if changed, err := r.Route(t.Context(), 7, routing); !changed || err != nil {
		t.Errorf("a resolved that is new is told: %v, %v", changed, err)
	}
	fake.Close()
	stop()
	for range r.Changed() { //nolint:revive // until it is closed
	}
	if r.IsConnected() {
		t.Error("connected to a bus that is gone")
	}
	if _, err := DialResolved(t.Context(), socket); !errors.Is(err, unix.ENOENT) {
		t.Errorf("no bus: %v", err)
	}
}

// A signal that another user of the bus has made up, in the hope to keep meshd busy, is not heard.
func TestForgedSignal(t *testing.T) {
	socket, _ := newBus(t)
	r := dialResolved(t, socket)
	user, err := dbus.Connect("unix:path=" + socket)
	if err != nil {
		t.Fatal(err)
	}
	defer user.Close()
	signal := &dbus.Message{Type: dbus.TypeSignal, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: dbus.MakeVariant(r.conn.Names()[0]),
		dbus.FieldInterface:   dbus.MakeVariant("org.freedesktop.DBus"),
		dbus.FieldMember:      dbus.MakeVariant("NameOwnerChanged"),
		dbus.FieldPath:        dbus.MakeVariant(dbus.ObjectPath("/org/freedesktop/DBus")),
		dbus.FieldSignature:   dbus.MakeVariant(dbus.SignatureOf("", "", "")),
	}, Body: []any{resolvedName, "", ":1.1"}}
	if err := user.Send(signal, nil).Err; err != nil {
		t.Fatal(err)
	}
	// The bus keeps the order of what it passes on: with the answer to a later call the signal has come.
	if err := user.BusObject().Call("org.freedesktop.DBus.GetId", 0).Err; err != nil {
		t.Fatal(err)
	}
	if _, err := r.IsRunning(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, heard := <-r.Changed(); heard {
		t.Error("the signal of a user counts as one of the bus")
	}
}

func TestResolvedRefuses(t *testing.T) {
	socket, _ := newBus(t)
	fake := resolvedtest.Start(t, socket)
	r := dialResolved(t, socket)
	for _, c := range []struct {
		method, fault string
		want          error
	}{
		{"SetLinkDNSEx", "org.freedesktop.DBus.Error.UnknownMethod", ErrOldResolved},
		{"SetLinkDefaultRoute", "org.freedesktop.resolve1.LinkBusy", ErrManagedLink},
		{"GetLink", "org.freedesktop.resolve1.NoSuchLink", ErrUnknownLink},
	} {
		fake.Fail(c.method, c.fault)
		if _, err := r.Route(t.Context(), 7, routing); !errors.Is(err, c.want) {
			t.Errorf("%s is refused with %s: %v, want %v", c.method, c.fault, err, c.want)
		}
		fake.Fail(c.method, "")
	}
	fake.Fail("SetLinkDomains", "org.freedesktop.DBus.Error.AccessDenied")
	if _, err := r.Route(t.Context(), 7, routing); err == nil || !strings.Contains(err.Error(), "SetLinkDomains: as the test wants it") {
		t.Errorf("refused: %v", err)
	}
	if calls := fake.Calls(); slices.Contains(calls[len(calls)-5:], "SetLinkDNSEx") {
		t.Errorf("servers without domains: %v", calls)
	}
}
