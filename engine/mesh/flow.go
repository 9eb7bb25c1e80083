package mesh

import (
	"net/netip"
	"strconv"
)

// Flow is what the kernel recorded about a connection when it captured it.
//
// PID and UID are for people who read logs: the process may be gone, and a user namespace maps its users.
// Identity comes from Cgroup, whose ids the kernel does not reuse while meshd remembers them.
type Flow struct {
	Destination netip.AddrPort // what the application dialled; IPv4-mapped addresses are unmapped
	Cgroup      uint64         // cgroup2 id, the inode of its folder
	PID         uint32         // thread group id in the first pid namespace
	UID         uint32         // user id in the first user namespace
	Netns       uint64         // cookie of the caller's network namespace
	Service     ServiceID      // 0 when the destination was an endpoint's real address of no known service
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

func portString(p uint16) string { return strconv.FormatUint(uint64(p), 10) }
