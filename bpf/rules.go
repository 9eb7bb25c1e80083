package bpf

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/engine/mesh"
)

// MaxBackends is how many endpoints of a service the kernel knows for the time that meshd cannot answer.
const MaxBackends = len(meshService{}.Backends)

// MaxResolvers is how many resolvers of a host are served.
const MaxResolvers = int(meshResolverSlotRESOLVER_SLOTS)

// Rules is everything that the programs decide by.
type Rules struct {
	Mode         mesh.CaptureMode
	Fail         mesh.FailMode
	OutboundPort uint16 // of the listeners given to Listen
	NamesPort    uint16 // resolver N is served at NamesPort + N
	Virtual      []Virtual
	Endpoints    []Endpoint
	Backends     map[mesh.ServiceID][]netip.AddrPort // at most MaxBackends of each are kept
	Resolvers    []netip.Addr                        // at most MaxResolvers; the index is N
	Reserved     []Port
	ExcludePorts []uint16
	ExcludeCIDRs []netip.Prefix
	ExcludeUIDs  []uint32
	IncludeOnly  bool                  // only cgroups marked Included are captured
	ByCgroup     bool                  // some cgroups are marked Excluded
	Marks        map[uint64]CgroupMark // by cgroup id; they hold for the cgroups below, too
}

// Virtual ties a virtual address and port to a service.
type Virtual struct {
	Address netip.AddrPort
	Service mesh.ServiceID
	Probe   bool // captured even when meshd dials it
}

// Endpoint ties the real address of an endpoint to its service, where something is added to such connections.
type Endpoint struct {
	Netns   uint64 // cookie; 0: in every network namespace
	Address netip.AddrPort
	Service mesh.ServiceID
}

// Port is a port of meshd itself.
type Port struct {
	Port uint16
	UDP  bool
}

// CgroupMark says how the processes of a cgroup, and of those below it, are treated.
type CgroupMark uint32

// The marks of a cgroup.
const (
	Included = CgroupMark(meshCgroupFlagCGROUP_INCLUDED)
	Excluded = CgroupMark(meshCgroupFlagCGROUP_EXCLUDED)
)

// Apply makes the programs decide by r. Calls of Apply, MarkCgroups and Repair must not overlap.
//
// It adds before it removes, so that every connection is decided by the old rules or by the new ones. When r does not
// fit, or an addition fails, the rules before are in force again, and the error says which table it was. What cannot be
// removed is no failure, as r is in force by then: Repair tries again, and has the error.
func (k *Kernel) Apply(r Rules) error {
	tables, err := k.tables(r)
	if err != nil {
		return err
	}
	for _, t := range tables {
		if err := t.fits(); err != nil {
			return err
		}
	}
	for _, t := range tables {
		if _, err := t.put(); err != nil {
			return errors.Join(err, k.restore())
		}
	}
	if err := k.configure(k.config(r)); err != nil {
		return errors.Join(err, k.restore())
	}
	k.mode, k.applied = r.Mode, tables
	k.unpruned = k.prune() != nil
	return nil
}

