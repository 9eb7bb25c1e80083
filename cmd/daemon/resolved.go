package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/engine/snapshot"
	"github.com/meshd/meshd/systemd"
)

const (
	// resolvedUplinks is where systemd-resolved writes whom it asks itself.
	resolvedUplinks = "/run/systemd/resolve/resolv.conf"
	// maxUplinks is how many of them are asked for what is not of the mesh below the name of an outside service.
	maxUplinks = 3
	// resolvedInterval is how often resolved is asked whether it still has what it was told, which other tools can change.
	resolvedInterval = 5 * time.Second
	// resolvedPatience is how long a start or a reload waits for resolved.
	resolvedPatience = 2 * time.Second
)

// resolvedServer is the first of the addresses at which systemd-resolved asks meshd. They stand on the link, too, and are
// of loopback, so that the host has no address more by which others might take it.
var resolvedServer = netip.AddrFrom4([4]byte{127, 15, 0, 53})

// resolved is the way in for programs whose queries systemd-resolved takes by its socket or by D-Bus, where the kernel
// programs see none: a link whose domains are those of the mesh and whose servers are meshd.
//
// The servers are none of those that stand for the resolvers of resolv.conf. A query that meshd does not answer goes on
// from there to the host's stub of resolved, and resolved would ask meshd again; from here it goes to whom resolved asks.
type resolved struct {
	bus      string // its socket
	socket   string // of resolved itself
	domains  func() []string
	uplinks  *resolvers
	notifier *systemd.Notifier
	log      *slog.Logger
	dialled  chan struct{}            // the bus is a new one, of whose signals follow has not heard
	own      atomic.Pointer[[]string] // host names of services, whose real addresses resolved does not tell meshd

	mu     sync.Mutex // held while the host is compared and changed
	conn   *systemd.Resolved
	stored *os.File // of the process before
	link   *systemd.NameLink
	state  atomic.Pointer[resolvedState]
}

// resolvedState is what came of it.
type resolvedState struct {
	running bool
	domains int   // that are routed here
	failure error // why they are not; nil: they are
}

func (d *daemon) newResolved(stored []*os.File) *resolved {
	r := &resolved{
		bus: systemd.SystemBus, socket: systemd.ResolvedSocket, notifier: d.notifier, log: d.log,
		dialled: make(chan struct{}, 1),
		domains: func() []string { return resolvedDomains(d.snapshots.Load()) },
	}
	r.state.Store(&resolvedState{})
	if len(stored) > 0 {
		r.stored = stored[0]
	}
	return r
}

// resolvedDomains returns what resolved is to ask meshd for.
func resolvedDomains(snap *snapshot.Snapshot) []string {
	domain := snap.Mesh().Domain
	if domain == "" {
		return nil
	}
	var names []string
	for _, s := range snap.Services() {
		names = append(names, s.Hostnames...)
	}
	slices.Sort(names)
	return append([]string{domain}, names...)
}

// follow keeps the link and what resolved knows of it, until ctx ends. Both stay then, for as long as the service manager
// stores the link: over a restart.
func (r *resolved) follow(ctx context.Context, changed func()) {
	defer r.close()
	ticks := time.NewTicker(resolvedInterval)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		case <-r.dialled:
		case <-r.comesAndGoes():
		}
		if r.keep(ctx) {
			changed()
		}
	}
}

// comesAndGoes tells that resolved, or the bus, has come or gone; never while there is no bus.
func (r *resolved) comesAndGoes() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn == nil {
		return nil
	}
	return r.conn.Changed()
}

// settle keeps as follow does, once, and at a boot waits for a resolved that is there and still on its way to the bus.
func (r *resolved) settle(ctx context.Context) (listeners bool) {
	ctx, cancel := context.WithTimeout(ctx, resolvedPatience)
	defer cancel()
	for {
		listeners = r.keep(ctx)
		if r.state.Load().running || !r.answers(ctx) {
			return listeners
		}
		select {
		case <-ctx.Done():
			return listeners
		case <-r.comesAndGoes():
		}
	}
}

