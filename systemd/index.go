package systemd

import (
	"maps"
	"sync"
	"time"
)

const (
	maxRecords = 16384
	// remembered is how long at least a cgroup stays known after its end: the last connections of a short-lived
	// process are looked up when it is gone.
	remembered = time.Minute
)

// index maps ids of cgroups to paths. It holds living ones, and for a while those that are gone.
type index struct {
	mu     sync.RWMutex
	paths  map[uint64]string
	living map[string]uint64 // the reverse of paths, without what is gone
	gone   []departed        // oldest first; an id that came back to life may still be here
}

type departed struct {
	id    uint64
	since time.Time
}

func newIndex() *index {
	return &index{paths: make(map[uint64]string), living: make(map[string]uint64)}
}

func (x *index) path(id uint64) (string, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	path, ok := x.paths[id]
	return path, ok
}

// add records a living cgroup and says whether there was room for it.
func (x *index) add(id uint64, path string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.living[path] == id {
		return true
	}
	if !x.room(id) {
		return false
	}
	x.bury(path) // another cgroup of that path whose end was missed
	x.paths[id] = path
	x.living[path] = id
	return true
}

// remember records a cgroup as if it had gone already: it is known for a while, and is not counted as living.
func (x *index) remember(id uint64, path string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, known := x.paths[id]; known || !x.room(id) {
		return
	}
	x.paths[id] = path
	x.gone = append(x.gone, departed{id, time.Now()})
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
	id, ok := x.living[path]
	if !ok {
		return
	}
	delete(x.living, path)
	x.gone = append(x.gone, departed{id, time.Now()})
	if len(x.gone) > maxRecords {
		x.dropOldest()
	}
}

// room makes sure that one more record fits, if need be at the cost of those that are gone, and says whether it does.
func (x *index) room(id uint64) bool {
	if _, known := x.paths[id]; known {
		return true
	}
	for len(x.paths) >= maxRecords && len(x.gone) > 0 {
		x.dropOldest()
	}
	return len(x.paths) < maxRecords
}

func (x *index) dropOldest() {
	id := x.gone[0].id
	x.gone = x.gone[1:]
	if path, ok := x.paths[id]; ok && x.living[path] != id {
		delete(x.paths, id)
	}
}

// alive returns a copy of what is living, by path.
func (x *index) alive() map[string]uint64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return maps.Clone(x.living)
}
