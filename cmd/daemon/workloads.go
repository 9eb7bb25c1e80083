package daemon

import (
	"maps"
	"os/user"
	"slices"
	"strconv"
	"sync"

	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/snapshot"
	"github.com/meshd/meshd/systemd"
)

// maxRemembered bounds what workloads remembers of users and of unclear units.
const maxRemembered = 1024

// workloads tells the proxy who opened a flow: cgroup id -> path -> unit -> service.
type workloads struct {
	cgroups   *systemd.Tree
	snapshots *snapshot.Store

	mu      sync.Mutex
	users   map[uint32]string   // names by uid; forgotten at each change of configuration
	unclear map[string]struct{} // units that match more than one service
}

func newWorkloads(cgroups *systemd.Tree, snapshots *snapshot.Store) *workloads {
	w := &workloads{cgroups: cgroups, snapshots: snapshots}
	w.forget()
	return w
}

// Caller implements proxy.Workloads. It is not ok for a caller whose cgroup is gone and was never seen: it may have been
// any unit, and taking it for the host would let it put off its identity.
func (w *workloads) Caller(flow mesh.Flow) (caller mesh.Caller, ok bool) {
	path, known := w.cgroups.Resolve(flow.Lineage())
	if !known {
		return mesh.Caller{}, false
	}
	caller = mesh.Caller{Unit: systemd.UnitOf(path), Cgroup: path}
	service, ambiguous := w.snapshots.Load().Caller(caller.Unit, path, flow.UID, w.userName)
	caller.Service = service
	if caller.Unit == "" {
		caller.Unit = path
	}
	if ambiguous {
		w.note(caller.Unit)
	}
	return caller, true
}

func (w *workloads) userName(uid uint32) string {
	w.mu.Lock()
	name, known := w.users[uid]
	w.mu.Unlock()
	if known {
		return name
	}
	if u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10)); err == nil {
		name = u.Username
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.users) < maxRemembered {
		w.users[uid] = name
	}
	return name
}

func (w *workloads) note(unit string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.unclear) < maxRemembered {
		w.unclear[unit] = struct{}{}
	}
}

// unclearUnits lists the units that called and match more than one service.
func (w *workloads) unclearUnits() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.unclear))
}

// forget drops what may not hold any more after a change of configuration.
func (w *workloads) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.users, w.unclear = map[uint32]string{}, map[string]struct{}{}
}
