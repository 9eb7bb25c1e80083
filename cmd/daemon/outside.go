package daemon

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/meshd/meshd/engine/config"
	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/engine/resolve"
	"github.com/meshd/meshd/engine/snapshot"
)

const (
	// outsidePatience is how long a start or a reload waits for the addresses of names that are new to it. Those that
	// come later are applied when they are there.
	outsidePatience = 2 * time.Second

	// outsideInterval is how often the mesh may be built anew because such addresses have changed.
	outsideInterval = time.Second
)

// newOutside makes what knows the addresses of endpoints outside the mesh. Its queries are not captured, as those of
// other processes are: a name that a service has declared leads to where it leads without the mesh.
func (d *daemon) newOutside() {
	d.outside = resolve.New(resolve.Config{Servers: d.nameservers, Changed: d.requestRebuild, Log: d.log})
}

// nameservers returns whom the host asks for a name now. Where that is systemd-resolved, which asks meshd for the host
// names of services, it is whom resolved asks.
func (d *daemon) nameservers(name string) []netip.AddrPort {
	file := d.options.resolvConf
	if _, err := os.Stat(resolvedUplinks); err == nil && d.resolved.isOwn(name) {
		file = resolvedUplinks
	}
	addrs, err := readResolvers(file)
	if err != nil {
		d.log.Warn("name servers not known", "error", err)
	}
	servers := make([]netip.AddrPort, len(addrs))
	for i, a := range addrs {
		servers[i] = netip.AddrPortFrom(a, 53)
	}
	return servers
}

// outsideNames returns the host names of the endpoints outside the mesh; none of no configuration.
func outsideNames(l *loaded) []string {
	if l == nil {
		return nil
	}
	var names []string
	for _, s := range l.config.Catalog.Services {
		for _, e := range s.Endpoints {
			if e.Hostname != "" {
				names = append(names, e.Hostname)
			}
		}
	}
	return names
}

// hostnamesOf returns the host names outside the mesh that stand for services; none of no configuration.
func hostnamesOf(l *loaded) []string {
	if l == nil {
		return nil
	}
	var names []string
	for _, s := range l.config.Catalog.Services {
		names = append(names, s.Hostnames...)
	}
	return names
}

// learnOutside looks up the names of a configuration that is to follow the one before, whose names stay known until it
// does, and waits for them, within reason.
func (d *daemon) learnOutside(ctx context.Context, before, next *loaded) {
	d.resolved.expect(append(hostnamesOf(before), hostnamesOf(next)...))
	d.outside.Watch(append(outsideNames(before), outsideNames(next)...))
	ctx, cancel := context.WithTimeout(ctx, outsidePatience)
	defer cancel()
	d.outside.Settle(ctx)
}

// build returns the next snapshot, of a configuration and what is known outside of it.
func (d *daemon) build(c *config.Config) *snapshot.Snapshot {
	previous := d.snapshots.Load()
	return snapshot.Build(snapshot.Input{
		Version: previous.Version() + 1, Catalog: c.Catalog, Host: c.Host, Addresses: d.outside.Addresses(), Previous: previous,
	})
}

// requestRebuild asks for a rebuild soon.
func (d *daemon) requestRebuild() {
	select {
	case d.rebuilds <- struct{}{}:
	default:
	}
}

// serveRebuilds follows the addresses outside the mesh until ctx ends.
func (d *daemon) serveRebuilds(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.rebuilds:
		}
		if err := d.rebuild(); err != nil {
			d.log.Error("addresses outside the mesh not applied", "error", err)
			d.requestRebuild()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(outsideInterval):
		}
	}
}

// rebuild makes the addresses that are known outside the mesh now those that are used: build, publish, retire. What fails
// leaves those before.
func (d *daemon) rebuild() error {
	d.changing.Lock()
	defer d.changing.Unlock()
	c := d.loaded.Load().config
	return d.publish(c, d.build(c))
}

// outsideProblems lists the names outside the mesh that have no address, or none that can be used.
func (d *daemon) outsideProblems() []control.Problem {
	var all []control.Problem
	for _, f := range d.outside.Failures() {
		what := fmt.Sprintf("%s, the name of an endpoint, is not found: %v", f.Name, f.Err)
		if f.Kept > 0 {
			what += "; the addresses that it had are used on"
		}
		all = append(all, control.Problem{What: what, Fix: "see what the name servers in " + d.options.resolvConf + " say: dig " + f.Name})
	}
	m := d.snapshots.Load().Mesh()
	addresses := d.outside.Addresses()
	for _, name := range slices.Sorted(maps.Keys(addresses)) {
		if !slices.ContainsFunc(addresses[name], func(a netip.Addr) bool { return snapshot.IsOutside(m, a) }) {
			all = append(all, control.Problem{
				What: fmt.Sprintf("%s, the name of an endpoint, leads to %s, where no endpoint outside the mesh can be", name, joined(addresses[name])),
				Fix:  "write the IP address of the endpoint, or mend what the name servers in " + d.options.resolvConf + " say",
			})
		}
	}
	return all
}
