package daemon

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/health"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/observe"
	"github.com/meshd/meshd/engine/snapshot"
)

const (
	lookInterval = 200 * time.Millisecond // from one look at the states of endpoints to the next
	tellInterval = time.Second            // from one change of a service in the kernel to the next, however its endpoints flap
)

// suspicion is the check of a port without one none of whose endpoints, or of those of one of its subsets, has accepted its last
// connection. As soon as they
// count as down the kernel refuses connections, which programs that look elsewhere then, or that probe a port, understand:
// a connection that meshd takes and resets looks to them as if somebody listened there. And who stands in does so from then on.
var suspicion = mesh.Check{Kind: mesh.CheckTCP, Interval: time.Second, Timeout: 4 * time.Second, Fall: 2, Rise: 1}

// targetsOf lists the endpoints that are to be checked: those of services with a check, and of ports under suspicion.
func targetsOf(snap *snapshot.Snapshot, suspects map[mesh.ServiceID]bool) []health.Target {
	var all []health.Target
	add := func(check mesh.Check, ports ...*snapshot.Port) {
		for i := range ports[0].Group.Endpoints() {
			t := health.Target{Service: ports[0].Service.Name, Check: check}
			for _, p := range ports {
				t.Endpoints = append(t.Endpoints, p.Group.Endpoints()[i])
			}
			all = append(all, t)
		}
	}
	for _, s := range snap.Services() {
		if s.Check != nil && len(s.Ports) > 0 {
			add(*s.Check, s.Ports...)
			continue
		}
		for _, p := range s.Ports {
			if suspects[p.ID] {
				add(suspicion, p)
			}
		}
	}
	return all
}

// isSuspectPort says whether a port without a check is to be checked.
func isSuspectPort(p *snapshot.Port, already bool) bool {
	return isSuspect(p.Group.Endpoints(), already) ||
		slices.ContainsFunc(p.Subsets, func(g *balance.Group) bool { return isSuspect(g.Endpoints(), already) })
}

// isSuspect says whether endpoints are to be checked: from when all of them fail until all are up.
func isSuspect(endpoints []*balance.Endpoint, already bool) bool {
	if already && slices.ContainsFunc(endpoints, func(e *balance.Endpoint) bool { return e.Health().State == balance.Down }) {
		return true
	}
	return len(endpoints) > 0 && !slices.ContainsFunc(endpoints, func(e *balance.Endpoint) bool { return !e.Failing() })
}

// followHealth keeps the endpoints that the kernel connects to by itself those that are up, and logs what changes.
func (d *daemon) followHealth(ctx context.Context) {
	f := healthFollower{daemon: d, since: d.started}
	ticks := time.NewTicker(lookInterval)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		d.changing.Lock()
		f.look(time.Now())
		d.changing.Unlock()
	}
}

// healthFollower remembers what the kernel has been told.
type healthFollower struct {
	*daemon
	told      map[*balance.Group]told
	since     time.Time // of the last look
	confirmed time.Time // the verdicts, in memory
}

// told is what the kernel was told of a group.
type told struct {
	version  uint64
	backends []netip.AddrPort
	at       time.Time
}

// look checks what fails, and tells the kernel of each service whose endpoints have changed their state. d.changing must
// be held.
func (f *healthFollower) look(now time.Time) {
	f.suspect()
	all := make(map[*balance.Group]told, len(f.told))
	for _, s := range f.snapshots.Load().Services() {
		for _, p := range s.Ports {
			all[p.Group] = f.tell(p, f.told[p.Group], now)
		}
	}
	f.told, f.since = all, now
	if now.Sub(f.confirmed) >= confirmInterval {
		f.confirmed = now
		f.memory.endpoints.Changed()
	}
}

// tell tells the kernel which endpoints of a port are up, if that may have changed, and returns what it knows now.
func (f *healthFollower) tell(p *snapshot.Port, before told, now time.Time) told {
	version, isNew := p.Group.Version(), before.at.IsZero()
	if !isNew && now.Sub(before.at) < tellInterval {
		return before
	}
	backends := before.backends
	if isNew || version != before.version || p.Elsewhere {
		backends = p.Backends()
	}
	if !isNew && version == before.version && slices.Equal(backends, before.backends) {
		return before
	}
	err := f.kernel.SetBackends(p.ID, backends)
	if isNew {
		before.at = f.since
	}
	f.logTransitions(p, before.at, now)
	f.memory.endpoints.Changed()
	if err != nil {
		f.log.Error("endpoints of a service not updated in the kernel", "service", p.Service.Name, "error", err)
		version, backends = before.version-1, nil // so that it is tried again
	}
	return told{version, backends, now}
}

// suspect has those ports checked that are under suspicion now.
func (d *daemon) suspect() {
	snap := d.snapshots.Load()
	suspects := make(map[mesh.ServiceID]bool)
	for _, s := range snap.Services() {
		for _, p := range s.Ports {
			if s.Check == nil && isSuspectPort(p, d.suspects[p.ID]) {
				suspects[p.ID] = true
			}
		}
	}
	if !maps.Equal(suspects, d.suspects) {
		d.suspects = suspects
		d.checks.Set(targetsOf(snap, suspects))
	}
}

// logTransitions logs how the states of the endpoints have changed in a span of time.
func (d *daemon) logTransitions(p *snapshot.Port, after, until time.Time) {
	for _, e := range p.Group.Endpoints() {
		for _, t := range e.Health().History {
			if t.Time.After(after) && !t.Time.After(until) {
				d.log.Info("endpoint changed its state", "service", p.Service.Name, "endpoint", e.Name(),
					"state", string(t.State), "reason", t.Reason)
			}
		}
	}
}

// endpointStates is what metrics show of the endpoints.
func (d *daemon) endpointStates(yield func(observe.EndpointState) bool) {
	for _, s := range d.snapshots.Load().Services() {
		for _, p := range s.Ports {
			for _, e := range p.Group.Endpoints() {
				if !yield(observe.EndpointState{Service: s.Name, Endpoint: e.Address.String(), Up: e.Health().State == balance.Up}) {
					return
				}
			}
		}
	}
}
