package config

import (
	"fmt"
	"path/filepath"

	"github.com/hashicorp/hcl/v2"
)

// discoveryBlock says where hosts and services are learnt from: discovery "static" {}.
type discoveryBlock struct {
	// Kind is "static": services are read from files that are the same on all hosts.
	Kind      string    `hcl:"kind,label"`
	KindRange hcl.Range `hcl:"kind,label_range"`

	// Files are patterns of file names; * matches any run of characters but the slash. A relative one starts at the
	// folder of the file that it stands in. Each must match at least one file.
	Files      []string  `hcl:"files"`
	FilesRange hcl.Range `hcl:"files,attr_value_range"`

	// Watch applies a changed and valid set of files without a reload. Default: false.
	Watch bool `hcl:"watch,optional"`

	Range hcl.Range `hcl:",def_range"`
}

func (d *discoveryBlock) title() string      { return fmt.Sprintf("discovery %q", d.Kind) }
func (d *discoveryBlock) defined() hcl.Range { return d.Range }

// staticDiscovery is what the discovery "static" block says.
type staticDiscovery struct {
	Static
	patterns []pattern
	broken   bool // files are missing because the block is wrong
}

// static returns the static discovery, empty without its block.
func (b *builder) static(at root) staticDiscovery {
	var s staticDiscovery
	all := distinct(b, b.Discoveries)
	s.broken = len(all) < len(b.Discoveries)
	for _, d := range all {
		if d.Kind != "static" {
			s.broken = true
			b.errorf(d.KindRange, "Unknown discovery", "There is no discovery %q. Write discovery \"static\".", d.Kind)
			continue
		}
		if len(d.Files) == 0 {
			s.broken = true
			b.errorf(d.FilesRange, "No files to discover from", "Name at least one file or pattern, such as "+
				"\"/etc/meshd/mesh.d/*.hcl\", or remove the block.")
		}
		s.Watch = d.Watch
		for _, glob := range d.Files {
			if !filepath.IsAbs(glob) {
				glob = filepath.Join(filepath.Dir(d.Range.Filename), glob)
			}
			glob = at.find(filepath.Clean(glob))
			s.Files = append(s.Files, glob)
			s.patterns = append(s.patterns, pattern{glob, d.FilesRange})
		}
	}
	return s
}
