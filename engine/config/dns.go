package config

import "github.com/hashicorp/hcl/v2"

// dnsBlock says how names of the mesh are answered on this machine: dns {}.
type dnsBlock struct {
	// HostsFile keeps the names in a marked block of /etc/hosts too, so that they outlive meshd and serve programs that
	// do not ask a resolver. Default: false.
	HostsFile bool `hcl:"hosts_file,optional"`

	Range hcl.Range `hcl:",def_range"`
}

func (d *dnsBlock) title() string      { return "dns" }
func (d *dnsBlock) defined() hcl.Range { return d.Range }

func (b *builder) dns() DNS {
	all := distinct(b, b.DNS)
	if len(all) == 0 {
		return DNS{}
	}
	return DNS{HostsFile: all[0].HostsFile}
}
