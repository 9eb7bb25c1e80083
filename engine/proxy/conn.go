package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/observe"
	"github.com/meshd/meshd/engine/route"
	"github.com/meshd/meshd/engine/snapshot"
)

// conn is one captured connection, from its accept to its one reason.
//
// Only its loop works on it. What is atomic is read by Connections meanwhile; what Connections reads besides is written
// before the connection is listed, and constant from then on.
type conn struct {
	out   *Outbound
	loop  *loop
	id    uint64
	start time.Time
	from  netip.AddrPort // the application's socket

	flow   mesh.Flow
	caller mesh.Caller
	source string            // as intentions write it; empty when the flow is unknown
	port   *snapshot.Port    // of the service; nil when the flow is unknown or not in the mesh
	only   *balance.Endpoint // the endpoint that was dialled by its own address
	target *route.Target     // where the connection goes; nil when there is only that, or its requests are read
	pair   *observe.Connections

	http    *exchange   // nil: the bytes pass unread
	link    *clientLink // it speaks HTTP/2; nil: it does not
	carrier *clientLink // whose stream client is; nil: it is a socket

	client, server   side
	upload, download direction
	firstBroken      *side

	tried    balance.Tried
	waiting  waiting
	deadline deadline
	slot     int32
	listed   bool // it has the slot
	queued   bool // to go on
	shares   bool // it counts as one of its unit
	kept     bool // server has keepalive
	held     bool // the drain waits for it
	ended    bool

	stage          atomic.Int32                     // of the stages
	endpoint       atomic.Pointer[balance.Endpoint] // the one that is dialled or connected
	sent, received atomic.Uint64                    // bytes, as the application sees them
}

var (
	// errCallerGone says that the caller has removed the cgroup by which it could be known.
	errCallerGone = errors.New("the cgroup of the caller is gone and was never known")
	// errConnectTimeout says that an endpoint has answered nothing at all.
	errConnectTimeout = errors.New("no answer in time")
	// errShutdown says that meshd ends.
	errShutdown = errors.New("meshd stops")
)

// The stages of a connection.
const (
	connecting = iota
	open
	halfClosed
)

func newConn(out *Outbound, client int, from netip.AddrPort, at time.Time) *conn {
	c := &conn{
		out: out, id: out.ids.Add(1), start: at, from: from,
		client: side{fd: client, reset: mesh.ReasonClientReset},
		server: side{fd: -1, reset: mesh.ReasonEndpointReset},
	}
	c.upload = direction{conn: c, src: &c.client, dst: &c.server}
	c.download = direction{conn: c, src: &c.server, dst: &c.client}
	return c
}

// begin finds out where the connection goes, and begins to connect it.
func (c *conn) begin(at netip.AddrPort) {
	defer c.contain()
	if !c.held || c.out.forced.Load() {
		c.end(mesh.ReasonShutdown, errShutdown)
		return
	}
	if !c.identify(at) {
		return
	}
	if !c.port.Protocol.IsHTTP() && !c.route() {
		c.end(mesh.ReasonOverload, nil)
		return
	}
	if !c.out.shares.take(c.caller.Unit, c.out.room()) {
		c.end(mesh.ReasonOverload, nil)
		return
	}
	c.shares = true
	c.out.opened.Add(1)
	c.loop.add(c)
	if err := c.loop.watchSide(c, &c.client); err != nil {
		c.end(mesh.ReasonInternal, err)
		return
	}
	if c.port.Protocol.IsHTTP() {
		c.http = &exchange{conn: c}
		if !c.http.face(c.port) {
			c.end(mesh.ReasonOverload, nil)
			return
		}
		c.http.expect()
		c.stage.Store(open)
		return
	}
	c.dial(nil)
}

// identify finds out who called what; false when the connection has been ended because that is not known.
func (c *conn) identify(at netip.AddrPort) bool {
	flow, err := c.out.redirector.Flow(at, c.from)
	switch {
	case errors.Is(err, ErrProbe):
		c.end(mesh.ReasonDone, err)
		return false
	case err != nil:
		c.end(mesh.ReasonFlowUnknown, err)
		return false
	}
	snap := c.out.snapshots.Load()
	c.flow = flow
	caller, ok := c.out.workloads.Caller(flow)
	if !ok {
		c.end(mesh.ReasonFlowUnknown, errCallerGone)
		return false
	}
	c.caller = caller
	c.source = c.caller.Name(snap.Host().Name)
	port, only, ok := snap.At(flow.Destination)
	if !ok {
		c.end(mesh.ReasonNotInMesh, nil)
		return false
	}
	c.port, c.only = port, only
	c.pair = c.out.metrics.Connections(c.source, port.Service.Name)
	c.pair.Open()
	return true
}

