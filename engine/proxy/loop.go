package proxy

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/engine/accesslog"
	"github.com/meshd/meshd/engine/http1"
	"github.com/meshd/meshd/engine/http2"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/snapshot"
	"github.com/meshd/meshd/engine/trace"
)

const (
	// scratchSize is how much is read at once, and so how much a direction may hold whose destination takes no more.
	scratchSize = 64 << 10
	// batch is how many events are taken at once.
	batch = 256
	// yieldInterval is how often a loop lets Go's scheduler see that it is well: before that interrupts who has not for 10 ms,
	// and no more often than needed, as the loop's thread hands its processor to another one and gets it back for it.
	yieldInterval = 9 * time.Millisecond
	// tendInterval is how often a loop looks at all of its connections.
	tendInterval = 5 * time.Second
)

// loop serves a share of the connections: it waits for events of their sockets and does what can be done without
// waiting. There is one for each processor, and a connection stays with the one that it was given to, so that what
// belongs to a connection needs no lock, no goroutine and, while it is idle, no buffer.
//
// Events are edge-triggered, see epoll(7): what an event has said holds until a call finds the opposite.
type loop struct {
	out     *Outbound
	epoll   int
	wake    int // an eventfd, that others write to
	scratch []byte
	now     time.Time // when the events that are being worked on were taken

	listeners []*listener
	ready     []*conn // have more to do, of which no event will tell
	deadlines deadlines
	parting   timeouts
	slow      timeouts // clients that have begun a request
	edge      edgeTimeouts
	nextTend  time.Time
	yielded   time.Time

	head    http1.Head // of the message that is worked on
	routing routing
	marks   marks
	notes   []*note // that nobody uses
	entry   accesslog.Entry
	lines   *accesslog.Lane
	spans   *trace.Lane
	buffers [][]byte                    // that nobody uses
	idle    map[upstreamKey][]*upstream // the last one is the one that was used last

	pool                           http2.Pool
	links, spareLinks              []*link // to work at the end of the turn
	endpointLinks                  map[upstreamKey][]*endpointLink
	spare, spent                   []*conn // of streams: that nobody uses, and that have ended in this turn
	spareUpstreams, spentUpstreams []*upstream

	mirrors map[*mirror]struct{} // that are under way
	seen    *snapshot.Snapshot   // whose endpoints idle connections may be of

	all  []*loop      // this one too
	load atomic.Int32 // connections that are here or on their way

	mu    sync.Mutex
	slots []slot
	free  []int32 // of slots
	inbox []func()
	ended bool // takes no more into the inbox
}

// slot is the place of a connection in the table of its loop. Events name the slot, and the generation tells those of
// the connection that had it before.
type slot struct {
	conn       *conn
	upstream   *upstream
	link       *endpointLink
	generation int32
}

// What an event belongs to, in the place of a slot and a side.
const (
	wakeUp        = -1
	firstListener = -2 // the others have smaller numbers
)

// The sides, as events name them.
const (
	ofClient = iota
	ofServer
)

func newLoop(out *Outbound) (*loop, error) {
	l := &loop{out: out, scratch: make([]byte, scratchSize), lines: out.accessLog.Lane(), spans: out.tracer.Lane()}
	l.parting.after, l.slow.after, l.edge = lastWords, headTimeout, newEdgeTimeouts()
	var err error
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make event loop: %w", err)
	}
	if l.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		unix.Close(l.epoll)
		return nil, fmt.Errorf("make event loop: %w", err)
	}
	if err := l.watch(l.wake, unix.EPOLLIN, wakeUp, 0); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *loop) close() {
	unix.Close(l.epoll)
	unix.Close(l.wake)
}

// watch asks for the events of a descriptor, until that is closed.
func (l *loop) watch(fd int, events uint32, what, generation int32) error {
	event := unix.EpollEvent{Events: events, Fd: what, Pad: generation}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return fmt.Errorf("watch descriptor: %w", err)
	}
	return nil
}

// do has the loop call f, soon and in its own goroutine; false when it has ended.
func (l *loop) do(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	l.inbox = append(l.inbox, f)
	if len(l.inbox) == 1 {
		_, _ = unix.Write(l.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // fails only when it is full, and then the loop wakes anyway
	}
	return true
}

// stop ends the loop once it has done what it was asked for until now.
func (l *loop) stop() {
	l.do(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.ended = true
	})
}

// run works until stop.
func (l *loop) run() {
	runtime.LockOSThread() // which the kernel keeps near its processor, and the scheduler has no say in
	defer runtime.UnlockOSThread()
	defer l.close()
	defer func() {
		for m := range l.mirrors { // their time may be as long as their routes say
			m.end(cut)
		}
		l.closeIdle(l.now.Add(time.Hour))
		l.closeLinks()
	}()
	events := make([]unix.EpollEvent, batch)
	for !l.ended {
		n, err := l.wait(events)
		if err != nil && !errors.Is(err, unix.EINTR) {
			panic(fmt.Sprintf("wait for events: %v", err)) // what it complains about are our arguments
		}
		l.now = time.Now()
		for i := range max(n, 0) {
			l.dispatch(&events[i])
		}
		l.goOn()
		l.expire()
		l.tend()
		l.workLinks()
		l.reuseStreams()
	}
}

// wait returns the events that are there, or waits for the next.
func (l *loop) wait(events []unix.EpollEvent) (int, error) {
	if n, err := poll(l.epoll, events); n > 0 || err != nil || len(l.ready)+len(l.links) > 0 {
		return n, err
	}
	if l.now.Sub(l.yielded) > yieldInterval {
		l.yielded = l.now
		runtime.Gosched()
	}
	return unix.EpollWait(l.epoll, events, l.patience())
}

