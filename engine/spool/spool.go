// Package spool hands records from those who must not wait to one who writes them.
package spool

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Spool is what is to be written. Each writer of records has a lane of its own, so that none waits for another, nor for who
// takes them; what does not fit is dropped and counted.
type Spool struct {
	most int // bytes in a lane
	some chan struct{}
	many chan struct{}

	mu    sync.Mutex
	lanes []*Lane
}

// New returns a spool whose lanes hold that many bytes each, and one record more.
func New(most int) *Spool {
	return &Spool{most: most, some: make(chan struct{}, 1), many: make(chan struct{}, 1)}
}

// Lane is the way of the records of one goroutine.
//
// It has two buffers. One is filled, and the other is with who takes records, who exchanges them while none is written.
type Lane struct {
	spool   *Spool
	filling atomic.Pointer[Buffer] // nil: a record is being written
	empty   *Buffer
	lost    atomic.Uint64
}

// Buffer is records, one behind the other.
type Buffer struct {
	Bytes   []byte
	Records int
}

// Lane adds a lane.
func (s *Spool) Lane() *Lane {
	l := &Lane{spool: s, empty: &Buffer{}}
	l.filling.Store(&Buffer{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lanes = append(s.lanes, l)
	return l
}

// Begin returns a buffer to append a record to; nil when there is no room for it, and it is lost. Else End must follow, soon.
func (l *Lane) Begin() *Buffer {
	b := l.filling.Swap(nil)
	if len(b.Bytes) < l.spool.most {
		return b
	}
	l.filling.Store(b)
	l.lost.Add(1)
	return nil
}

// End gives the buffer back that Begin has returned, with the record, if there is one after all.
func (l *Lane) End(b *Buffer) {
	had := len(b.Bytes)
	l.filling.Store(b) // and from here on it is not ours
	switch {
	case had >= l.spool.most/2:
		wake(l.spool.many)
	case had > 0:
		wake(l.spool.some)
	}
}

func wake(who chan struct{}) {
	select {
	case who <- struct{}{}:
	default: // it is awake
	}
}

// Wait returns when there are records: once they have had so long to become more, or are many. It returns false when done is
// closed before.
func (s *Spool) Wait(gather time.Duration, done <-chan struct{}) bool {
	select {
	case <-s.some:
	case <-s.many:
		return true
	case <-done:
		return false
	}
	more := time.NewTimer(gather)
	defer more.Stop()
	select {
	case <-more.C:
	case <-s.many:
	case <-done:
		return false
	}
	return true
}

// Wake has Wait return at once.
func (s *Spool) Wake() { wake(s.many) }

// Take calls f with what each lane holds. One goroutine may do so at a time. f must not keep the buffer.
func (s *Spool) Take(f func(*Buffer)) {
	s.mu.Lock()
	lanes := slices.Clone(s.lanes)
	s.mu.Unlock()
	for _, l := range lanes {
		b := l.filling.Load()
		if b == nil || !l.filling.CompareAndSwap(b, l.empty) {
			continue // a record is being written, and End will tell
		}
		if len(b.Bytes) > 0 {
			f(b)
		}
		b.Bytes, b.Records = b.Bytes[:0], 0
		l.empty = b
	}
}

// Lost returns how many records there was no room for.
func (s *Spool) Lost() (n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lanes {
		n += l.lost.Load()
	}
	return n
}
