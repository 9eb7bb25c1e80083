package systemd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

const (
	// SystemBus is the socket of the D-Bus of the host.
	SystemBus = "/run/dbus/system_bus_socket"
	// ResolvedSocket is where nss-resolve asks systemd-resolved.
	ResolvedSocket = "/run/systemd/resolve/io.systemd.Resolve"
	// MaxDomains is how many domains resolved takes for a link, since version 246.
	MaxDomains = 256

	resolvedName    = "org.freedesktop.resolve1"
	resolvedPath    = "/org/freedesktop/resolve1"
	resolvedManager = resolvedName + ".Manager."
	resolvedLink    = resolvedName + ".Link"

	// busPatience bounds a call. What a bus does not answer in this time it may not answer at all.
	busPatience = 2 * time.Second
	// linkInterval is how often resolved, which hears of a link from the kernel, is asked whether it has.
	linkInterval = 20 * time.Millisecond
)

var (
	// ErrOldResolved says that a systemd-resolved is too old to be told a port.
	ErrOldResolved = errors.New("systemd-resolved is older than version 246")
	// ErrManagedLink says that systemd-networkd has taken the link for its own.
	ErrManagedLink = errors.New("systemd-networkd manages the link")
	// ErrUnknownLink says that systemd-resolved does not see the link: it is in another network namespace.
	ErrUnknownLink = errors.New("systemd-resolved does not see the link")
)

// Resolved speaks with systemd-resolved over the system bus.
type Resolved struct {
	conn    *dbus.Conn
	changed chan struct{}
}

// Routing is which names a link is asked for, and where.
type Routing struct {
	Servers []netip.AddrPort
	Domains []string // each with all names below it
}

// DialResolved connects to the bus behind a socket. It does not wait for a resolved to be there.
func DialResolved(ctx context.Context, socket string) (*Resolved, error) {
	ctx, cancel := context.WithTimeout(ctx, busPatience)
	defer cancel()
	var dialer net.Dialer
	stream, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("dial the system bus: %w", err)
	}
	if until, ok := ctx.Deadline(); ok {
		_ = stream.SetDeadline(until) // fails only on a closed socket
	}
	conn, err := dbus.NewConn(stream)
	if err != nil {
		stream.Close()
		return nil, fmt.Errorf("open the system bus: %w", err)
	}
	r := &Resolved{conn: conn, changed: make(chan struct{}, 1)}
	if err := r.greet(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open the system bus: %w", err), conn.Close())
	}
	_ = stream.SetDeadline(time.Time{})
	return r, nil
}

// greet introduces us to the bus, and has it tell when resolved comes and goes.
func (r *Resolved) greet(ctx context.Context) error {
	if err := r.conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Geteuid()))}); err != nil {
		return err
	}
	if err := r.conn.Hello(); err != nil {
		return err
	}
	signals := make(chan *dbus.Signal, 8)
	r.conn.Signal(signals) // closed with the connection
	go r.pass(signals)
	return r.conn.AddMatchSignalContext(ctx, dbus.WithMatchSender("org.freedesktop.DBus"), dbus.WithMatchInterface("org.freedesktop.DBus"),
		dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, resolvedName))
}

// pass turns signals, of which many may come at a time, into one that something has changed.
func (r *Resolved) pass(signals <-chan *dbus.Signal) {
	defer close(r.changed)
	for s := range signals {
		// Every user of the host may send signals, also ones that look like those of the bus.
		if s.Sender != "org.freedesktop.DBus" || s.Name != "org.freedesktop.DBus.NameOwnerChanged" {
			continue
		}
		select {
		case r.changed <- struct{}{}:
		default:
		}
	}
}

// Changed tells that a resolved has come or gone. The channel is closed when the connection is.
func (r *Resolved) Changed() <-chan struct{} { return r.changed }

// IsConnected says whether the bus is still there.
func (r *Resolved) IsConnected() bool { return r.conn.Connected() }

// Close ends the connection. What resolved was told stays.
func (r *Resolved) Close() error { return r.conn.Close() }

// IsRunning says whether there is a resolved; it does not start one.
func (r *Resolved) IsRunning(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, busPatience)
	defer cancel()
	var has bool
	err := r.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, resolvedName).Store(&has)
	if err != nil {
		return false, fmt.Errorf("look for systemd-resolved: %w", err)
	}
	return has, nil
}

// server and domain are as resolved has them in its messages.
type (
	server struct {
		Family  int32
		Address []byte
		Port    uint16
		Name    string // for DNS over TLS
	}
	domain struct {
		Name  string
		Route bool // and not search
	}
)

