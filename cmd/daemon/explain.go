package daemon

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/engine/explain"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/systemd"
)

// view is what explanations are about: the mesh as it is served now.
func (d *daemon) view() explain.View {
	v := explain.View{
		Snapshot: d.snapshots.Load(), Capture: d.loaded.Load().config.Capture, Live: true, Off: d.kernel.IsOff(),
	}
	v.Process = func(pid int) (explain.Process, error) { return d.process(v, pid) }
	return v
}

// Routes implements control.Backend.
func (b backend) Routes(service string) []control.ServiceRoutes { return b.d.view().Routes(service) }

// Explain implements control.Backend.
func (b backend) Explain(q control.Question) (control.Explanation, *control.Error) {
	return b.d.view().Explain(q)
}

// process returns who a process of the host would be if it called now.
func (d *daemon) process(v explain.View, pid int) (explain.Process, error) {
	path, inside, err := d.cgroups.Process(pid)
	if err != nil {
		return explain.Process{}, err
	}
	uid, err := userOf(pid)
	if err != nil {
		return explain.Process{}, err
	}
	p := explain.Process{UID: uid}
	if !inside {
		p.Caller.Unit = "a cgroup outside of " + d.cgroup
		p.Outside = "only processes below " + d.cgroup + " are captured"
		return p, nil
	}
	p.Caller = mesh.Caller{Unit: systemd.UnitOf(path), Cgroup: path}
	p.Caller.Service, p.Ambiguous = v.Snapshot.Caller(p.Caller.Unit, path, uid, d.workloads.userName)
	if p.Caller.Unit == "" {
		p.Caller.Unit = path
	}
	p.Elsewhere = isElsewhere(pid)
	return p, nil
}

// isElsewhere says whether a process is known to be in another network namespace than meshd, which may not be allowed to see that.
func isElsewhere(pid int) bool {
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return false
	}
	its, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	return err == nil && its != own
}

// userOf returns the user id with which a process connects; see proc_pid_status(5).
func userOf(pid int) (uint32, error) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read user of process %d: %w", pid, err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if ids, found := strings.CutPrefix(lines.Text(), "Uid:"); found {
			if fields := strings.Fields(ids); len(fields) == 4 {
				uid, err := strconv.ParseUint(fields[0], 10, 32) // the real one, as bpf_get_current_uid_gid() tells
				return uint32(uid), err
			}
		}
	}
	return 0, fmt.Errorf("read user of process %d: no line Uid", pid)
}
