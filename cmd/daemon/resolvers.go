package daemon

import (
	"bufio"
	"bytes"
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
	file    string
	port    uint16 // of the first
	sockets *listen.Set
	server  *dns.Server
	log     *slog.Logger

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
	r.end(keep)
	r.wanted = addrs[:keep]
	for _, addr := range addrs[keep:] {
		err := r.begin(ctx, addr)
		if lacksFamily(err) {
			r.log.Warn("resolver not served, its family has no loopback address", "resolver", addr)
			continue
		}
		if err != nil {
			return true, err
		}
	}
	r.wanted = addrs
	r.log.Info("resolvers served", "resolvers", addrs)
	return true, nil
}

// begin serves addr at the next port.
func (r *resolvers) begin(ctx context.Context, addr netip.Addr) error {
	loopback := netip.IPv6Loopback()
	if addr.Is4() {
		loopback = loopback4
	}
	at := netip.AddrPortFrom(loopback, r.port+uint16(len(r.serving)))
	udp, err := r.sockets.UDP("dns", at)
	if err != nil {
		return err
	}
	tcp, err := r.sockets.TCP(ctx, "dns", at)
	if err != nil {
		udp.Close()
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &serving{
		addr:    addr,
		binding: dns.Binding{Resolver: netip.AddrPortFrom(addr, 53), UDP: udp, TCP: tcp},
		cancel:  cancel,
		done:    make(chan struct{}),
	}
	r.serving = append(r.serving, s)
	go func() {
		defer close(s.done)
		if err := r.server.Serve(ctx, s.binding); err != nil {
			r.log.Error("dns binding ended", "resolver", addr, "error", err)
		}
	}()
	return nil
}

// end ends the slots from the first on.
func (r *resolvers) end(first int) {
	for _, s := range r.serving[first:] {
		s.cancel()
		<-s.done
		s.binding.UDP.Close()
		s.binding.TCP.Close()
	}
	r.serving = r.serving[:first]
}

// close ends all slots.
func (r *resolvers) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end(0)
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
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
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
