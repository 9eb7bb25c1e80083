package systemd

import (
	"maps"
	"sync"
	"time"
)

const (
	maxRecords = 16384
	// maxFound is far below maxRecords as anybody can have cgroups looked up, with paths of up to 4 kB.
	maxFound = 2048
	// remembered is how long at least a cgroup stays known after its end: the last connections of a short-lived
	// process are looked up when it is gone.
	remembered = time.Minute
)

// index maps ids of cgroups to paths. It holds living ones, for a while those that are gone, and apart from these the
// last ones that had to be looked up: however many those are, they leave no unit out.
type index struct {
	mu     sync.RWMutex
	paths  map[uint64]string
	living map[string]uint64 // the reverse of paths, without what is gone
	gone   []departed        // oldest first
	found  map[uint64]string // never wrong: cgroups are not renamed, and ids not used again
	order  []uint64          // keys of found, oldest first
}

type departed struct {
	id    uint64
	since time.Time
}

func newIndex() *index {
	return &index{paths: make(map[uint64]string), living: make(map[string]uint64), found: make(map[uint64]string)}
}

func (x *index) path(id uint64) (string, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	path, ok := x.paths[id]
	if !ok {
		path, ok = x.found[id]
	}
	return path, ok
}

// add records a living cgroup and says whether there was room for it.
func (x *index) add(id uint64, path string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.living[path] == id {
		return true
	}
	x.bury(path) // another cgroup of that path whose end was missed
	if !x.room() {
		return false
	}
	x.paths[id] = path
	x.living[path] = id
	return true
}

// remember records a cgroup that was looked up.
func (x *index) remember(id uint64, path string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, known := x.found[id]; known {
		return
	}
	if len(x.order) == maxFound {
		delete(x.found, x.order[0])
		x.order = x.order[1:]
	}
	x.found[id] = path
	x.order = append(x.order, id)
}

// id returns the id of the living cgroup of that path.
func (x *index) id(path string) (uint64, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	id, ok := x.living[path]
	return id, ok
}

// remove notes that the cgroup of that path is gone.
func (x *index) remove(path string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for len(x.gone) > 0 && time.Since(x.gone[0].since) >= remembered {
		x.dropOldest()
	}
	x.bury(path)
}

func (x *index) bury(path string) {
	if id, ok := x.living[path]; ok {
		delete(x.living, path)
		x.gone = append(x.gone, departed{id, time.Now()})
	}
}

// room makes sure that one more record fits, if need be at the cost of those that are gone, and says whether it does.
func (x *index) room() bool {
	for len(x.paths) >= maxRecords && len(x.gone) > 0 {
		x.dropOldest()
	}
	return len(x.paths) < maxRecords
}

func (x *index) dropOldest() {
	delete(x.paths, x.gone[0].id)
	x.gone = x.gone[1:]
}

// alive returns a copy of what is living, by path.
func (x *index) alive() map[string]uint64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return maps.Clone(x.living)
}