// dial begins to connect to the next endpoint, or ends the connection when there is none. err is why the endpoint before
// did not accept.
func (c *conn) dial(err error) {
	for {
		endpoint := c.next()
		if endpoint == nil {
			reason := mesh.ReasonConnectFailed
			if err == nil {
				reason = mesh.ReasonNoEndpoint
			}
			c.end(reason, err)
			return
		}
		c.endpoint.Store(endpoint)
		endpoint.Acquire()
		if c.server.fd, err = dialSocket(endpoint.Address); err == nil {
			err = c.loop.watchSide(c, &c.server)
		}
		if err == nil {
			c.arm(c.loop.now.Add(c.out.patience(c.connectTimeout())))
			return
		}
		if isLack(err) {
			endpoint.Release()
			c.closeServer()
			c.end(mesh.ReasonOverload, err)
			return
		}
		c.failed(err)
	}
}

// isLack says whether a connect failed for something that this host lacks, of which an endpoint is not to blame. ENOSPC is
// what epoll says at fs.epoll.max_user_watches.
func isLack(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOBUFS) ||
		errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.ENOSPC)
}

// failed counts a connect to the current endpoint that failed, and closes its socket.
func (c *conn) failed(err error) {
	endpoint := c.endpoint.Load()
	endpoint.Release()
	endpoint.Fail(time.Now(), err)
	c.pair.ConnectFailed()
	c.closeServer()
}

// closeServer closes the socket of an endpoint that has not accepted.
func (c *conn) closeServer() {
	if c.server.fd >= 0 {
		closeFD(c.server.fd)
	}
	c.server = side{fd: -1, reset: c.server.reset}
}

// notConnected goes on to the next endpoint, if there is one.
func (c *conn) notConnected(err error) {
	err = fmt.Errorf("connect to %s: %w", c.endpoint.Load().Address, err)
	c.disarm()
	c.failed(err)
	c.dial(err)
}

// happened works on what an event says of one side.
func (c *conn) happened(which int32, events uint32) {
	defer c.contain()
	s := &c.client
	if which == ofServer {
		s = &c.server
	}
	s.note(events)
	if c.stage.Load() == connecting {
		c.whileConnecting(s, events)
		return
	}
	c.about(s, events)
}

// about works on what an event says of a side, which has noted it.
func (c *conn) about(s *side, events uint32) {
	defer c.contain()
	if events&unix.EPOLLERR != 0 {
		if err := s.socketError(); err != nil {
			c.broke(s, err)
		}
	}
	if c.link != nil {
		c.link.happened()
		return
	}
	if c.http != nil && c.http.about(s) {
		return
	}
	c.move()
}

// whileConnecting works on an event before the endpoint has accepted.
func (c *conn) whileConnecting(s *side, events uint32) {
	switch {
	case s == &c.client:
		if events&unix.EPOLLERR != 0 {
			c.end(mesh.ReasonClientReset, socketError(s.fd))
		}
	case s.writable:
		if err := socketError(s.fd); err != nil {
			c.notConnected(err)
			return
		}
		c.disarm()
		c.endpoint.Load().Connect()
		c.stage.Store(open)
		c.move()
	}
}

// goOn is move for a connection whose turn was over.
func (c *conn) goOn() {
	defer c.contain()
	if !c.ended {
		c.move()
	}
}

// move passes on what can be passed on, and sees what has become of the connection then.
func (c *conn) move() {
	if c.http != nil && c.http.stage != forBytes {
		c.http.move()
		return
	}
	more := c.upload.pump()
	more = c.download.pump() || more
	switch {
	case c.firstBroken != nil:
		c.partWhenSaid()
	case c.upload.over && c.download.over:
		c.end(mesh.ReasonDone, nil)
		return
	}
	if more && !c.ended {
		c.loop.again(c)
	}
}

// broke notes that a side takes nothing any more.
func (c *conn) broke(s *side, err error) {
	if s.broken != nil {
		return
	}
	s.broken, s.closing, s.readable = err, true, true
	if c.firstBroken == nil {
		c.firstBroken = s
	}
}

// lastWords is how long what a side has said before it broke may take to be passed on. It is not for ever: whom that is
// for may not read.
const lastWords = 10 * time.Second

// partWhenSaid ends a connection of which a side is broken, once everything that this side has said is passed on.
func (c *conn) partWhenSaid() {
	words := &c.upload
	if c.firstBroken == c.download.src {
		words = &c.download
	}
	switch more := words.pump(); {
	case words.over || words.dst.broken != nil:
		c.part()
	case more:
		c.loop.again(c)
	case c.waiting.in == nil:
		c.loop.parting.add(c, c.loop.now)
	}
}

