package proxy

import (
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/engine/http2"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/snapshot"
)

// endpointLink is a connection to an endpoint that speaks HTTP/2. The requests of all clients of one source share it, each
// as an upstream.
type endpointLink struct {
	link
	end  side // the socket
	key  upstreamKey
	slot int32

	connected bool
	waiting   []*upstream // for it to be
	used      bool        // it has carried a request before
	kept      bool        // it has keepalive
	blamed    bool        // the endpoint has been blamed for its end
	made      time.Time
	heard     time.Time // when something has come last
	since     time.Time // when a request has left it last
}

// linkedUpstream returns a stream of a connection that is there, or nil.
func (l *loop) linkedUpstream(key upstreamKey, user user) *upstream {
	for i := 0; i < len(l.endpointLinks[key]); {
		k := l.endpointLinks[key][i]
		if k.connected && k.session.Len() == 0 && hasInput(k.end.fd) { // a request must not go where an end has arrived already
			k.end.readable = true
			// It is the turn of another, who has put away by now what it had in the scratch. There is no stream that would have one too.
			if k.read(); k.over {
				continue // it is not there any more
			}
		}
		if k.connected && k.session.Room() > 0 {
			return k.open(user)
		}
		i++
	}
	return nil
}

// joinUpstream returns a stream of a connection that is being made, and makes one if there is none.
func (l *loop) joinUpstream(key upstreamKey, user user) (*upstream, error) {
	for _, k := range l.endpointLinks[key] {
		if !k.connected && k.session.Room() > 0 {
			u := k.open(user)
			u.follows = true
			return u, nil
		}
	}
	fd, err := l.dialFor(key)
	if err != nil {
		return nil, err
	}
	k := &endpointLink{key: key, end: side{fd: fd, reset: mesh.ReasonEndpointReset}, made: l.now}
	k.link = link{loop: l, session: http2.NewClient(&l.pool), socket: &k.end, owner: k}
	k.slot = l.take(slot{link: k})
	if l.endpointLinks == nil {
		l.endpointLinks = map[upstreamKey][]*endpointLink{}
	}
	l.endpointLinks[key] = append(l.endpointLinks[key], k)
	if err := l.watch(fd, edges, k.slot<<1, l.slots[k.slot].generation); err != nil {
		k.close(true)
		return nil, err
	}
	return k.open(user), nil
}

// open begins a stream, for which there is room.
func (k *endpointLink) open(user user) *upstream {
	l := k.loop
	var u *upstream
	if last := len(l.spareUpstreams) - 1; last >= 0 {
		u, l.spareUpstreams = l.spareUpstreams[last], l.spareUpstreams[:last]
	} else {
		u = &upstream{}
	}
	t := k.session.Open()
	*u = upstream{
		side: side{fd: -1, stream: t, link: &k.link, reset: mesh.ReasonEndpointReset}, loop: l, key: k.key, user: user, link: k, reused: k.used,
	}
	t.User = u
	if k.connected {
		u.writable = true
		k.used = true
	} else {
		k.waiting = append(k.waiting, u)
	}
	return u
}

// leave lets go of the stream of an upstream.
func (k *endpointLink) leave(u *upstream) {
	if !k.connected {
		if i := slices.Index(k.waiting, u); i >= 0 {
			k.waiting = slices.Delete(k.waiting, i, i+1)
		}
	}
	u.stream.Close(http2.CodeCancel)
	u.stream = nil
	k.since = k.loop.now
	k.loop.spentUpstreams = append(k.loop.spentUpstreams, u)
	if !k.over {
		k.queue()
	}
}

// happened works on an event.
func (k *endpointLink) happened(events uint32) {
	defer k.contain()
	k.end.note(events)
	if !k.connected {
		if k.end.writable {
			k.accepted(k.end.socketError())
		}
		return
	}
	if events&unix.EPOLLERR != 0 {
		if err := k.end.socketError(); err != nil {
			k.lose(err)
			return
		}
	}
	if k.end.readable {
		k.read()
	}
	if !k.over {
		k.queue()
	}
}

