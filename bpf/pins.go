package bpf

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// pinned is what stood at a path when it was last looked into.
type pinned struct {
	object any // ours, which it was a pin of
	file   unix.Stat_t
}

// pinFiles remembers what was found to be pinned, by path. To open a pin and to ask the kernel what it is costs far more
// than to see that the file is still the same one, and Repair asks every few seconds.
type pinFiles map[string]pinned

// hold says whether an object is pinned at a path, as isAt finds it out.
func (p pinFiles) hold(object any, path string, isAt func() bool) bool {
	var file unix.Stat_t
	if err := unix.Lstat(path, &file); err != nil {
		delete(p, path)
		return false
	}
	before := p[path]
	// The number of a file may be given again, but not with the same time.
	if before.object == object && before.file.Dev == file.Dev && before.file.Ino == file.Ino && before.file.Ctim == file.Ctim {
		return true
	}
	delete(p, path)
	if !isAt() {
		return false
	}
	p[path] = pinned{object, file}
	return true
}

// holdLink says whether a link is pinned at path. What cannot be opened as a link is something else.
func (p pinFiles) holdLink(l link.Link, path string) bool {
	return p.hold(l, path, func() bool {
		there, err := link.LoadPinnedLink(path, nil)
		if err != nil {
			return false
		}
		defer there.Close()
		want, err1 := l.Info()
		got, err2 := there.Info()
		return err1 == nil && err2 == nil && got.ID == want.ID
	})
}

// holdMap says whether a map is pinned at path. What cannot be opened as a map is something else.
func (p pinFiles) holdMap(m *ebpf.Map, path string) bool {
	return p.hold(m, path, func() bool {
		there, err := ebpf.LoadPinnedMap(path, nil)
		if err != nil {
			return false
		}
		defer there.Close()
		want, err1 := m.Info()
		got, err2 := there.Info()
		if err1 != nil || err2 != nil {
			return false
		}
		wanted, _ := want.ID() // known since Linux 4.13
		found, _ := got.ID()
		return found == wanted
	})
}
