package proxy

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/http1"
	"github.com/meshd/meshd/engine/route"
)

const (
	// mostMirrors bounds the copies that a loop has under way. Their service may be slower than that of the requests.
	mostMirrors = 256
	// mirrorTimeout is how long the answer to a copy may take whose route has no request_timeout.
	mirrorTimeout = 15 * time.Second
)

// mirror is a copy of a request, and what becomes of it. Nobody waits for it: it is sent once all of the request is there,
// and whatever fails just ends it.
type mirror struct {
	loop   *loop
	target *route.Target
	source string
	until  time.Time

	method  http1.Method
	bytes   []byte
	head    int // length of the head in bytes
	sent    int
	dropped bool // it will not be sent

	endpoint  *balance.Endpoint
	up        *upstream
	connected bool
	answering bool // the head of the answer has come
	reusable  bool
	answer    http1.Body
}

// copyHead begins a copy of a request, of which h is the head, if its route wants one; else it returns nil.
func (x *exchange) copyHead(data []byte, h *http1.Head, e *http1.Edits) *mirror {
	r := x.decision.Route
	if r == nil || r.Mirror == nil || x.upgrades || !r.Mirror.Takes(rand.Uint32()) {
		return nil
	}
	l := x.conn.loop
	m := &mirror{loop: l, target: r.Mirror.Target.Live(), source: x.conn.source, method: x.method, until: l.now.Add(mirrorTimeout)}
	if r.RequestTimeout > 0 {
		m.until = l.now.Add(r.RequestTimeout)
	}
	edits := *e
	if h.Form() != http1.FormAbsolute { // else the host stands in the target too, and both must agree
		edits.Set = append([]http1.Field{{Name: "Host", Value: shadow(h.Authority(data))}}, e.Set...)
	}
	m.bytes = http1.AppendRequest(nil, data, h, &edits)
	m.head = len(m.bytes)
	return m
}

// shadow returns a host, with its port, as copies of requests name it: as in Envoy, so that logs tell them apart.
func shadow(host []byte) []byte {
	end := len(host)
	if i := bytes.LastIndexByte(host, ':'); i > bytes.LastIndexByte(host, ']') {
		end = i
	}
	return bytes.Join([][]byte{host[:end], host[end:]}, []byte("-shadow"))
}

// copyBody adds a part of the body to the copy of the request. A body that is too large is not copied, nor is its request.
func (x *exchange) copyBody(data []byte) {
	m := x.mirror
	if m == nil || m.dropped {
		return
	}
	if len(m.bytes)-m.head+len(data) > heldMost {
		m.dropped, m.bytes = true, nil
		return
	}
	m.bytes = append(m.bytes, data...)
}

// mirrorNow sends the copy of a request that is there as a whole.
func (x *exchange) mirrorNow() {
	m := x.mirror
	if m == nil {
		return
	}
	x.mirror = nil
	sent := !m.dropped && m.begin()
	x.conn.out.metrics.Mirrored(x.port.Service.Name, sent)
}

// begin gets a connection; false when there is none to get.
func (m *mirror) begin() (sent bool) {
	defer m.contain()
	l, t := m.loop, m.target
	if len(l.mirrors) >= mostMirrors || t.MaxConnections > 0 && t.Load.Connections() >= t.MaxConnections ||
		!t.Limiter.Allow(m.source, l.now) {
		return false
	}
	if m.endpoint = t.Group.Pick(&balance.Tried{}); m.endpoint == nil {
		return false
	}
	m.endpoint.Acquire()
	key := upstreamKey{m.endpoint.Address, m.source}
	if m.up = l.atHand(key, t.HTTP2, m); m.up == nil {
		var err error
		if m.up, err = l.dialUpstream(key, t.HTTP2, m); err != nil {
			m.end(cut)
			return false
		}
	} else {
		m.connected = true
	}
	if l.mirrors == nil {
		l.mirrors = map[*mirror]struct{}{}
	}
	l.mirrors[m] = struct{}{}
	if m.connected {
		m.move()
	}
	return true
}

// happened implements user.
func (m *mirror) happened(u *upstream, _ uint32) {
	defer m.contain()
	if !m.connected {
		if !u.writable {
			return
		}
		if err := u.socketError(); err != nil {
			m.endpoint.Fail(time.Now(), err)
			m.end(cut)
			return
		}
		m.endpoint.Connect()
		m.connected = true
	}
	m.move()
}

// move sends what there is to send, and reads what comes.
func (m *mirror) move() {
	u := m.up
	if u.writable && m.sent < len(m.bytes) {
		n, err := u.write(m.bytes[m.sent:])
		m.sent += n
		if err != nil {
			m.end(cut)
			return
		}
	}
	for u.readable {
		buf := m.loop.scratch
		had := copy(buf, u.input)
		n, err := u.read(buf[had:])
		switch {
		case n > 0 && m.hear(buf[:had+n]):
			return
		case n <= 0 && !errors.Is(err, errNothing):
			m.end(cut)
			return
		}
	}
}

// hear works on what has come of the answer, and says whether that was the end.
func (m *mirror) hear(data []byte) bool {
	u, h := m.up, &m.loop.head
	for !m.answering {
		n, err := http1.ParseResponse(data, h, m.method)
		switch {
		case err != nil || n > 0 && h.Status() == 101:
			m.end(cut)
			return true
		case n == 0:
			h.Reset()
			u.store(data)
			return false
		}
		u.store(nil)
		data = data[n:]
		if h.Status() >= 200 {
			m.answering, m.reusable = true, h.KeepAlive()
			m.answer.Begin(h.Framing())
		}
	}
	used, done, err := m.answer.Feed(data)
	switch {
	case err != nil:
		m.end(cut)
		return true
	case !done:
		return false
	}
	m.endpoint.Deliver()
	if m.reusable && used == len(data) && m.sent == len(m.bytes) && u.isQuiet() {
		m.end(reuse)
	} else {
		m.end(cut)
	}
	return true
}

// end lets go of everything.
func (m *mirror) end(how leaving) {
	delete(m.loop.mirrors, m)
	if m.up != nil {
		if how == reuse && m.up.link == nil {
			m.loop.keep(m.up)
		} else {
			m.up.close(false)
		}
		m.up = nil
	}
	if m.endpoint != nil {
		m.endpoint.Release()
		m.endpoint = nil
	}
}

// contain keeps a fault in the code of a copy from ending its request, or all of them. It must be deferred itself.
func (m *mirror) contain() {
	if fault := recover(); fault != nil {
		m.loop.out.log.Error("mirror panicked", "destination", m.target.Service, "panic", fault, "stack", string(debug.Stack()))
		m.end(cut)
	}
}

// endMirrors ends those whose time is over.
func (l *loop) endMirrors(now time.Time) {
	for m := range l.mirrors {
		if !now.Before(m.until) {
			m.end(cut)
		}
	}
}
