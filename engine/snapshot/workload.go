package snapshot

import (
	"strconv"

	"github.com/meshd/meshd/engine/mesh"
)

// workload is a mesh.Workload made ready to be matched.
type workload struct {
	mesh.Workload
	service string
	uid     uint32
	byUID   bool // User is numeric
}

func compile(service string, w mesh.Workload) workload {
	uid, err := strconv.ParseUint(w.User, 10, 32)
	return workload{Workload: w, service: service, uid: uint32(uid), byUID: err == nil}
}

// matches says whether all fields that are set match. A workload with none set is no process.
func (w *workload) matches(unit, cgroup string, uid uint32, userName func(uid uint32) string) bool {
	if w.Unit == "" && w.Cgroup == "" && w.User == "" {
		return false
	}
	return (w.Unit == "" || mesh.Match(w.Unit, unit)) &&
		(w.Cgroup == "" || mesh.Match(w.Cgroup, cgroup)) &&
		(w.User == "" || w.byUID && w.uid == uid || !w.byUID && w.User == userName(uid))
}

// Caller returns the service that a local process is: the one with a workload that matches its systemd unit, the path
// of its cgroup below the root, and its user, as far as the workload names them. Empty values match nothing but "*".
//
// A process that matches no service, or more than one, has the host's identity: service is then empty. Of more than
// one, ambiguous tells, since that is an error of the configuration.
//
// userName is asked only where a workload names a user, because looking up names takes reading a file.
func (s *Snapshot) Caller(unit, cgroup string, uid uint32, userName func(uid uint32) string) (service string, ambiguous bool) {
	for i := range s.workloads {
		w := &s.workloads[i]
		if w.service == service || !w.matches(unit, cgroup, uid, userName) {
			continue
		}
		if service != "" {
			return "", true
		}
		service = w.service
	}
	return service, false
}
