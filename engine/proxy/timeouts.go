package proxy

import "time"

// timeouts are connections that wait for something that must come in the same time for all of them, and so end in the
// order in which they came. A connection is in one at most.
type timeouts struct {
	after       time.Duration
	first, last *conn
}

// waiting is the place of a connection among others.
type waiting struct {
	in         *timeouts // nil: nowhere
	prev, next *conn
	until      time.Time
}

func (t *timeouts) add(c *conn, now time.Time) {
	c.waiting = waiting{in: t, prev: t.last, until: now.Add(t.after)}
	if t.last == nil {
		t.first = c
	} else {
		t.last.waiting.next = c
	}
	t.last = c
}

// leave takes the connection out of where it waits, if it does.
func (c *conn) leave() {
	w := c.waiting
	if w.in == nil {
		return
	}
	if w.prev == nil {
		w.in.first = w.next
	} else {
		w.prev.waiting.next = w.next
	}
	if w.next == nil {
		w.in.last = w.prev
	} else {
		w.next.waiting.prev = w.prev
	}
	c.waiting = waiting{}
}

// next returns when the first of them will have waited too long; zero when there is none.
func (t *timeouts) next() time.Time {
	if t.first == nil {
		return time.Time{}
	}
	return t.first.waiting.until
}

// expired takes out one that has waited too long, and returns it; nil when there is none.
func (t *timeouts) expired(now time.Time) *conn {
	c := t.first
	if c == nil || now.Before(c.waiting.until) {
		return nil
	}
	c.leave()
	return c
}