// accepted tells those who wait how the connect has ended.
func (k *endpointLink) accepted(err error) {
	waiting := k.waiting
	k.waiting, k.connected, k.used = nil, true, true
	if err != nil {
		k.forget()
	}
	for _, u := range waiting {
		if u.user == nil {
			continue
		}
		u.broken, u.writable = err, true
		u.user.happened(u, unix.EPOLLOUT)
	}
	if err != nil {
		k.close(false)
		return
	}
	k.queue()
}

// about implements owner.
func (k *endpointLink) about(t *http2.Stream) {
	u, known := t.User.(*upstream)
	if !known || u.user == nil {
		return
	}
	u.noteStream()
	u.user.happened(u, 0)
}

// moved implements owner. What counts is what requests move.
func (k *endpointLink) moved(came, _ int) {
	if came > 0 {
		k.heard = k.loop.now
	}
}

// doubt follows from a request of then whose time is over. When nothing at all has come since, the endpoint may be gone without
// a word, and further requests must not wait for that to turn out.
func (k *endpointLink) doubt(then time.Time) {
	if k.connected && !k.over && k.heard.Before(then) {
		k.session.Leave()
		k.queue()
	}
}

// settle implements owner.
func (k *endpointLink) settle() {
	switch {
	case k.session.IsOver(), !k.connected && len(k.waiting) == 0:
	case k.session.Len() == 0 && k.session.Room() == 0 && !k.session.Leaves(): // else further requests would add one such after the other
	default:
		return
	}
	k.close(true)
}

// failed implements owner: the endpoint is told why, as far as it takes that at once.
func (k *endpointLink) failed(err error) {
	k.loop.out.log.Debug("endpoint's HTTP/2 refused", "endpoint", k.key.address, "error", err)
	_, _ = k.end.write(k.session.Output())
	k.close(true)
}

// lost implements owner.
func (k *endpointLink) lost(error) { k.close(false) }

// close ends the connection, and the streams that it has. In order, the endpoint gets what has been written.
func (k *endpointLink) close(inOrder bool) {
	if k.over {
		return
	}
	k.forget()
	k.endStreams()
	k.loop.giveBack(k.slot)
	if inOrder {
		closeInOrder(k.end.fd)
	} else {
		closeWithReset(k.end.fd)
	}
	k.end.fd = -1
}

// forget takes the link from those that further requests may use.
func (k *endpointLink) forget() {
	l := k.loop
	links := l.endpointLinks[k.key]
	if i := slices.Index(links, k); i >= 0 {
		links = slices.Delete(links, i, i+1)
	}
	if l.endpointLinks[k.key] = links; len(links) == 0 {
		delete(l.endpointLinks, k.key)
	}
}

// contain implements owner.
func (k *endpointLink) contain() {
	if fault := recover(); fault != nil {
		k.loop.out.log.Error("connection to endpoint panicked", "endpoint", k.key.address, "panic", fault, "stack", string(debug.Stack()))
		k.close(false)
	}
}

// tend gives keepalive to a link that lives for a while.
func (k *endpointLink) tend(now time.Time) {
	k.lend()
	if !k.kept && k.connected && now.Sub(k.made) >= keepAliveAfter {
		k.kept = true
		keepAlive(k.end.fd)
	}
}

// closeIdleLinks closes those that have not been needed since then.
func (l *loop) closeIdleLinks(since time.Time) {
	for _, links := range l.endpointLinks {
		for _, k := range slices.Clone(links) {
			if k.session.Len() == 0 && k.since.Before(since) {
				k.close(true)
			}
		}
	}
}

// closeLinks closes those that are left when the loop ends.
func (l *loop) closeLinks() {
	for i := range l.slots {
		if k := l.slots[i].link; k != nil {
			k.close(true)
		}
	}
}

// leaveGone has no new requests go to endpoints that a new snapshot has not any more.
func (l *loop) leaveGone(now *snapshot.Snapshot) {
	for key, links := range l.endpointLinks {
		if has(now, key.address) {
			continue
		}
		for _, k := range links {
			k.session.Leave()
			k.queue()
		}
	}
}
