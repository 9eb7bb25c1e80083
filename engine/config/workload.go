package config

import (
	"path"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/meshd/meshd/engine/mesh"
)

// workloadBlock says which local processes are the service: workload {}. Inside a block all that is written must match;
// several blocks are alternatives.
type workloadBlock struct {
	// Unit is the systemd unit of the processes; * matches any run of characters.
	Unit      *string   `hcl:"unit,optional"`
	UnitRange hcl.Range `hcl:"unit,attr_value_range"`

	// Cgroup is the path of the processes' cgroup below the cgroup root, with a leading slash; * matches any run of
	// characters.
	Cgroup      *string   `hcl:"cgroup,optional"`
	CgroupRange hcl.Range `hcl:"cgroup,attr_value_range"`

	// User is the name or the numeric id of the processes' user.
	User      *string   `hcl:"user,optional"`
	UserRange hcl.Range `hcl:"user,attr_value_range"`

	// Hosts are the names of hosts on which the processes are looked for, besides those with an endpoint of the
	// service; "*" means every host. Default: [].
	Hosts      []string  `hcl:"hosts,optional"`
	HostsRange hcl.Range `hcl:"hosts,attr_value_range"`

	Range hcl.Range `hcl:",def_range"`
}

func (b *builder) workload(w *workloadBlock, s *serviceBlock) mesh.Workload {
	if w.Unit == nil && w.Cgroup == nil && w.User == nil {
		b.errorf(w.Range, "Workload without a condition", "Write at least one of unit, cgroup and user, such as "+
			"unit = %q. Inside a block all that is written must match; several blocks are alternatives.", s.Name+".service")
	}
	if w.Unit != nil {
		b.units(w.UnitRange, []string{*w.Unit})
	}
	if w.Cgroup != nil && (!path.IsAbs(*w.Cgroup) || path.Clean(*w.Cgroup) != *w.Cgroup || *w.Cgroup == "/") {
		b.errorf(w.CgroupRange, "Invalid cgroup", "Write the path below the cgroup root, with a slash at its beginning and none "+
			"at its end, such as %q.", "/system.slice/"+s.Name+".service")
	}
	if w.User != nil {
		b.user(w.UserRange, *w.User)
	}
	for _, host := range w.Hosts {
		if host != "*" {
			b.declared(w.HostsRange, host)
		}
	}
	if len(w.Hosts) == 0 && !onHost(s) {
		b.errorf(w.Range, "Workload would match nowhere", "The service has no endpoint on a host of the mesh, so nobody knows "+
			"where to look for its processes. Write hosts = [\"…\"] in the workload block, or hosts = [\"*\"] for every host.")
	}
	return mesh.Workload{
		Unit: valueOr(w.Unit, ""), Cgroup: valueOr(w.Cgroup, ""), User: valueOr(w.User, ""), Hosts: w.Hosts, At: placeOf(w.Range),
	}
}

// onHost says whether a service has an endpoint on a host of the mesh.
func onHost(s *serviceBlock) bool {
	for _, e := range s.Endpoints {
		if e.Host != nil {
			return true
		}
	}
	return false
}

// unitTypes are the suffixes of systemd unit names.
var unitTypes = []string{
	".service", ".socket", ".scope", ".slice", ".timer", ".mount", ".automount", ".swap", ".target", ".path", ".device",
}

// units checks patterns of systemd unit names.
func (b *builder) units(at hcl.Range, patterns []string) {
	for _, unit := range patterns {
		if unit == "" || strings.ContainsAny(unit, "/ \t\n") {
			b.errorf(at, "Invalid unit", "%q is no name of a systemd unit. Write one like \"billing.service\"; * matches any run "+
				"of characters.", unit)
		} else if !hasUnitType(unit) {
			b.errorf(at, "Unit without its type", "The name of a systemd unit ends in its type. Write %q.", unit+".service")
		}
	}
}

func hasUnitType(unit string) bool {
	for _, t := range unitTypes {
		if strings.HasSuffix(unit, t) {
			return true
		}
	}
	return false
}

// user checks the name or numeric id of a user.
func (b *builder) user(at hcl.Range, user string) bool {
	ok := user != "" && !strings.ContainsAny(user, ":/* \t\n")
	if !ok {
		b.errorf(at, "Invalid user", "%q is neither the name of a user nor a numeric id. Write one like \"postgres\" or \"998\".", user)
	}
	return ok
}
