package daemon

import (
	"net/netip"
	"slices"

	"github.com/meshd/meshd/bpf"
	"github.com/meshd/meshd/engine/config"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/snapshot"
	"github.com/meshd/meshd/systemd"
)

// probePort is dialled on the reserved virtual address to see whether capture works. Any port would do.
const probePort = 1

// futurePorts are those that releases to come will listen on (inbound, readiness): nobody is to sit on them by then.
var futurePorts = []uint16{15006, 15008, 15021}

// rulesOf returns everything that the kernel programs decide by.
func (d *daemon) rulesOf(c *config.Config, snap *snapshot.Snapshot) bpf.Rules {
	rules := d.options.rulesOf(c, snap, d.resolvers.list())
	rules.Marks = marksOf(c.Capture, d.cgroups)
	return rules
}

// rulesOf returns what the kernel programs must know for a configuration and the snapshot that was built from it.
func (o options) rulesOf(c *config.Config, snap *snapshot.Snapshot, resolvers []netip.Addr) bpf.Rules {
	r := bpf.Rules{
		Mode:         c.Capture.Mode,
		Fail:         c.Capture.Fail,
		OutboundPort: uint16(o.outboundPort),
		NamesPort:    uint16(o.dnsPort),
		Backends:     map[mesh.ServiceID][]netip.AddrPort{},
		Resolvers:    resolvers,
		Reserved:     o.reservedPorts(c),
		ExcludePorts: c.Capture.ExcludePorts,
		ExcludeCIDRs: c.Capture.ExcludeCIDRs,
		ExcludeUIDs:  c.Capture.ExcludeUIDs,
		IncludeOnly:  len(c.Capture.IncludeUnits) > 0,
		ByCgroup:     len(c.Capture.ExcludeUnits) > 0,
	}
	for _, s := range snap.Services() {
		for _, p := range s.Ports {
			for _, a := range []netip.Addr{s.Virtual4, s.Virtual6} {
				if a.IsValid() {
					r.Virtual = append(r.Virtual, bpf.Virtual{Address: netip.AddrPortFrom(a, p.Number), Service: p.ID})
				}
			}
			r.Backends[p.ID] = p.Backends() // also when there are none: SetBackends may get some later
		}
	}
	probe, hasMesh := probeAddress(snap.Mesh())
	if !hasMesh {
		r.Resolvers = nil // there is no name to answer, so not even a query is captured
		return r
	}
	r.Virtual = append(r.Virtual, bpf.Virtual{Address: probe, Probe: true})
	return r
}

// probeAddress returns the virtual address that belongs to no service; false while there is no mesh.
func probeAddress(m mesh.Mesh) (netip.AddrPort, bool) {
	if !m.VirtualIPv4.IsValid() {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(config.ReservedProbe(m.VirtualIPv4), probePort), true
}

// reservedPorts lists the ports that only meshd may bind.
func (o options) reservedPorts(c *config.Config) []bpf.Port {
	ports := []bpf.Port{{Port: uint16(o.outboundPort)}}
	for _, p := range futurePorts {
		ports = append(ports, bpf.Port{Port: p})
	}
	if c.Prometheus.Listen.IsValid() {
		ports = append(ports, bpf.Port{Port: c.Prometheus.Listen.Port()})
	}
	for n := range bpf.MaxResolvers {
		p := uint16(o.dnsPort) + uint16(n)
		ports = append(ports, bpf.Port{Port: p}, bpf.Port{Port: p, UDP: true})
	}
	return ports
}

// marksOf says which of the living cgroups the units of a configuration include in or exclude from capture.
func marksOf(capture mesh.Capture, cgroups *systemd.Tree) map[uint64]bpf.CgroupMark {
	marks := map[uint64]bpf.CgroupMark{}
	if len(capture.IncludeUnits) == 0 && len(capture.ExcludeUnits) == 0 {
		return marks
	}
	cgroups.Each(func(id uint64, path string) {
		unit := systemd.UnitOf(path)
		if unit == "" {
			return
		}
		var mark bpf.CgroupMark
		if matchesAny(capture.IncludeUnits, unit) {
			mark |= bpf.Included
		}
		if matchesAny(capture.ExcludeUnits, unit) {
			mark |= bpf.Excluded
		}
		if mark != 0 {
			marks[id] = mark
		}
	})
	return marks
}

func matchesAny(patterns []string, unit string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return mesh.Match(p, unit) })
}