// answers says whether a resolved takes the queries of programs.
func (r *resolved) answers(ctx context.Context) bool {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", r.socket)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// keep makes resolved ask meshd for the names of the mesh. It says whether meshd has other listeners now.
func (r *resolved) keep(life context.Context) (listeners bool) {
	ctx, cancel := context.WithTimeout(life, resolvedPatience)
	defer cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	domains := r.domains()
	s := &resolvedState{domains: len(domains)}
	s.running = r.isRunning(ctx)
	switch {
	case len(domains) == 0:
		r.drop()
	case s.running:
		listeners, s.failure = r.route(ctx, domains)
	}
	if life.Err() == nil { // else what failed did so because meshd ends
		r.note(s)
	}
	return listeners
}

// isRunning says whether there is a resolved, on a host with D-Bus. One that has both not gets none.
func (r *resolved) isRunning(ctx context.Context) bool {
	if r.conn != nil && !r.conn.IsConnected() {
		r.hangUp()
	}
	if r.conn == nil {
		conn, err := systemd.DialResolved(ctx, r.bus)
		if err != nil {
			return false
		}
		r.conn = conn
		select {
		case r.dialled <- struct{}{}:
		default:
		}
	}
	running, err := r.conn.IsRunning(ctx)
	if err != nil {
		r.hangUp()
	}
	return running
}

func (r *resolved) hangUp() {
	if err := r.conn.Close(); err != nil {
		r.log.Debug("system bus not closed", "error", err)
	}
	r.conn = nil
}

// route brings about the link, the servers and the domains, in this order.
func (r *resolved) route(ctx context.Context, domains []string) (listeners bool, err error) {
	if r.link != nil && r.link.Keep() != nil {
		r.drop()
	}
	if r.link == nil {
		stored := r.stored
		r.stored = nil // it is taken over or closed
		if r.link, err = systemd.OpenNameLink(stored, resolvedServer); err != nil {
			return false, err
		}
		if err := r.notifier.StoreFDs(systemd.NameLinkName, r.link.File()); err != nil {
			r.log.Warn("service manager not notified", "of", systemd.NameLinkName, "error", err)
		}
	}
	// What resolved asks is served until the end of meshd, as is everything else that serves, and not for as long as ctx.
	if listeners, err = r.uplinks.serve(context.WithoutCancel(ctx)); err != nil {
		return listeners, err
	}
	to := systemd.Routing{Servers: r.uplinks.addresses(), Domains: domains[:min(len(domains), systemd.MaxDomains)]}
	changed, err := r.conn.Route(ctx, r.link.Index(), to)
	if err == nil && changed {
		r.log.Info("systemd-resolved asks meshd for names", "link", systemd.NameLinkName, "domains", len(to.Domains))
	}
	if err == nil && len(domains) > len(to.Domains) {
		err = fmt.Errorf("of %d domains it takes %d: the mesh domain and the first hostnames", len(domains), systemd.MaxDomains)
	}
	return listeners, err
}

// drop gives the link up, and with it all that resolved knows of it.
func (r *resolved) drop() {
	if r.stored == nil && r.link == nil {
		return
	}
	errs := []error{r.notifier.RemoveFDs(systemd.NameLinkName)}
	if r.stored != nil {
		errs = append(errs, r.stored.Close())
	}
	if r.link != nil {
		errs = append(errs, r.link.Close())
	}
	r.stored, r.link = nil, nil
	if err := errors.Join(errs...); err != nil {
		r.log.Warn("link not given up", "link", systemd.NameLinkName, "error", err)
	}
}

// close lets go of everything, and takes nothing back.
func (r *resolved) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn != nil {
		r.hangUp()
	}
	if r.link != nil {
		if err := r.link.Close(); err != nil {
			r.log.Warn("link not closed", "link", systemd.NameLinkName, "error", err)
		}
		r.link = nil
	}
	r.uplinks.close()
}

// note logs what is news.
func (r *resolved) note(s *resolvedState) {
	before := r.state.Swap(s)
	if s.failure != nil && (before.failure == nil || before.failure.Error() != s.failure.Error()) {
		r.log.Error("systemd-resolved does not ask meshd for all names of the mesh", "error", s.failure)
	}
}

// resolvedFixes are what a person can do, by why it fails.
var resolvedFixes = []struct {
	err error
	fix string
}{
	{systemd.ErrForeignLink, "rename that link: ip link set " + systemd.NameLinkName + " down name NAME"},
	{systemd.ErrNoTun, "modprobe tun; in a container, give it /dev/net/tun"},
	{systemd.ErrOldResolved, "resolve names by /etc/resolv.conf: take resolve out of the hosts line of /etc/nsswitch.conf"},
	{systemd.ErrManagedLink, "write [Match] Name=" + systemd.NameLinkName + " and [Link] Unmanaged=yes into /etc/systemd/network/05-meshd.network; networkctl reload"},
	{systemd.ErrUnknownLink, "run meshd in the network namespace of systemd-resolved, or without the D-Bus socket of another one"},
	{os.ErrPermission, "run meshd as root, or through its unit"},
}

// problems says what keeps programs that ask resolved from the names of the mesh.
func (r *resolved) problems() []control.Problem {
	s := r.state.Load()
	if s.failure == nil {
		return nil
	}
	problem := control.Problem{
		What: "programs that resolve names through systemd-resolved do not see all names of the mesh: " + s.failure.Error(),
		Fix:  "resolvectl status " + systemd.NameLinkName + "; journalctl -u systemd-resolved -e",
	}
	for _, f := range resolvedFixes {
		if errors.Is(s.failure, f.err) {
			problem.Fix = f.fix
		}
	}
	return []control.Problem{problem}
}

// describe says in a few words what resolved asks meshd; empty on a host without it.
func (r *resolved) describe() string {
	s := r.state.Load()
	if !s.running || s.domains == 0 || s.failure != nil {
		return ""
	}
	return fmt.Sprintf("systemd-resolved asks for %d of its domains at link %s", s.domains, systemd.NameLinkName)
}

// expect has meshd itself ask whom resolved asks for the names that resolved would ask meshd for.
func (r *resolved) expect(names []string) { r.own.Store(&names) }

// isOwn says whether resolved, were it asked for a name, would ask meshd.
func (r *resolved) isOwn(name string) bool {
	names := r.own.Load()
	return names != nil && slices.ContainsFunc(*names, func(own string) bool {
		return name == own || strings.HasSuffix(name, "."+own)
	})
}