// prune removes what the last Apply does not want from all tables that let it.
func (k *Kernel) prune() error {
	var errs []error
	for _, t := range slices.Backward(k.applied) {
		_, err := t.prune()
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// restore puts the tables of the last Apply back over half written ones. After a start there was none yet: what was
// added then stays beside what an earlier meshd has left, for whose callers nothing is taken away.
func (k *Kernel) restore() error {
	var errs []error
	for _, t := range k.applied {
		_, err := settle(t)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// MarkCgroups replaces the marks of the last Apply, and fails as it does.
func (k *Kernel) MarkCgroups(marks map[uint64]CgroupMark) error {
	t := k.marks(marks)
	if err := t.fits(); err != nil {
		return err
	}
	if _, err := t.put(); err != nil {
		return errors.Join(err, k.restore())
	}
	k.applied[len(k.applied)-1] = t
	if _, err := t.prune(); err != nil {
		k.unpruned = true
	}
	return nil
}

// marks is the last of the tables.
func (k *Kernel) marks(marks map[uint64]CgroupMark) table {
	want := make(map[uint64]meshCgroupFlag, len(marks))
	for id, m := range marks {
		want[id] = meshCgroupFlag(m)
	}
	return rows[uint64, meshCgroupFlag]{meshMapCgroups, k.objects.Cgroups, want}
}

func (k *Kernel) config(r Rules) meshConfig {
	c := meshConfig{
		Enabled:      k.settled.Enabled,
		OutboundPort: networkOrder(r.OutboundPort),
		NamesPort:    r.NamesPort,
		SwitchedOff:  k.settled.SwitchedOff,
		Mode:         modeOf(r.Mode, k.settled.SwitchedOff != 0),
		DeadAfterNs:  uint64(k.cfg.DeadAfter),
	}
	if r.Fail == mesh.FailClosed {
		c.Fail = meshFailFAIL_CLOSED
	}
	for bit, set := range map[meshRule]bool{
		meshRuleRULE_ENDPOINTS: len(r.Endpoints) > 0,
		meshRuleRULE_INCLUDE:   r.IncludeOnly,
		meshRuleRULE_CGROUPS:   r.ByCgroup,
		meshRuleRULE_USERS:     len(r.ExcludeUIDs) > 0,
		meshRuleRULE_PORTS:     len(r.ExcludePorts) > 0,
		meshRuleRULE_CIDRS:     len(r.ExcludeCIDRs) > 0,
	} {
		if set {
			c.Rules |= bit
		}
	}
	return c
}

func modeOf(configured mesh.CaptureMode, off bool) meshMode {
	if off || configured == mesh.CaptureOff {
		return meshModeMODE_OFF
	}
	return meshModeMODE_MESH
}

// configure writes c, by which the programs decide from then on.
func (k *Kernel) configure(c meshConfig) error {
	if err := k.objects.Cfg.Put(uint32(0), c); err != nil {
		return fmt.Errorf("write configuration of the kernel programs: %w", err)
	}
	k.settled = c
	k.off.Store(c.SwitchedOff != 0)
	return nil
}

// SwitchOff makes the programs decide as with Mode off, whatever Apply says, until it is called with false. This is kept
// with the pinned maps, and so outlives meshd, but not a reboot. Calls of it and of Apply must not overlap.
func (k *Kernel) SwitchOff(off bool) error {
	c := k.settled
	c.Mode = modeOf(k.mode, off)
	c.SwitchedOff = 0
	if off {
		c.SwitchedOff = 1
	}
	return k.configure(c)
}

// StepAside makes the programs decide as with Mode off until the next Apply, of this process or of the next: meshd is about
// to end, and names are still to be answered.
func (k *Kernel) StepAside() error {
	c := k.settled
	c.Mode = meshModeMODE_OFF
	return k.configure(c)
}

// IsOff says whether SwitchOff holds.
func (k *Kernel) IsOff() bool { return k.off.Load() }

func (k *Kernel) tables(r Rules) ([]table, error) {
	if len(r.Resolvers) > MaxResolvers {
		return nil, fmt.Errorf("%d resolvers: meshd serves %d", len(r.Resolvers), MaxResolvers)
	}
	o := &k.objects
	services := map[uint64]meshService{}
	for id, backends := range r.Backends {
		services[uint64(id)] = serviceValue(backends)
	}
	virtuals := map[meshVirtualKey]meshTarget{}
	for _, v := range r.Virtual {
		target := meshTarget{Service: uint64(v.Service)}
		if v.Probe {
			target.Flags = meshTargetFlagTARGET_PROBE
		}
		addr := addrOf(v.Address.Addr())
		virtuals[meshVirtualKey{Addr: addr}] = meshTarget{}
		virtuals[meshVirtualKey{Addr: addr, Port: networkOrder(v.Address.Port()), Proto: unix.IPPROTO_TCP}] = target
	}
	endpoints := map[meshEndpointKey]meshTarget{}
	for _, e := range r.Endpoints {
		key := meshEndpointKey{Netns: e.Netns, Addr: addrOf(e.Address.Addr()), Port: networkOrder(e.Address.Port()), Proto: unix.IPPROTO_TCP}
		endpoints[key] = meshTarget{Service: uint64(e.Service)}
	}
	slots := map[meshResolverSlotKey]meshAddr{}
	resolvers := map[meshResolverKey]meshResolverSlot{}
	for i, a := range r.Resolvers {
		slots[meshResolverSlotKey{Netns: k.netns, Slot: meshResolverSlot(i)}] = addrOf(a)
		resolvers[meshResolverKey{Netns: k.netns, Addr: addrOf(a)}] = meshResolverSlot(i)
	}
	reserved := map[meshPortKey]uint8{}
	for _, p := range r.Reserved {
		proto := uint8(unix.IPPROTO_TCP)
		if p.UDP {
			proto = unix.IPPROTO_UDP
		}
		reserved[meshPortKey{Netns: k.netns, Port: networkOrder(p.Port), Proto: proto}] = 1
	}
	cidrs := map[meshCidrKey]uint8{}
	for _, p := range r.ExcludeCIDRs {
		cidrs[cidrOf(p)] = 1
	}
	return []table{
		rows[uint64, meshService]{meshMapServices, o.Services, services}, // the first: see SetBackends
		rows[meshVirtualKey, meshTarget]{meshMapVirtuals, o.Virtuals, virtuals},
		rows[meshEndpointKey, meshTarget]{meshMapEndpoints, o.Endpoints, endpoints},
		rows[meshResolverSlotKey, meshAddr]{meshMapResolverSlots, o.ResolverSlots, slots},
		rows[meshResolverKey, meshResolverSlot]{meshMapResolvers, o.Resolvers, resolvers},
		rows[meshPortKey, uint8]{meshMapReservedPorts, o.ReservedPorts, reserved},
		rows[uint16, uint8]{meshMapExcludedPorts, o.ExcludedPorts, set(r.ExcludePorts, networkOrder)},
		rows[meshCidrKey, uint8]{meshMapExcludedCidrs, o.ExcludedCidrs, cidrs},
		rows[uint32, uint8]{meshMapExcludedUsers, o.ExcludedUsers, set(r.ExcludeUIDs, func(uid uint32) uint32 { return uid })},
		k.marks(r.Marks),
	}, nil
}

func serviceValue(backends []netip.AddrPort) meshService {
	var s meshService
	add := func(ipv4 bool) {
		for _, b := range backends {
			if b.Addr().Unmap().Is4() != ipv4 || int(s.Total) == MaxBackends {
				continue
			}
			s.Backends[s.Total] = meshBackend{Addr: addrOf(b.Addr()), Port: networkOrder(b.Port())}
			s.Total++
		}
	}
	add(true)
	s.Ipv4 = s.Total
	add(false)
	return s
}

func set[K, W comparable](values []W, key func(W) K) map[K]uint8 {
	all := make(map[K]uint8, len(values))
	for _, v := range values {
		all[key(v)] = 1
	}
	return all
}