// part ends a connection of which a side is broken.
func (c *conn) part() {
	defer c.contain()
	if c.http != nil && c.http.stage == forEnd {
		c.end(c.http.why, nil)
		return
	}
	c.end(c.firstBroken.reset, c.firstBroken.broken)
}

// tend looks after a connection that may be old.
func (c *conn) tend(now time.Time) {
	if c.link != nil {
		c.link.lend()
	}
	if c.kept || c.server.fd < 0 || c.stage.Load() == connecting || now.Sub(c.start) < keepAliveAfter {
		return
	}
	c.kept = true
	keepAlive(c.server.fd)
}

// keepAliveAfter is the age from which a connection to an endpoint has keepalive. Most end before, and need no system
// calls for it.
const keepAliveAfter = 5 * time.Second

// end closes both sides, gives back all that the connection holds, and records why; once.
func (c *conn) end(reason mesh.Reason, err error) {
	if c.ended {
		return
	}
	c.ended = true
	if c.carrier != nil {
		c.endStream(reason, err)
		return
	}
	defer c.letGo() // also when what follows panics: a drain waits for it without patience
	c.leave()
	c.disarm()
	c.loop.remove(c)
	if c.link != nil {
		c.link.close(reason)
	}
	c.upload.drop()
	c.download.drop()
	closing := closeWithReset
	if reason == mesh.ReasonDone || c.http != nil && c.http.told {
		closing = closeInOrder // both sides have said all, or the client has been told all
	}
	closing(c.client.fd)
	if c.http != nil {
		c.http.close(reason)
	}
	if c.server.fd >= 0 {
		closing(c.server.fd)
		c.judge(c.endpoint.Load(), reason)
	}
	if c.shares {
		c.out.shares.give(c.caller.Unit)
	}
	c.record(reason, err)
}

// letGo gives back what counts the connection.
func (c *conn) letGo() {
	c.loop.load.Add(-1)
	c.loop.release()
	if c.held {
		c.out.drain.Release()
	}
}

// judge releases the endpoint, and tells the balancer how it has served the connection.
func (c *conn) judge(endpoint *balance.Endpoint, reason mesh.Reason) {
	switch {
	case c.received.Load() > 0:
		endpoint.Deliver()
	case reason == mesh.ReasonEndpointReset:
		endpoint.Reset(time.Now())
	}
	endpoint.Release()
}

// record counts and logs the end.
func (c *conn) record(reason mesh.Reason, err error) {
	if errors.Is(err, ErrProbe) {
		return
	}
	if c.pair == nil {
		c.pair = c.out.metrics.Connections(c.source, "")
		c.pair.Open()
	}
	c.pair.Close(reason, time.Since(c.start))
	if c.http == nil {
		c.tell(reason)
	}
	c.log(reason, err)
}

// contain keeps a fault in the code of one connection from ending all of them. It must be deferred itself.
func (c *conn) contain() {
	if fault := recover(); fault != nil {
		c.out.log.Error("connection panicked", "id", c.id, "panic", fault, "stack", string(debug.Stack()))
		c.end(mesh.ReasonInternal, nil)
	}
}

func (c *conn) log(reason mesh.Reason, err error) {
	ctx := context.Background()
	switch {
	case !c.out.log.Enabled(ctx, slog.LevelDebug):
	case c.carrier != nil:
		c.out.log.LogAttrs(ctx, slog.LevelDebug, "stream closed", c.attrs(reason, err)...)
	default:
		c.out.log.LogAttrs(ctx, slog.LevelDebug, "connection closed", c.attrs(reason, err)...)
	}
}

// attrs says what the log has of an end.
func (c *conn) attrs(reason mesh.Reason, err error) []slog.Attr {
	attrs := []slog.Attr{
		slog.Uint64("id", c.id),
		slog.String("reason", string(reason)),
		slog.Any("client", c.from),
		slog.Duration("duration", time.Since(c.start)),
	}
	if t := c.client.stream; t != nil {
		attrs = append(attrs, slog.Uint64("stream", uint64(t.ID())))
	}
	if c.source != "" {
		attrs = append(attrs, slog.String("source", c.source), slog.String("unit", c.caller.Unit),
			slog.Uint64("pid", uint64(c.flow.PID)), slog.Uint64("uid", uint64(c.flow.UID)),
			slog.Any("dialled", c.flow.Destination))
	}
	if c.port != nil {
		attrs = append(attrs, slog.String("destination", c.port.Service.Name),
			slog.Uint64("sent", c.sent.Load()), slog.Uint64("received", c.received.Load()))
	}
	if c.target != nil {
		attrs = append(attrs, slog.String("target", c.target.Name()))
	}
	if endpoint := c.endpoint.Load(); endpoint != nil {
		attrs = append(attrs, slog.String("endpoint", endpoint.Name()))
	}
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
	}
	return attrs
}
