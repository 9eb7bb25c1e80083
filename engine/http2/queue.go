package http2

// queue is a list of streams, the first of which is the next. Each stream has a place for each of two queues.
type queue struct {
	place       int
	first, last *Stream
}

// The places.
const (
	placeNews  = iota // something is new
	placeWrite        // it has more to write
	places
)

// link is the place of a stream in a queue.
type link struct {
	in         *queue // nil: in none
	prev, next *Stream
}

func (q *queue) push(t *Stream) {
	l := &t.links[q.place]
	if l.in != nil {
		return
	}
	*l = link{in: q, prev: q.last}
	if q.last == nil {
		q.first = t
	} else {
		q.last.links[q.place].next = t
	}
	q.last = t
}

func (q *queue) pop() *Stream {
	t := q.first
	if t != nil {
		t.leave(q.place)
	}
	return t
}

// leave takes a stream out of the queue in which it has that place.
func (t *Stream) leave(place int) {
	l := &t.links[place]
	if l.in == nil {
		return
	}
	if l.prev == nil {
		l.in.first = l.next
	} else {
		l.prev.links[place].next = l.next
	}
	if l.next == nil {
		l.in.last = l.prev
	} else {
		l.next.links[place].prev = l.prev
	}
	*l = link{}
}
