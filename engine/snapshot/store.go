package snapshot

import "sync/atomic"

// Store is the one place where the current snapshot is read. Its zero value holds an empty snapshot.
type Store struct {
	current atomic.Pointer[Snapshot]
}

var empty = Build(Input{})

// Load returns the current snapshot; never nil.
//
// A reader that looks twice loads once, so that both looks see the same picture.
func (s *Store) Load() *Snapshot {
	if snap := s.current.Load(); snap != nil {
		return snap
	}
	return empty
}

// Swap makes next the current snapshot and returns the one before. The kernel's maps and the listeners that next needs
// must be in place by then.
func (s *Store) Swap(next *Snapshot) *Snapshot {
	if old := s.current.Swap(next); old != nil {
		return old
	}
	return empty
}
