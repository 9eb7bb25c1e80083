package mesh

import "net/netip"

// Flow is what the kernel recorded about a connection when it captured it.
//
// Identity comes from the cgroups, whose ids the kernel does not reuse while meshd remembers them, and from UID where a
// workload names a user. PID is for people who read logs: the process may be gone.
type Flow struct {
	Destination netip.AddrPort // what the application dialled; IPv4-mapped addresses are unmapped
	Cgroup      uint64         // cgroup2 id, the inode of its folder
	Levels      [8]uint64      // ids of the cgroups around it, from below the root; with its own unless that is deeper
	PID         uint32         // thread group id in the first pid namespace
	UID         uint32         // user id in the first user namespace
	Netns       uint64         // cookie of the caller's network namespace
}

// Lineage returns the ids of the caller's cgroups, from the outermost to its own.
func (f *Flow) Lineage() []uint64 {
	n := 0
	for n < len(f.Levels) && f.Levels[n] != 0 {
		n++
	}
	if n > 0 && f.Levels[n-1] == f.Cgroup {
		return f.Levels[:n:n]
	}
	return append(f.Levels[:n:n], f.Cgroup)
}

// Caller is who a flow comes from.
type Caller struct {
	Service string // the mesh service that the process is; empty for the host's own identity
	Unit    string // systemd unit, or the cgroup path where there is none
	Cgroup  string // cgroup path below the root; empty when the cgroup is unknown
}

// Name returns the source as intentions and tools write it: the service, or host:<name>.
func (c Caller) Name(host string) string {
	if c.Service == "" {
		return "host:" + host
	}
	return c.Service
}
