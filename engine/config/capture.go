package config

import (
	"net/netip"
	"slices"

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
	for _, u := range exclude.Users {
		b.user(exclude.UsersRange, u)
	}
	return mesh.Capture{
		Mode:         mesh.CaptureMode(mode),
		Fail:         mesh.FailMode(fail),
		IncludeUnits: include.Units,
		ExcludeUnits: exclude.Units,
		ExcludePorts: b.excludePorts(exclude),
		ExcludeCIDRs: b.excludeCIDRs(exclude),
		ExcludeUsers: exclude.Users,
	}
}

func (b *builder) excludePorts(e excludeBlock) []uint16 {
	if e.Ports == nil {
		return []uint16{defaultExcludePort}
	}
	ports := make([]uint16, 0, len(e.Ports))
	for _, p := range e.Ports {
		port, _ := b.port(e.PortsRange, p)
		ports = append(ports, port)
	}
	return ports
}

func (b *builder) excludeCIDRs(e excludeBlock) []netip.Prefix {
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
