package dns

import (
	"container/list"
	"context"
	"errors"
	"sync"
)

// errShed is the cause with which the context of a query or a connection ends that has to make room for a newer one.
var errShed = errors.New("shed to make room for a newer one")

func wasShed(ctx context.Context) bool { return errors.Is(context.Cause(ctx), errShed) }

// room is what is free for queries in flight, shared by all bindings.
type room struct {
	mu   sync.Mutex
	free int
}

// lane is one binding's part of the room: it may grow while it is smaller than what is left for the others.
type lane struct {
	room    *room
	waiting list.List // of *place, oldest first; under room.mu
}

// place is what a query in flight holds of its lane.
type place struct {
	end  context.CancelCauseFunc
	left chan struct{} // closed when the query has let go of everything that the place stands for
}

// enter takes a place for one query, until leave, which may be called again. Whatever the query does in between has to
// end with the context that it gets.
//
// In a lane that is full the query that has waited longest is shed: most likely its resolver is silent, and whoever
// floods the lane sheds mostly queries of their own. Its place passes on when it has been left, so that no more queries
// than places ever hold a socket. False means that there is nobody to shed, as other lanes hold the whole room.
func (l *lane) enter(ctx context.Context) (_ context.Context, leave func(), ok bool) {
	ctx, end := context.WithCancelCause(ctx)
	p := &place{end: end, left: make(chan struct{})}
	at, oldest, ok := l.join(p)
	if !ok {
		end(nil)
		return nil, nil, false
	}
	if oldest != nil {
		oldest.end(errShed)
		<-oldest.left
	}
	return ctx, sync.OnceFunc(func() {
		end(nil)
		l.remove(at)
		close(p.left)
	}), true
}

// join puts p last and returns the place that it takes over, if any.
func (l *lane) join(p *place) (at *list.Element, oldest *place, ok bool) {
	l.room.mu.Lock()
	defer l.room.mu.Unlock()
	switch {
	case l.waiting.Len() < l.room.free:
		l.room.free--
	case l.waiting.Len() > 0:
		oldest = l.waiting.Remove(l.waiting.Front()).(*place)
	default:
		return nil, nil, false
	}
	return l.waiting.PushBack(p), oldest, true
}

// remove frees a place, unless another query has taken it over.
func (l *lane) remove(at *list.Element) {
	l.room.mu.Lock()
	defer l.room.mu.Unlock()
	held := l.waiting.Len()
	l.waiting.Remove(at)
	l.room.free += held - l.waiting.Len()
}
