package config

import (
	"path"

	"github.com/hashicorp/hcl/v2"
)

// nodeBlock is what belongs to this machine alone: node {}.
type nodeBlock struct {
	// Name is the host block that describes this machine. Default: the one named like the machine's host name, full or
	// short.
	Name      *string   `hcl:"name,optional"`
	NameRange hcl.Range `hcl:"name,attr_value_range"`

	// Cgroup is the absolute path of the cgroup2 folder whose processes are captured, with all below it. Default: the
	// root of the cgroup2 tree.
	Cgroup      *string   `hcl:"cgroup,optional"`
	CgroupRange hcl.Range `hcl:"cgroup,attr_value_range"`

	Range hcl.Range `hcl:",def_range"`
}

func (n *nodeBlock) title() string      { return "node" }
func (n *nodeBlock) defined() hcl.Range { return n.Range }

// node returns the node, and the block that describes it or nil.
func (b *builder) node() (Node, *nodeBlock) {
	all := distinct(b, b.Nodes)
	if len(all) == 0 {
		return Node{}, nil
	}
	n := all[0]
	if n.Name != nil && *n.Name == "" {
		b.errorf(n.NameRange, "Empty node name", "Write the name of a host block, or remove the argument to have the host "+
			"found by the machine's host name.")
	}
	if n.Cgroup != nil && (!path.IsAbs(*n.Cgroup) || path.Clean(*n.Cgroup) != *n.Cgroup) {
		b.errorf(n.CgroupRange, "Invalid cgroup folder", "Write the absolute path of a folder below the cgroup2 mount "+
			"without a slash at its end, such as \"/sys/fs/cgroup/system.slice\", or remove the argument for all processes.")
	}
	return Node{Name: valueOr(n.Name, ""), Cgroup: valueOr(n.Cgroup, "")}, n
}
