package bpf

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Neighbour is a program of somebody else that decides about connections, too.
type Neighbour struct {
	ID     ebpf.ProgramID
	Name   string // empty: only CAP_SYS_ADMIN may ask
	Cgroup string // that it is attached to
	Before bool   // it runs before meshd's, which then sees what it has left of the address; else it sees what meshd has
}

func (n Neighbour) String() string {
	if n.Name == "" {
		return fmt.Sprintf("program %d on %s", n.ID, n.Cgroup)
	}
	return fmt.Sprintf("program %d %q on %s", n.ID, n.Name, n.Cgroup)
}

// Neighbours returns the programs of others that see the connects, to IPv4, of processes of a cgroup, in the order in
// which they run: from that cgroup up to the root, and in each as they were attached.
func (k *Kernel) Neighbours(cgroup string) []Neighbour {
	return k.neighbours(ebpf.AttachCGroupInet4Connect, cgroup)
}

func (k *Kernel) neighbours(hook ebpf.AttachType, cgroup string) []Neighbour {
	ours := slices.Collect(maps.Values(k.programs))
	var all []Neighbour
	before := true
	for dir := filepath.Clean(cgroup); isOn(dir, unix.CGROUP2_SUPER_MAGIC) == nil; dir = filepath.Dir(dir) {
		for _, id := range attachedTo(dir, hook) {
			if slices.Contains(ours, id) {
				before = false
				continue
			}
			all = append(all, Neighbour{ID: id, Name: nameOf(id), Cgroup: dir, Before: before})
		}
	}
	return all
}

func attachedTo(cgroup string, hook ebpf.AttachType) (ids []ebpf.ProgramID) {
	folder, err := os.Open(cgroup)
	if err != nil {
		return nil
	}
	defer folder.Close()
	result, err := link.QueryPrograms(link.QueryOptions{Target: int(folder.Fd()), Attach: hook})
	if err != nil {
		return nil
	}
	for _, p := range result.Programs {
		ids = append(ids, p.ID)
	}
	return ids
}

func nameOf(id ebpf.ProgramID) string {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return ""
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return ""
	}
	return info.Name
}

func describe(all []Neighbour) string {
	var text []string
	for _, n := range all {
		text = append(text, n.String())
	}
	return strings.Join(text, ", ")
}
