package dns

import "sync"

// room is what is free for queries in flight, shared by all bindings.
type room struct {
	mu   sync.Mutex
	free int
}

// lane is one binding's part of the room: it may grow while it is smaller than what is left for the others.
type lane struct {
	room *room
	used int // under room.mu
}

// enter takes a place for one query; false means that there is none and the query has to be shed.
func (l *lane) enter() bool {
	l.room.mu.Lock()
	defer l.room.mu.Unlock()
	if l.used >= l.room.free {
		return false
	}
	l.used++
	l.room.free--
	return true
}

func (l *lane) leave() {
	l.room.mu.Lock()
	defer l.room.mu.Unlock()
	l.used--
	l.room.free++
}
