package daemon

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/meshd/meshd/engine/snapshot"
)

const (
	hostsBegin = "# BEGIN meshd"
	hostsEnd   = "# END meshd"

	// maxHostsNames bounds the block, because the C library reads the file from the top for every lookup.
	maxHostsNames = 2000
)

// hostsBlock returns what the configuration that runs wants to stand in the hosts file; empty when it wants nothing.
func (d *daemon) hostsBlock() (string, error) {
	if l := d.loaded.Load(); l == nil || !l.config.DNS.HostsFile {
		return "", nil
	}
	return hostsLines(d.snapshots.Load())
}

// hostsLines returns the lines of a hosts file for all names of a snapshot, sorted by name.
//
// Each line has one name, as the C library musl reads no more than 511 bytes of a line.
func hostsLines(snap *snapshot.Snapshot) (string, error) {
	type entry struct {
		name      string
		addresses [2]netip.Addr
	}
	var entries []entry
	for _, s := range snap.Services() {
		v4, v6, _ := snap.Virtual(s.Name)
		for _, name := range append([]string{s.Name + "." + snap.Mesh().Domain}, s.Hostnames...) {
			entries = append(entries, entry{name, [2]netip.Addr{v4, v6}})
		}
	}
	if len(entries) > maxHostsNames {
		return "", fmt.Errorf("the mesh has %d names, too many for a hosts file, which may have %d of them", len(entries), maxHostsNames)
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	var block strings.Builder
	for _, e := range entries {
		for _, a := range e.addresses {
			if a.IsValid() {
				fmt.Fprintf(&block, "%s %s\n", a, e.name)
			}
		}
	}
	return block.String(), nil
}

// withHostsBlock returns a hosts file with the block in the place of the one that it has, else at its end. An empty block
// is none. Where it is not clear which lines are ours, the file is left to a person.
func withHostsBlock(text, block string) (string, error) {
	if block == "" && !strings.Contains(text, hostsBegin) {
		return text, nil
	}
	if block != "" {
		block = hostsBegin + "\n" + block + hostsEnd + "\n"
	}
	var next strings.Builder
	inside, placed := false, false
	for line := range strings.Lines(text) {
		switch strings.TrimSpace(line) {
		case hostsBegin:
			if inside {
				return "", errors.New(`a line "` + hostsBegin + `" follows another: remove one, with the lines that are not yours`)
			}
			inside = true
		case hostsEnd:
			if !inside {
				return "", errors.New(`a line "` + hostsEnd + `" has no "` + hostsBegin + `" before it: remove it`)
			}
			inside = false
			if !placed {
				next.WriteString(block)
			}
			placed = true
		default:
			if !inside {
				next.WriteString(line)
			}
		}
	}
	if inside {
		return "", errors.New(`a line "` + hostsBegin + `" has no "` + hostsEnd + `" after it: remove it, with the lines that are not yours`)
	}
	if !placed && block != "" {
		if text != "" && !strings.HasSuffix(text, "\n") {
			next.WriteString("\n")
		}
		next.WriteString(block)
	}
	return next.String(), nil
}