// Route makes resolved send queries of a link's domains, and none but these, to the servers, unless it does so already.
// It says whether anything had to change.
func (r *Resolved) Route(ctx context.Context, link int, to Routing) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, busPatience)
	defer cancel()
	servers, domains := messageOf(to)
	path, err := r.awaitLink(ctx, link)
	if err != nil {
		return false, err
	}
	same, err := r.isRouted(ctx, path, servers, domains)
	if err != nil || same {
		return false, explainResolved(err)
	}
	// The servers come last: until then the link is asked for nothing.
	for _, step := range []struct {
		method string
		arg    any
	}{
		{"SetLinkDefaultRoute", false},
		{"SetLinkLLMNR", "no"},
		{"SetLinkMulticastDNS", "no"},
		{"SetLinkDNSOverTLS", "no"},
		{"SetLinkDNSSEC", "no"},
		{"SetLinkDomains", domains},
		{"SetLinkDNSEx", servers},
	} {
		if err := r.call(ctx, step.method, int32(link), step.arg).Err; err != nil {
			return true, explainResolved(fmt.Errorf("%s: %w", step.method, err))
		}
	}
	// It may remember that there are no such names.
	if err := r.call(ctx, "FlushCaches").Err; err != nil {
		return true, explainResolved(fmt.Errorf("FlushCaches: %w", err))
	}
	return true, nil
}

// call never starts a resolved that a person has stopped.
func (r *Resolved) call(ctx context.Context, method string, args ...any) *dbus.Call {
	return r.conn.Object(resolvedName, resolvedPath).CallWithContext(ctx, resolvedManager+method, dbus.FlagNoAutoStart, args...)
}

// awaitLink returns resolved's object for a link, which may be so new that resolved has not heard of it.
func (r *Resolved) awaitLink(ctx context.Context, link int) (path dbus.ObjectPath, err error) {
	ticks := time.NewTicker(linkInterval)
	defer ticks.Stop()
	for range 50 {
		err = r.call(ctx, "GetLink", int32(link)).Store(&path)
		if err == nil || !isBusError(err, resolvedName+".NoSuchLink") {
			return path, explainResolved(err)
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("ask systemd-resolved for the link: %w", ctx.Err())
		case <-ticks.C:
		}
	}
	return "", ErrUnknownLink
}

// isRouted says whether resolved has what it is to be told already. What meshd does not change again, such as whether the
// link may use DNSSEC, is told with it.
func (r *Resolved) isRouted(ctx context.Context, link dbus.ObjectPath, servers []server, domains []domain) (bool, error) {
	var all map[string]dbus.Variant
	call := r.conn.Object(resolvedName, link).CallWithContext(ctx, "org.freedesktop.DBus.Properties.GetAll", dbus.FlagNoAutoStart, resolvedLink)
	if err := call.Store(&all); err != nil {
		return false, fmt.Errorf("read what it knows of the link: %w", err)
	}
	var haveServers []server
	var haveDomains []domain
	var isDefault bool
	for name, to := range map[string]any{"DNSEx": &haveServers, "Domains": &haveDomains, "DefaultRoute": &isDefault} {
		value, ok := all[name]
		if !ok {
			return false, ErrOldResolved
		}
		if err := dbus.Store([]any{value.Value()}, to); err != nil {
			return false, fmt.Errorf("read what it knows of the link: %s: %w", name, err)
		}
	}
	same := func(a, b server) bool { return a.Port == b.Port && slices.Equal(a.Address, b.Address) }
	return !isDefault && slices.Equal(haveDomains, domains) && slices.EqualFunc(haveServers, servers, same), nil
}

func messageOf(to Routing) (servers []server, domains []domain) {
	for _, s := range to.Servers {
		family := int32(unix.AF_INET6)
		if s.Addr().Is4() {
			family = unix.AF_INET
		}
		servers = append(servers, server{Family: family, Address: s.Addr().AsSlice(), Port: s.Port()})
	}
	for _, d := range to.Domains {
		domains = append(domains, domain{Name: d, Route: true})
	}
	return servers, domains
}

// explainResolved says what an error of resolved's means.
func explainResolved(err error) error {
	switch {
	case err == nil:
		return nil
	case isBusError(err, "org.freedesktop.DBus.Error.UnknownMethod"):
		return fmt.Errorf("%w: %w", ErrOldResolved, err)
	case isBusError(err, resolvedName+".LinkBusy"):
		return fmt.Errorf("%w: %w", ErrManagedLink, err)
	}
	return fmt.Errorf("tell systemd-resolved: %w", err)
}

func isBusError(err error, name string) bool {
	var e dbus.Error
	return errors.As(err, &e) && e.Name == name
}