// patience returns for how many milliseconds the loop may sleep; -1 for as long as nothing happens.
func (l *loop) patience() int {
	if len(l.ready)+len(l.links) > 0 {
		return 0
	}
	until := l.deadlines.next()
	until = earlier(until, l.parting.next())
	until = earlier(until, l.slow.next())
	until = earlier(until, l.edge.next())
	until = earlier(until, l.nextTend)
	for _, from := range l.listeners {
		if from != nil {
			until = earlier(until, from.resume)
		}
	}
	if until.IsZero() {
		return -1
	}
	return int(max(0, time.Until(until)+time.Millisecond-1) / time.Millisecond)
}

// earlier returns the earlier of two times, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// watchSide asks for the events of one side of a connection that has a slot.
func (l *loop) watchSide(c *conn, s *side) error {
	which := int32(ofClient)
	if s == &c.server {
		which = ofServer
	}
	return l.watch(s.fd, edges, c.slot<<1|which, l.slots[c.slot].generation)
}

func (l *loop) dispatch(event *unix.EpollEvent) {
	switch {
	case event.Fd == wakeUp:
		l.readInbox()
	case event.Fd <= firstListener:
		if i := int(firstListener - event.Fd); i < len(l.listeners) && l.listeners[i] != nil {
			l.accept(l.listeners[i])
		}
	default:
		switch s := l.slots[event.Fd>>1]; {
		case s.generation != event.Pad:
		case s.conn != nil:
			s.conn.happened(event.Fd&1, event.Events)
		case s.upstream != nil:
			s.upstream.happened(event.Events)
		case s.link != nil:
			s.link.happened(event.Events)
		}
	}
}

func (l *loop) readInbox() {
	var count [8]byte
	_, _ = unix.Read(l.wake, count[:]) // only to make it empty
	l.mu.Lock()
	asked := l.inbox
	l.inbox = nil
	l.mu.Unlock()
	for _, f := range asked {
		f()
	}
}

// goOn works on the connections that had more to do than their turn allowed.
func (l *loop) goOn() {
	ready := l.ready
	l.ready = nil
	for _, c := range ready {
		c.queued = false
		c.goOn()
	}
}

// again has the connection go on after the events of all others.
func (l *loop) again(c *conn) {
	if !c.queued {
		c.queued = true
		l.ready = append(l.ready, c)
	}
}

// expire ends what has lasted too long.
func (l *loop) expire() {
	for c := l.deadlines.expired(l.now); c != nil; c = l.deadlines.expired(l.now) {
		c.overdue()
	}
	for c := l.parting.expired(l.now); c != nil; c = l.parting.expired(l.now) {
		c.part()
	}
	for c := l.slow.expired(l.now); c != nil; c = l.slow.expired(l.now) {
		c.http.tooSlow(mesh.ReasonBadRequest)
	}
	l.edge.expire(l.now)
	for _, from := range l.listeners {
		if from != nil && !from.resume.IsZero() && !l.now.Before(from.resume) {
			l.resume(from)
		}
	}
}

// tend looks after the connections that live long.
func (l *loop) tend() {
	if l.nextTend.IsZero() || l.now.Before(l.nextTend) {
		return
	}
	l.nextTend = time.Time{}
	for i := range l.slots {
		if c := l.slots[i].conn; c != nil {
			l.nextTend = l.now.Add(tendInterval)
			c.tend(l.now)
		}
		if u := l.slots[i].upstream; u != nil && u.user != nil {
			l.nextTend = l.now.Add(tendInterval)
			u.tend(l.now)
		}
		if k := l.slots[i].link; k != nil {
			k.tend(l.now)
		}
	}
	l.endMirrors(l.now)
	l.see(l.out.snapshots.Load())
	l.closeIdle(l.now.Add(-upstreamIdle))
	if len(l.idle)+len(l.endpointLinks)+len(l.mirrors) > 0 {
		l.nextTend = l.now.Add(tendInterval)
	}
}

// release gives the place of a connection back, and has those accept again who have found none.
func (l *loop) release() {
	l.out.release()
	if l.out.starved.Load() && l.out.starved.Swap(false) {
		for _, other := range l.all {
			other.do(other.resumeAll)
		}
	}
}

// add gives the connection its slot, and a place among those that Connections shows.
func (l *loop) add(c *conn) {
	c.slot = l.take(slot{conn: c})
	c.listed = true
}

// remove takes the slot away again.
func (l *loop) remove(c *conn) {
	if c.listed {
		c.listed = false
		l.giveBack(c.slot)
	}
}

// take returns the number of a slot for what it is to hold.
func (l *loop) take(what slot) (number int32) {
	if l.nextTend.IsZero() {
		l.nextTend = l.now.Add(tendInterval)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.free); n > 0 {
		number, l.free = l.free[n-1], l.free[:n-1]
	} else {
		number = int32(len(l.slots))
		l.slots = append(l.slots, slot{})
	}
	what.generation = l.slots[number].generation
	l.slots[number] = what
	return number
}

// giveBack empties a slot. Events that are still about it are not of anybody.
func (l *loop) giveBack(number int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slots[number] = slot{generation: l.slots[number].generation + 1}
	l.free = append(l.free, number)
}

// conns returns the connections that the loop has. It may be called by anybody.
func (l *loop) conns() (all []*conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.slots {
		if c := l.slots[i].conn; c != nil {
			all = append(all, c)
		}
	}
	return all
}
