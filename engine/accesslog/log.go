package accesslog

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshd/meshd/engine/spool"
)

const (
	// laneSize bounds the lines of one goroutine that nobody has written yet. Further ones are dropped.
	laneSize = 256 << 10
	// gather is how long lines wait for more, to be written at once.
	gather = 100 * time.Millisecond
	// patience is how long a switch to another sink waits for one that takes nothing.
	patience = time.Second
)

// Log writes lines by a goroutine of its own, so that nobody waits for a disk or a journal.
type Log struct {
	spool  *spool.Spool
	format atomic.Int32 // of the lines that come now; 0: none

	mu      sync.Mutex
	next    *change       // nil: none
	done    chan struct{} // closed when the log ends; nil: nothing has been written yet
	ended   chan struct{}
	lost    atomic.Uint64 // lines that a sink did not take
	failure atomic.Pointer[string]
}

// change is a sink to be used in the place of the one before.
type change struct {
	to   *Sink // nil: lines are not written
	done chan struct{}
}

// New returns a log that writes nothing.
func New() *Log { return &Log{spool: spool.New(laneSize)} }

// Use has lines written to another sink, which the log closes when it does not need it any more; nil: they are not written.
// What has been logged before goes to the sink before.
//
// It waits for that, but not for a sink that takes nothing.
func (l *Log) Use(s *Sink) {
	c := &change{to: s, done: make(chan struct{})}
	l.mu.Lock()
	if l.done == nil && s == nil {
		l.mu.Unlock()
		return
	}
	if l.done == nil {
		l.done, l.ended = make(chan struct{}), make(chan struct{})
		go l.run(l.done, l.ended)
	}
	if l.next != nil {
		_ = l.next.to.Close() // nothing was written to it
		close(l.next.done)
	}
	l.next = c
	l.mu.Unlock()
	if s == nil {
		l.format.Store(0)
	}
	l.spool.Wake()
	c.wait()
}

func (c *change) wait() {
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-c.done:
	case <-late.C:
	}
}

// Close writes what has been logged, and ends the log. It does not wait for a sink that takes nothing.
func (l *Log) Close() {
	l.Use(nil)
	l.mu.Lock()
	done, ended := l.done, l.ended
	l.done = nil
	l.mu.Unlock()
	if done == nil {
		return
	}
	close(done)
	(&change{done: ended}).wait()
}

func (l *Log) run(done <-chan struct{}, ended chan<- struct{}) {
	defer close(ended)
	var sink *Sink
	for more := true; more; {
		more = l.spool.Wait(gather, done)
		c := l.asked() // before lines are taken, as those that came before it are for the sink that there was
		l.spool.Take(func(b *spool.Buffer) { l.write(sink, b) })
		if c != nil {
			sink = l.change(sink, c)
		}
	}
	l.failed(sink.Close())
}

// asked returns the change that was asked for; nil when there is none.
func (l *Log) asked() *change {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.next
	l.next = nil
	return c
}

// change returns the sink that is to be used from now on.
func (l *Log) change(sink *Sink, c *change) *Sink {
	l.failed(sink.Close())
	if c.to != nil {
		l.format.Store(int32(c.to.format)) // now, as what comes before has nowhere to go
	}
	close(c.done)
	return c.to
}

func (l *Log) write(sink *Sink, b *spool.Buffer) {
	if sink == nil {
		l.lost.Add(uint64(b.Records))
		return
	}
	lost, err := sink.write(b.Bytes)
	l.lost.Add(uint64(lost))
	if err == nil {
		l.failure.Store(nil)
	}
	l.failed(err)
}

func (l *Log) failed(err error) {
	if err != nil {
		text := err.Error()
		l.failure.Store(&text)
	}
}

// Failure returns why lines are not written; empty when they are.
func (l *Log) Failure() string {
	if text := l.failure.Load(); text != nil {
		return *text
	}
	return ""
}

// Dropped returns how many lines were not written because they came faster than that, or could not be.
func (l *Log) Dropped() uint64 { return l.spool.Lost() + l.lost.Load() }

// Lane returns a way for the lines of one goroutine.
func (l *Log) Lane() *Lane { return &Lane{log: l, lane: l.spool.Lane()} }

// Lane is the way of the lines of one goroutine to the log.
type Lane struct {
	log    *Log
	lane   *spool.Lane
	format Format // of recent
	recent recent
}

// On says whether lines are written.
func (l *Lane) On() bool { return l.log.format.Load() != 0 }

// Add writes the line of an entry. It neither waits nor allocates, and keeps nothing of the entry.
func (l *Lane) Add(e *Entry) {
	format := Format(l.log.format.Load())
	if format == 0 {
		return
	}
	if format != l.format {
		l.format, l.recent = format, recent{}
	}
	if b := l.lane.Begin(); b != nil {
		b.Bytes = format.append(b.Bytes, e, &l.recent)
		b.Records++
		l.lane.End(b)
	}
}
