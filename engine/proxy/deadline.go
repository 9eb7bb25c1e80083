package proxy

import (
	"container/heap"
	"errors"
	"time"

	"github.com/meshd/meshd/engine/mesh"
)

// deadline is the moment at which a connection is looked at again, if nothing disarms it before. A connection has one at
// most: the earliest of all that it waits for.
type deadline struct {
	at    time.Time
	place int // in the heap, counted from 1; 0: it is not armed
}

// deadlines are connections in the order of their deadlines, as a heap. What waits equally long for all of its kind is in
// timeouts, which cost less.
type deadlines []*conn

// Len implements heap.Interface, as do Less, Swap, Push and Pop.
func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].deadline.at.Before(d[j].deadline.at) }

func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].deadline.place, d[j].deadline.place = i+1, j+1
}

func (d *deadlines) Push(c any) {
	*d = append(*d, c.(*conn))
	c.(*conn).deadline.place = len(*d)
}

func (d *deadlines) Pop() any {
	last := len(*d) - 1
	c := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	c.deadline.place = 0
	return c
}

// next returns the first deadline; zero when there is none.
func (d deadlines) next() time.Time {
	if len(d) == 0 {
		return time.Time{}
	}
	return d[0].deadline.at
}

// expired disarms the first deadline if it is over, and returns whose it was; nil when none is.
func (d *deadlines) expired(now time.Time) *conn {
	if len(*d) == 0 || now.Before((*d)[0].deadline.at) {
		return nil
	}
	return heap.Pop(d).(*conn)
}

// arm sets the deadline of the connection; the zero time disarms it.
func (c *conn) arm(at time.Time) {
	d := &c.loop.deadlines
	switch armed := c.deadline.place > 0; {
	case at.IsZero() && armed:
		heap.Remove(d, c.deadline.place-1)
	case at.IsZero() || armed && at.Equal(c.deadline.at):
	case armed:
		c.deadline.at = at
		heap.Fix(d, c.deadline.place-1)
	default:
		c.deadline.at = at
		heap.Push(d, c)
	}
}

// disarm takes the deadline back, if there is one.
func (c *conn) disarm() { c.arm(time.Time{}) }

// overdue works on a deadline that is over.
func (c *conn) overdue() {
	defer c.contain()
	if c.http == nil {
		c.notConnected(errConnectTimeout)
		return
	}
	c.http.overdue()
	if !c.ended {
		c.move()
	}
}

// until is when what a request waits for must have come. A zero time is none.
type until struct {
	wake    time.Time // the request is sent: for the first time after a delay, or again
	connect time.Time // the endpoint has accepted
	try     time.Time // the head of the answer is there
	all     time.Time // all of the answer has been passed on
	look    time.Time // a client that may be a stranger has been quick enough
	idle    time.Duration
	moved   time.Time // when a byte of the request or the answer was passed on last; for idle
}

// next returns the first of them.
func (u *until) next() time.Time {
	at := earlier(earlier(earlier(u.wake, u.connect), earlier(u.try, u.all)), u.look)
	if u.idle > 0 && u.wake.IsZero() {
		at = earlier(at, u.moved.Add(u.idle))
	}
	return at
}

// errTimeout says that a request has taken longer than its route lets it.
var errTimeout = errors.New("the time for the request is over")

// arm has the exchange looked at when the first time of the request is over. Bytes that are passed on move idle without
// arming it anew: it is armed again when it turns out to have been too early.
func (x *exchange) arm() { x.conn.arm(x.until.next()) }

// passed notes that something of the request or the answer has been passed on.
func (x *exchange) passed() {
	if x.until.idle > 0 {
		x.until.moved = x.conn.loop.now
	}
}

// overdue works on the first deadline of a request, if it is over.
func (x *exchange) overdue() {
	now := x.conn.loop.now
	isOver := func(at time.Time) bool { return !at.IsZero() && !now.Before(at) }
	u := &x.until
	if up := x.up; up != nil && up.link != nil && (isOver(u.try) || isOver(u.all)) {
		up.link.doubt(x.triedAt)
	}
	switch {
	case isOver(u.all), u.idle > 0 && u.wake.IsZero() && isOver(u.moved.Add(u.idle)):
		x.timeout()
	case isOver(u.wake):
		u.wake = time.Time{}
		x.awake()
	case isOver(u.try):
		if x.stage == forConnect {
			x.failed(errConnectTimeout)
		} else {
			x.endpoint.Status(504, now)
		}
		x.failTry(504, mesh.ReasonTimeout)
	case isOver(u.look):
		x.look()
	case isOver(u.connect) && x.up.link != nil:
		x.up.link.accepted(errConnectTimeout)
	case isOver(u.connect):
		x.notConnected(errConnectTimeout)
	default:
		x.arm()
	}
}

// timeout ends a request that has taken too long.
func (x *exchange) timeout() {
	if x.answering {
		x.conn.end(mesh.ReasonTimeout, errTimeout)
		return
	}
	if x.stage == forAnswer && x.uploaded { // else the client may be what it took so long for
		x.endpoint.Status(504, x.conn.loop.now)
	}
	x.respond(504, mesh.ReasonTimeout)
}
