package proxy

import (
	"errors"
	"fmt"
	"io"

	"github.com/meshd/meshd/engine/http1"
	"github.com/meshd/meshd/engine/http2"
	"github.com/meshd/meshd/engine/mesh"
)

// link is a socket over which a session of HTTP/2 goes: that of a client, or one to an endpoint.
//
// What its streams write is sent at the end of the turn of the loop, for all of them at once.
type link struct {
	loop    *loop
	session *http2.Session
	socket  *side
	owner   owner
	queued  bool // to work at the end of the turn
	over    bool // it is closed, or about to be
}

// owner is whose link it is.
type owner interface {
	// about works on a stream of which something is new.
	about(t *http2.Stream)
	// moved counts what the peer has sent, and what has been sent to it.
	moved(came, sent int)
	// settle sees what has become of the link after it has read and written.
	settle()
	// failed ends the link for what the peer has sent. All streams have been told; what is to be told to the peer is in Output.
	failed(err error)
	// lost ends the link whose peer is gone; err is nil when that was in order.
	lost(err error)
	// contain keeps a fault in the code of one link from ending all of them. It must be deferred itself.
	contain()
}

// queue has the link work at the end of the turn.
func (k *link) queue() {
	if !k.queued {
		k.queued = true
		k.loop.links = append(k.loop.links, k)
	}
}

// workLinks has those links work that have something to send, or more to read than their turn has allowed.
func (l *loop) workLinks() {
	working := l.links
	l.links = l.spareLinks[:0]
	for i, k := range working {
		working[i] = nil
		k.queued = false
		k.work()
	}
	l.spareLinks = working[:0]
}

// work writes and reads what can be written and read without waiting.
func (k *link) work() {
	defer k.owner.contain()
	k.serve() // what has been written to a stream may have ended it
	if !k.over {
		k.write()
	}
	if !k.over && k.socket.readable {
		k.read()
	}
	if !k.over {
		k.owner.settle()
	}
}

// read feeds the session with what has come.
func (k *link) read() {
	for left := turn; left > 0 && k.socket.readable; {
		n, err := k.socket.read(k.loop.scratch)
		if errors.Is(err, errNothing) {
			break
		}
		if n <= 0 {
			k.lose(err)
			return
		}
		left -= n
		k.owner.moved(n, 0)
		err = k.session.Feed(k.loop.scratch[:n], k.loop.now)
		k.serve()
		switch {
		case k.over:
			return
		case err != nil:
			k.owner.failed(err)
			return
		}
	}
	if k.socket.readable || len(k.session.Output()) > 0 {
		k.queue()
	}
}

// write sends what there is to send. That may make room for more.
func (k *link) write() {
	for left := turn; k.socket.writable; {
		out := k.session.Output()
		switch {
		case len(out) == 0:
			return
		case left <= 0:
			k.queue()
			return
		}
		n, err := k.socket.write(out)
		k.session.Sent(n)
		k.owner.moved(0, n)
		left -= n
		if err != nil {
			k.lose(err)
			return
		}
		if k.serve(); k.over {
			return
		}
	}
}

// serve works on the streams of which something is new.
func (k *link) serve() {
	for !k.over {
		t := k.session.Next()
		if t == nil {
			return
		}
		k.owner.about(t)
	}
}

// lend has the peer send what there is room for again, that others held.
func (k *link) lend() {
	k.session.Lend()
	if len(k.session.Output()) > 0 {
		k.queue()
	}
}

// lose ends a link whose peer is gone.
func (k *link) lose(err error) {
	if !k.over {
		k.owner.lost(err)
	}
}

// endStreams fails the streams of a link that is gone.
func (k *link) endStreams() {
	k.over = true
	k.session.Lost()
	for t := k.session.Next(); t != nil; t = k.session.Next() {
		k.owner.about(t)
	}
}

// noteStream takes over what is new of a stream. As with a socket, what holds until a call finds the opposite is that it takes
// something: only of a stream that has not taken all it says when it does again.
func (s *side) noteStream() {
	s.readable = s.stream.Readable()
	s.writable = s.writable || s.stream.Writable()
}

// readStream is read of a side that is a stream.
func (s *side) readStream(buf []byte) (int, error) {
	n, err := s.stream.Read(buf)
	s.link.queue() // there is room for more
	s.readable = err == nil && s.stream.Readable()
	reset, isReset := errors.AsType[*http2.ResetError](err)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, http2.ErrNothing):
		return 0, errNothing
	case errors.Is(err, io.EOF):
		err = nil
	case isReset && reset.Untouched:
		err = fmt.Errorf("%w: %w", errRefused, err)
	}
	s.drained = true
	return 0, err
}

// isMalformed says whether a stream has ended for what its peer has sent.
func isMalformed(err error) bool {
	reset, ok := errors.AsType[*http2.ResetError](err)
	return ok && reset.Ours
}

// isResetByPeer says whether the peer has reset the stream.
func isResetByPeer(err error) bool {
	reset, ok := errors.AsType[*http2.ResetError](err)
	return ok && !reset.Ours
}

// isNoMessage says whether a stream has ended as what was written to it is no message, or more than one may be.
func isNoMessage(err error) bool {
	_, ok := errors.AsType[http1.Error](err)
	return ok
}

// codeFor returns why a stream to a client ends for a reason, of which err tells more.
func codeFor(reason mesh.Reason, err error) http2.Code {
	if reset, ok := errors.AsType[*http2.ResetError](err); ok && reason == mesh.ReasonEndpointReset && reset.Code != http2.CodeNone {
		return reset.Code
	}
	switch reason {
	case mesh.ReasonBadRequest, mesh.ReasonHardening:
		return http2.CodeProtocol
	case mesh.ReasonTooSlow, mesh.ReasonTimeout:
		return http2.CodeCancel
	case mesh.ReasonOverload:
		return http2.CodeCalm
	}
	return http2.CodeInternal
}
