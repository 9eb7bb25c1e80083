// Package resolvedtest is a system bus of a test's own, and a systemd-resolved on it that remembers what it is told.
package resolvedtest

import (
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"
)

const (
	name = "org.freedesktop.resolve1"
	path = "/org/freedesktop/resolve1"
)

// busConfig lets everybody do everything.
const busConfig = `<busconfig>
  <listen>unix:path=%s</listen>
  <auth>EXTERNAL</auth>
  <policy context="default"><allow own="*"/><allow user="*"/><allow send_destination="*"/><allow eavesdrop="true"/></policy>
</busconfig>
`

// StartBus runs a dbus-daemon until the test ends, and returns its socket and what ends it earlier.
func StartBus(t testing.TB) (socket string, stop func()) {
	t.Helper()
	dir, err := os.MkdirTemp("", "bus") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "bus")
	config := filepath.Join(dir, "bus.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, busConfig, socket), 0o600); err != nil {
		t.Fatal(err)
	}
	daemon := exec.Command("dbus-daemon", "--config-file="+config, "--nofork", "--nosyslog", "--print-address")
	out, err := daemon.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = daemon.Process.Kill() // it may have ended
		_ = daemon.Wait()         // with an error: it was killed
		_ = os.RemoveAll(dir)     // it is in the folder of temporary files
	})
	t.Cleanup(stop)
	if _, err := io.ReadAtLeast(out, make([]byte, 4096), 1); err != nil { // its address, once it listens
		t.Fatal("dbus-daemon does not start:", err)
	}
	return socket, stop
}

type (
	// Server is one of a link's.
	Server struct {
		Family  int32
		Address []byte
		Port    uint16
		Name    string
	}
	// Domain is one of a link's.
	Domain struct {
		Name  string
		Route bool
	}
	// Link is what a resolved knows of a link.
	Link struct {
		Servers []Server
		Domains []Domain
		Default bool
		Modes   map[string]string // what SetLinkLLMNR and the like have set
	}
)

// Resolved is one of version 247 or later.
type Resolved struct {
	conn *dbus.Conn

	mu     sync.Mutex
	link   Link
	calls  []string
	errors map[string]string // by method
}

// Start puts a resolved on the bus, until the test ends or Close.
func Start(t testing.TB, socket string) *Resolved {
	t.Helper()
	conn, err := dbus.Connect("unix:path=" + socket)
	if err != nil {
		t.Fatal(err)
	}
	r := &Resolved{conn: conn, link: Link{Default: true, Modes: map[string]string{}}, errors: map[string]string{}}
	t.Cleanup(r.Close)
	methods := map[string]any{
		"GetLink": func(index int32) (dbus.ObjectPath, *dbus.Error) {
			return dbus.ObjectPath(fmt.Sprintf("%s/link/%d", path, index)), r.note("GetLink", func() {})
		},
		"SetLinkDNSEx": func(_ int32, servers []Server) *dbus.Error {
			return r.note("SetLinkDNSEx", func() { r.link.Servers = servers })
		},
		"SetLinkDomains": func(_ int32, domains []Domain) *dbus.Error {
			return r.note("SetLinkDomains", func() { r.link.Domains = domains })
		},
		"SetLinkDefaultRoute": func(_ int32, is bool) *dbus.Error {
			return r.note("SetLinkDefaultRoute", func() { r.link.Default = is })
		},
		"FlushCaches": func() *dbus.Error { return r.note("FlushCaches", func() {}) },
	}
	for _, method := range []string{"SetLinkLLMNR", "SetLinkMulticastDNS", "SetLinkDNSOverTLS", "SetLinkDNSSEC"} {
		methods[method] = func(_ int32, mode string) *dbus.Error {
			return r.note(method, func() { r.link.Modes[method] = mode })
		}
	}
	properties := map[string]any{"GetAll": func(string) (map[string]dbus.Variant, *dbus.Error) {
		l := r.Link()
		return map[string]dbus.Variant{
			"DNSEx": dbus.MakeVariant(l.Servers), "Domains": dbus.MakeVariant(l.Domains), "DefaultRoute": dbus.MakeVariant(l.Default),
		}, nil
	}}
	if err := conn.ExportMethodTable(methods, path, name+".Manager"); err != nil {
		t.Fatal(err)
	}
	if err := conn.ExportSubtreeMethodTable(properties, path+"/link", "org.freedesktop.DBus.Properties"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RequestName(name, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	return r
}

// note does what a call asks for, unless it is to fail.
func (r *Resolved) note(method string, do func()) *dbus.Error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if fault := r.errors[method]; fault != "" {
		return dbus.NewError(fault, []any{"as the test wants it"})
	}
	if method != "GetLink" {
		r.calls = append(r.calls, method)
	}
	do()
	return nil
}

// Fail makes a method fail with an error of that name; empty: not any more.
func (r *Resolved) Fail(method, fault string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errors[method] = fault
}

// Link returns what it was told of the link.
func (r *Resolved) Link() Link {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.link
	l.Modes = maps.Clone(l.Modes)
	return l
}

// Calls returns by which methods it was told, since the last time.
func (r *Resolved) Calls() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := slices.Clone(r.calls)
	r.calls = nil
	return calls
}

// Close takes it off the bus.
func (r *Resolved) Close() { r.conn.Close() }
