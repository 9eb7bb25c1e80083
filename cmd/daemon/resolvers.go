package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/meshd/meshd/bpf"
	"github.com/meshd/meshd/engine/dns"
	"github.com/meshd/meshd/engine/listen"
)

// resolverInterval is how often the list of resolvers is read. It is not watched by inotify, since the file is often a
// link into another folder, or mounted over, where a change gives no event.
const resolverInterval = time.Second

// resolvers serves the queries to the resolvers of the host, each at its own port.
type resolvers struct {
	name    string // of the listeners
	file    string
	most    int
	at      netip.Addr // where the first is served, the next address is that of the next; unset: on loopback, by ports
	port    uint16     // of the first
	sockets *listen.Set
	server  *dns.Server
	log     *slog.Logger

	// published is closed when there is a mesh. Before that queries wait: they would be answered as if there was none, and
	// those that a meshd before this one has left in the sockets are captured ones.
	published <-chan struct{}

	mu      sync.Mutex
	wanted  []netip.Addr // as the file named them when they were last served
	serving []*serving   // by slot
}

// serving is one slot: a binding and what ends it.
type serving struct {
	addr    netip.Addr
	binding dns.Binding
	cancel  context.CancelFunc
	done    chan struct{}
}

// list returns the resolvers that are served, by slot: the offset of the port.
func (r *resolvers) list() []netip.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	var addrs []netip.Addr
	for _, s := range r.serving {
		addrs = append(addrs, s.addr)
	}
	return addrs
}

// serve makes the resolvers that the file names the ones that are served, and says whether they differ from before.
// When a socket cannot be had, those before stay.
func (r *resolvers) serve(ctx context.Context) (changed bool, err error) {
	addrs, err := readResolvers(r.file)
	if err != nil {
		return false, err
	}
	addrs = addrs[:min(len(addrs), r.most)]
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Equal(addrs, r.wanted) {
		return false, nil
	}
	// A slot whose resolver stays is left alone. The others end first, because a new one may want their port.
	keep := 0
	for keep < min(len(addrs), len(r.serving)) && addrs[keep] == r.serving[keep].addr {
		keep++
	}
	// Their sockets are used again where they can be: the service manager holds duplicates, so that closing them would not
	// free their addresses.
	spare := r.end(keep)
	defer func() { closeAll(spare) }()
	r.wanted = addrs[:keep]
	for _, addr := range addrs[keep:] {
		err := r.begin(ctx, addr, spare)
		if lacksFamily(err) {
			r.log.Warn("resolver not served, its family has no loopback address", "resolver", addr)
			continue
		}
		if err != nil {
			return true, err
		}
	}
	r.wanted = addrs
	r.log.Info("resolvers served", "file", r.file, "resolvers", addrs)
	return true, nil
}

// begin serves addr in the next slot, with the spare sockets of that slot, if any.
func (r *resolvers) begin(ctx context.Context, addr netip.Addr, spare map[netip.AddrPort]dns.Binding) error {
	at := r.slot(len(r.serving), addr)
	binding, found := spare[at]
	if !found {
		var err error
		if binding, err = r.open(ctx, at); err != nil {
			return err
		}
	}
	delete(spare, at)
	binding.Resolver = netip.AddrPortFrom(addr, 53)
	ctx, cancel := context.WithCancel(ctx)
	s := &serving{addr: addr, binding: binding, cancel: cancel, done: make(chan struct{})}
	r.serving = append(r.serving, s)
	go func() {
		defer close(s.done)
		select {
		case <-r.published:
		case <-ctx.Done():
			return
		}
		if err := r.server.Serve(ctx, s.binding); err != nil {
			r.log.Error("dns binding ended", "resolver", addr, "error", err)
		}
	}()
	return nil
}

// open opens the sockets of a slot.
func (r *resolvers) open(ctx context.Context, at netip.AddrPort) (b dns.Binding, err error) {
	if b.UDP, err = r.sockets.UDP(r.name, at); err != nil {
		return b, err
	}
	if b.TCP, err = r.sockets.TCP(ctx, r.name, at); err != nil {
		b.UDP.Close()
	}
	return b, err
}

// slot returns where queries to addr arrive that is served in slot n.
func (r *resolvers) slot(n int, addr netip.Addr) netip.AddrPort {
	if at := r.at; at.IsValid() {
		for range n {
			at = at.Next()
		}
		return netip.AddrPortFrom(at, r.port)
	}
	loopback := netip.IPv6Loopback()
	if addr.Is4() {
		loopback = loopback4
	}
	return netip.AddrPortFrom(loopback, r.port+uint16(n))
}

// addresses returns where queries arrive.
func (r *resolvers) addresses() []netip.AddrPort {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []netip.AddrPort
	for n, s := range r.serving {
		all = append(all, r.slot(n, s.addr))
	}
	return all
}

// end ends the slots from the first on, and returns their sockets by where they are.
func (r *resolvers) end(first int) map[netip.AddrPort]dns.Binding {
	spare := map[netip.AddrPort]dns.Binding{}
	for i, s := range r.serving[first:] {
		s.cancel()
		<-s.done
		spare[r.slot(first+i, s.addr)] = s.binding
	}
	r.serving = r.serving[:first]
	return spare
}

func closeAll(bindings map[netip.AddrPort]dns.Binding) {
	for _, b := range bindings {
		b.UDP.Close()
		b.TCP.Close()
	}
}

// close ends all slots.
func (r *resolvers) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	closeAll(r.end(0))
}

// follow serves what the file names as it changes, until ctx ends. It calls changed after each change.
func (r *resolvers) follow(ctx context.Context, changed func()) {
	ticks := time.NewTicker(resolverInterval)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		differs, err := r.serve(ctx)
		if err != nil {
			r.log.Warn("resolvers not read", "file", r.file, "error", err)
		}
		if differs {
			changed()
		}
	}
}

// localResolvers are asked where resolv.conf names none: by the C libraries the first, by Go both.
var localResolvers = []netip.Addr{loopback4, netip.IPv6Loopback()}

// readResolvers returns the nameservers of a resolv.conf(5), as many as can be served.
func readResolvers(file string) ([]netip.Addr, error) {
	text, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("read resolvers: %w", err)
	}
	var addrs []netip.Addr
	named := false
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		addr, err := netip.ParseAddr(fields[1])
		addr = addr.Unmap()
		named = named || err == nil
		// The kernel programs know no zones: a link-local resolver is left to answer by itself.
		if err != nil || addr.Zone() != "" || slices.Contains(addrs, addr) || len(addrs) == bpf.MaxResolvers {
			continue
		}
		addrs = append(addrs, addr)
	}
	if !named {
		return localResolvers, nil
	}
	return addrs, nil
}
