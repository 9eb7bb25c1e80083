package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"os"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/snapshot"
)

// backend is what the control socket shows of the daemon.
type backend struct{ d *daemon }

var _ control.Backend = backend{}

// Status implements control.Backend.
func (b backend) Status() control.Status {
	d := b.d
	l := d.loaded.Load()
	snap := d.snapshots.Load()
	s := control.Status{
		Host:     d.hostName(),
		Mesh:     l.config.Catalog.Mesh.Name,
		Version:  build().String(),
		PID:      os.Getpid(),
		Started:  d.started,
		State:    control.StateReady,
		Problems: d.problems(),
		Capture:  d.captureState(),
		Config: control.LoadedConfig{
			Hash: l.config.Hash, LoadedAt: l.at, Files: l.config.Files, LastError: l.refused,
		},
		Services:    len(snap.Services()),
		Connections: control.ConnectionCounts{Open: len(d.outbound.Connections()), OpenedTotal: d.outbound.Opened()},
		DNS:         control.DNS{Queries: d.queries.Load()},
		Refused:     d.refused(snap),
	}
	for _, service := range snap.Services() {
		s.Endpoints += len(service.Endpoints)
	}
	for _, r := range d.capturedResolvers() {
		s.DNS.Resolvers = append(s.DNS.Resolvers, netip.AddrPortFrom(r, 53).String())
	}
	for _, socket := range d.sockets.Sockets() {
		address := socket.Address
		if socket.Network == "udp" {
			address += "/udp"
		}
		s.Listeners = append(s.Listeners, control.Listener{Name: socket.Name, Address: address})
	}
	if len(s.Problems) > 0 {
		s.State = control.StateDegraded
	}
	if !d.isReady.Load() {
		s.State = control.StateStarting
	}
	if d.draining.Load() {
		s.State = control.StateDraining
	}
	return s
}

func (d *daemon) captureState() control.Capture {
	have, want := d.kernel.Attached()
	age, err := d.kernel.HeartbeatAge()
	capture := d.loaded.Load().config.Capture
	c := control.Capture{
		State: control.CaptureActive, Mode: capture.Mode, Disabled: d.kernel.IsOff(), Fail: capture.Fail,
		Cgroup: d.cgroup, Programs: have, HeartbeatAgeMS: age.Milliseconds(),
	}
	switch {
	case have < want || err != nil || !d.beats() || d.probe.failure.Load() != nil:
		c.State = control.CaptureDegraded
	case c.Disabled || capture.Mode == mesh.CaptureOff || !d.hasMesh():
		c.State = control.CaptureOff
	}
	return c
}

// Services implements control.Backend.
func (b backend) Services() []control.Service {
	snap := b.d.snapshots.Load()
	var all []control.Service
	for _, s := range snap.Services() {
		row := control.Service{
			Name: s.Name, Port: s.Port, Protocol: s.Protocol, Balancing: s.Balancing,
			Endpoints: len(s.Endpoints), Local: s.Local, Hostnames: s.Hostnames,
		}
		for _, l := range s.Listeners {
			row.Listeners = append(row.Listeners, control.ServiceListener(l))
		}
		if s.Port != 0 {
			row.Addresses = []netip.Addr{s.Virtual4, s.Virtual6}
			row.DNSName = s.Name + "." + snap.Mesh().Domain
		}
		all = append(all, row)
	}
	return all
}

// Endpoints implements control.Backend.
func (b backend) Endpoints() []control.Endpoint {
	var all []control.Endpoint
	for _, s := range b.d.snapshots.Load().Services() {
		for _, p := range s.Ports {
			for _, e := range p.Group.Endpoints() {
				all = append(all, endpointRow(p, e))
			}
		}
	}
	return all
}

func endpointRow(p *snapshot.Port, e *balance.Endpoint) control.Endpoint {
	row := control.Endpoint{
		Service: p.Service.Name, Listener: p.Listener, Name: e.Name(), Host: e.Host, Hostname: e.Hostname, Address: e.Address,
		Weight: e.Weight, Tags: e.Tags, Active: int(e.Active()), Connected: e.Connected(), Failed: e.Failed(),
	}
	if f := e.LastFailure(); f != nil {
		row.LastFailure = &control.Failure{At: f.Time, Text: f.Text}
	}
	h := e.Health()
	row.State = control.EndpointState(h.State)
	if !h.Until.IsZero() {
		row.EjectedUntil = &h.Until
	}
	for _, t := range h.History {
		row.History = append(row.History, control.Transition{At: t.Time, State: control.EndpointState(t.State), Reason: t.Reason})
	}
	return row
}

// Connections implements control.Backend.
func (b backend) Connections() []control.Connection {
	var all []control.Connection
	for _, c := range b.d.outbound.Connections() {
		all = append(all, control.Connection{
			ID: c.ID, OpenedAt: c.Start, PID: c.Flow.PID, UID: c.Flow.UID, Unit: c.Caller.Unit, Source: c.Source,
			Client: c.Client, OriginalDestination: c.Flow.Destination, Destination: c.Destination,
			Endpoint: c.Endpoint, EndpointAddress: c.Address, Sent: c.Sent, Received: c.Received,
			State: control.ConnectionState(c.State),
		})
	}
	return all
}

// Check implements control.Backend.
func (b backend) Check(ctx context.Context) []control.CheckResult { return b.d.checkSelf(ctx) }

// Reload implements control.Backend.
func (b backend) Reload(ctx context.Context) control.ReloadResult { return b.d.reload(ctx) }

// Switch implements control.Backend.
func (b backend) Switch(on bool) control.SwitchResult { return b.d.switchCapture(on) }

// hasMesh is false on a host where meshd was only installed so far.
func (d *daemon) hasMesh() bool {
	_, has := probeAddress(d.snapshots.Load().Mesh())
	return has
}

// hostName is the name of this host in the mesh, or without one what the host calls itself.
func (d *daemon) hostName() string {
	if name := d.loaded.Load().config.Host.Name; name != "" {
		return name
	}
	name, _ := d.env.Hostname() // the mesh does without it as well
	return name
}

// capturedResolvers returns the resolvers of the host, queries to which come here.
func (d *daemon) capturedResolvers() []netip.Addr {
	if !d.hasMesh() {
		return nil
	}
	return d.resolvers.list()
}

// statusLine is what systemctl status shows.
func (d *daemon) statusLine() string {
	l := d.loaded.Load()
	endpoints := 0
	for _, s := range l.config.Catalog.Services {
		endpoints += len(s.Endpoints)
	}
	line := fmt.Sprintf("%s, %s, config %s", counted(len(l.config.Catalog.Services), "service"), counted(endpoints, "endpoint"), l.config.Hash)
	if !d.hasMesh() {
		line = "no mesh is configured yet, nothing is captured, config " + l.config.Hash
	}
	if l.refused != nil {
		line += " (a later one was refused: meshctl status)"
	}
	return line
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
