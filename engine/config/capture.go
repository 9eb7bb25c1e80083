package config

import (
	"net/netip"
	"slices"
	"strconv"

	"github.com/hashicorp/hcl/v2"

	"github.com/meshd/meshd/engine/mesh"
)

// captureBlock says which connections go through meshd: capture {}.
type captureBlock struct {
	// Mode is "mesh", connections to mesh services, or "off", none; virtual addresses are then served straight by the
	// kernel. Default: "mesh".
	Mode      *string   `hcl:"mode,optional"`
	ModeRange hcl.Range `hcl:"mode,attr_value_range"`

	// Fail is what callers get while meshd is dead or hung: "open", the kernel connects them to one of the last known
	// endpoints, or "closed", connection refused. Default: "open".
	Fail      *string   `hcl:"fail,optional"`
	FailRange hcl.Range `hcl:"fail,attr_value_range"`

	Include *includeBlock `hcl:"include,block"`
	Exclude *excludeBlock `hcl:"exclude,block"`

	Range hcl.Range `hcl:",def_range"`
}

// includeBlock narrows capture, for a rollout unit by unit.
type includeBlock struct {
	// Units are the only systemd units that are captured; * matches any run of characters. Default: [], all.
	Units      []string  `hcl:"units,optional"`
	UnitsRange hcl.Range `hcl:"units,attr_value_range"`
}

// excludeBlock leaves connections out of capture.
type excludeBlock struct {
	// Ports are destination ports. Default: [22], so that a mistake does not lock an administrator out; a list that is
	// written replaces the default.
	Ports      []int     `hcl:"ports,optional"`
	PortsRange hcl.Range `hcl:"ports,attr_value_range"`

	// CIDRs are prefixes of destination addresses. Default: [].
	CIDRs      []string  `hcl:"cidrs,optional"`
	CIDRsRange hcl.Range `hcl:"cidrs,attr_value_range"`

	// Units are systemd units of callers; * matches any run of characters. Default: [].
	Units      []string  `hcl:"units,optional"`
	UnitsRange hcl.Range `hcl:"units,attr_value_range"`

	// Users are names or numeric ids of the callers' users. Default: [].
	Users      []string  `hcl:"users,optional"`
	UsersRange hcl.Range `hcl:"users,attr_value_range"`
}

const (
	defaultMode        = string(mesh.CaptureMesh)
	defaultFail        = string(mesh.FailOpen)
	defaultExcludePort = 22
)

func (c *captureBlock) title() string      { return "capture" }
func (c *captureBlock) defined() hcl.Range { return c.Range }

func (b *builder) capture() mesh.Capture {
	c := &captureBlock{}
	if all := distinct(b, b.Captures); len(all) > 0 {
		c = all[0]
	}
	include, exclude := valueOr(c.Include, includeBlock{}), valueOr(c.Exclude, excludeBlock{})
	mode, fail := valueOr(c.Mode, defaultMode), valueOr(c.Fail, defaultFail)
	b.oneOf(c.ModeRange, "capture mode", mode, string(mesh.CaptureMesh), string(mesh.CaptureOff))
	b.oneOf(c.FailRange, "fail mode", fail, string(mesh.FailOpen), string(mesh.FailClosed))
	b.units(include.UnitsRange, include.Units)
	b.units(exclude.UnitsRange, exclude.Units)
	return mesh.Capture{
		Mode:         mesh.CaptureMode(mode),
		Fail:         mesh.FailMode(fail),
		IncludeUnits: include.Units,
		ExcludeUnits: exclude.Units,
		ExcludePorts: b.excludePorts(exclude),
		ExcludeCIDRs: b.excludeCIDRs(exclude),
		ExcludeUIDs:  b.excludeUIDs(exclude),
		At:           placeOf(c.Range),
	}
}

// maxExcluded is how many entries each table of the kernel has room for.
const maxExcluded = 1024

// limit reports a list that is longer than the kernel has room for.
func (b *builder) limit(at hcl.Range, length int) {
	if length > maxExcluded {
		b.errorf(at, "Too many exclusions", "The kernel has room for %d, and these are %d. Write prefixes or patterns that cover more, or exclude whole units.", maxExcluded, length)
	}
}

func (b *builder) excludeUIDs(e excludeBlock) []uint32 {
	b.limit(e.UsersRange, len(e.Users))
	var ids []uint32
	for _, name := range e.Users {
		if n, err := strconv.ParseUint(name, 10, 32); err == nil {
			ids = append(ids, uint32(n))
			continue
		}
		if !b.user(e.UsersRange, name) || b.userID == nil {
			continue
		}
		id, err := b.userID(name)
		if err != nil {
			b.errorf(e.UsersRange, "Unknown user", "This machine has no user %q (%v). Write a user that it has, or a numeric id.", name, err)
			continue
		}
		ids = append(ids, id)
	}
	return ids
}

func (b *builder) excludePorts(e excludeBlock) []uint16 {
	if e.Ports == nil {
		return []uint16{defaultExcludePort}
	}
	b.limit(e.PortsRange, len(e.Ports))
	ports := make([]uint16, 0, len(e.Ports))
	for _, p := range e.Ports {
		port, _ := b.port(e.PortsRange, p)
		ports = append(ports, port)
	}
	return ports
}

func (b *builder) excludeCIDRs(e excludeBlock) []netip.Prefix {
	b.limit(e.CIDRsRange, len(e.CIDRs))
	var prefixes []netip.Prefix
	for _, text := range e.CIDRs {
		if p, ok := b.prefix(e.CIDRsRange, text); ok {
			prefixes = append(prefixes, p)
		}
	}
	return prefixes
}

// oneOf checks a word against a closed list.
func (b *builder) oneOf(at hcl.Range, what, word string, words ...string) {
	if !slices.Contains(words, word) {
		b.errorf(at, "Unknown "+what, "There is no %s %q. Write %s.", what, word, alternatives(words))
	}
}
