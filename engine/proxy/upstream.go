package proxy

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/meshd/meshd/engine/http2"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/snapshot"
)

const (
	// idleUpstreams bounds the connections to one endpoint that a loop keeps for the next request of one source: as many as a
	// source has requests at once, and no more than are made again sooner than they are kept for nothing.
	idleUpstreams = 1024
	// upstreamIdle is how long such a connection is kept. It is shorter than the servers that are about close theirs.
	upstreamIdle = 45 * time.Second
)

// upstream is a connection to an endpoint that carries one HTTP request after the other, also those of different clients
// of the same source. It stays with one loop.
//
// To an endpoint of HTTP/2 it is a stream of a link, and carries one request.
type upstream struct {
	side
	loop *loop
	key  upstreamKey
	slot int32
	link *endpointLink // whose stream it is; nil: it is a socket

	user    user      // whose request it carries; nil: it is idle
	input   []byte    // a part of the head of an answer
	reused  bool      // it has carried a request before
	kept    bool      // it has keepalive
	hungUp  bool      // it has been told that no request follows
	follows bool      // others wait already for its link to be connected
	since   time.Time // when it became idle
}

// user is whose request an upstream carries.
type user interface {
	// happened works on what an event says of the upstream, which has noted it.
	happened(u *upstream, events uint32)
}

func (x *exchange) happened(u *upstream, events uint32) { x.conn.about(&u.side, events) }

// upstreamKey is what requests must have in common to share a connection: all by which an endpoint may tell them apart.
type upstreamKey struct {
	address netip.AddrPort
	source  string
}

// dialFor begins to connect a socket.
func (l *loop) dialFor(key upstreamKey) (fd int, err error) {
	fd, err = dialSocket(key.address)
	if isLack(err) && len(l.idle)+len(l.endpointLinks) > 0 { // who needs one now goes before who may need one later
		l.closeIdle(l.now.Add(time.Hour))
		fd, err = dialSocket(key.address)
	}
	return fd, err
}

// atHand returns a connection that is there, for endpoints of HTTP/2 or of HTTP/1; nil when there is none.
func (l *loop) atHand(key upstreamKey, http2 bool, user user) *upstream {
	if http2 {
		return l.linkedUpstream(key, user)
	}
	return l.idleUpstream(key, user)
}

// dialUpstream begins to connect.
func (l *loop) dialUpstream(key upstreamKey, http2 bool, user user) (*upstream, error) {
	if http2 {
		return l.joinUpstream(key, user)
	}
	fd, err := l.dialFor(key)
	if err != nil {
		return nil, err
	}
	u := &upstream{side: side{fd: fd, reset: mesh.ReasonEndpointReset}, loop: l, key: key, user: user}
	u.slot = l.take(slot{upstream: u})
	if err := l.watch(fd, edges, u.slot<<1, l.slots[u.slot].generation); err != nil {
		u.close(true)
		return nil, err
	}
	return u, nil
}

// idleUpstream returns a connection that a request may reuse, or nil.
func (l *loop) idleUpstream(key upstreamKey, user user) *upstream {
	for idle := l.idle[key]; len(idle) > 0; idle = l.idle[key] {
		u := idle[len(idle)-1] // the one that was used last is the one most likely to live
		l.forget(u)
		if u.isUsable() {
			u.user = user
			return u
		}
		u.close(true)
	}
	return nil
}

// isUsable looks whether the endpoint has ended the connection since the last event, or has said what nobody asked for.
func (u *upstream) isUsable() bool {
	if u.readable || u.closing || u.broken != nil {
		return false
	}
	return !hasInput(u.fd)
}

// isQuiet says whether the connection is as a new one after an answer: nothing more has come, and nothing has broken.
func (u *upstream) isQuiet() bool {
	return u.input == nil && !u.closing && !u.hungUp && u.broken == nil
}

// mayBeStale says whether an error without an answer may come of the endpoint having closed the connection for being idle.
func (u *upstream) mayBeStale(err error) bool {
	return u.reused && (u.link == nil || errors.Is(err, http2.ErrLost))
}

// isToBlame says whether an error without an answer tells something of the endpoint that has not been counted. The streams of
// a link that is lost have all the same one.
func (u *upstream) isToBlame(err error) bool {
	if u.link == nil || !errors.Is(err, http2.ErrLost) {
		return true
	}
	blamed := u.link.blamed
	u.link.blamed = true
	return !blamed
}

// store keeps a part of the head of an answer.
func (u *upstream) store(data []byte) {
	if len(data) == 0 {
		u.loop.recycle(u.input)
		u.input = nil
		return
	}
	if u.input == nil {
		u.input = u.loop.buffer()
	}
	u.input = append(u.input[:0], data...)
}

// keep leaves the connection to the next request; false when enough are, and it is closed.
func (l *loop) keep(u *upstream) bool {
	u.user, u.reused, u.since = nil, true, l.now
	if len(l.idle[u.key]) >= idleUpstreams {
		u.close(true)
		return false
	}
	if l.idle == nil {
		l.idle = map[upstreamKey][]*upstream{}
	}
	l.idle[u.key] = append(l.idle[u.key], u)
	return true
}

// forget takes an idle connection from those that may be reused.
func (l *loop) forget(u *upstream) {
	idle := l.idle[u.key]
	for i := len(idle) - 1; i >= 0; i-- { // most often it is the last
		if idle[i] == u {
			l.idle[u.key] = slices.Delete(idle, i, i+1)
			return
		}
	}
}

// closeIdle closes the connections that have not been needed since then.
func (l *loop) closeIdle(since time.Time) {
	l.closeIdleLinks(since)
	for key, idle := range l.idle {
		for _, u := range slices.Clone(idle) {
			if u.since.Before(since) {
				l.forget(u)
				u.close(true)
			}
		}
		if len(l.idle[key]) == 0 {
			delete(l.idle, key)
		}
	}
}

// see closes the idle connections to endpoints that a new snapshot has not any more.
func (l *loop) see(now *snapshot.Snapshot) {
	if now == l.seen {
		return
	}
	l.seen = now
	l.leaveGone(now)
	for key, idle := range l.idle {
		if has(now, key.address) {
			continue
		}
		for _, u := range idle {
			u.close(true)
		}
		delete(l.idle, key)
	}
}

// has says whether an endpoint stands at that address.
func has(s *snapshot.Snapshot, at netip.AddrPort) bool {
	_, only, ok := s.At(at)
	return ok && only != nil
}

// happened works on an event.
func (u *upstream) happened(events uint32) {
	u.note(events)
	if u.user != nil {
		u.user.happened(u, events)
		return
	}
	if u.readable || u.closing { // nobody has asked for anything
		u.loop.forget(u)
		u.close(true)
	}
}

// tend gives keepalive to a connection whose request takes long.
func (u *upstream) tend(now time.Time) {
	x, carries := u.user.(*exchange)
	if !carries || u.kept || x.stage == forConnect || now.Sub(x.begun) < keepAliveAfter {
		return
	}
	u.kept = true
	keepAlive(u.fd)
}

// close ends the connection; in order, if what it has carried has come to its end.
func (u *upstream) close(inOrder bool) {
	u.user = nil
	u.store(nil)
	if u.link != nil {
		u.link.leave(u)
		return
	}
	u.loop.giveBack(u.slot)
	if inOrder {
		closeInOrder(u.fd)
	} else {
		closeWithReset(u.fd)
	}
	u.fd = -1
}
