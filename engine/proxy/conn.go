package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime/debug"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/observe"
	"github.com/meshd/meshd/engine/snapshot"
)

// conn is one captured connection.
//
// The last goroutine that works on it closes it in the end; others may only end it, once, with a reason. What is atomic
// is read by Connections meanwhile; the rest is written before the connection is listed and constant from then on.
type conn struct {
	out    *Outbound
	id     uint64
	start  time.Time
	client *net.TCPConn

	flow   mesh.Flow
	caller mesh.Caller
	source string            // as intentions write it; empty when the flow is unknown
	port   *snapshot.Port    // of the service; nil when the flow is unknown or not in the mesh
	only   *balance.Endpoint // the endpoint that was dialled by its own address
	pair   *observe.Connections

	shares    bool              // it counts as one of its unit
	connected *balance.Endpoint // that has been acquired for it

	endpoint       atomic.Pointer[balance.Endpoint] // the one that is dialled or connected
	upstream       atomic.Pointer[net.TCPConn]      // to endpoint
	directions     atomic.Int32                     // that have not ended; set before upstream
	running        atomic.Int32                     // directions that are still worked on
	kept           atomic.Bool                      // upstream has keepalive
	sent, received atomic.Uint64                    // bytes, as the application sees them

	ended atomic.Pointer[ending]

	// Of Tend alone.
	seen    uint64 // bytes, at the last look
	suspect bool   // nothing had moved then, and a side was reset
}

// errCallerGone says that the caller has removed the cgroup by which it could be known.
var errCallerGone = errors.New("the cgroup of the caller is gone and was never known")

// ending is why a connection ended.
type ending struct {
	reason mesh.Reason
	err    error // nil when the reason says it all
}

// serve carries the connection from its accept to where bytes flow, and to its end if that is before.
func (c *conn) serve() {
	relaying := false
	defer func() {
		if !relaying {
			c.over()
		}
	}()
	defer c.contain()
	upstream := c.open()
	if upstream == nil || c.ended.Load() != nil {
		return
	}
	relaying = true
	c.relay(upstream)
}

// open finds out where the connection goes and connects it; nil when it has been ended because that is not possible.
func (c *conn) open() *net.TCPConn {
	if !c.identify() {
		return nil
	}
	if limit := c.port.Service.MaxConnections; limit > 0 && c.port.Group.Active() >= int64(limit) {
		c.end(mesh.ReasonOverload, nil)
		return nil
	}
	if !c.out.shares.take(c.caller.Unit, cap(c.out.slots)-len(c.out.slots)) {
		c.end(mesh.ReasonOverload, nil)
		return nil
	}
	c.shares = true
	c.out.opened.Add(1)
	c.out.live.Store(c, nil)
	upstream, endpoint := c.dial()
	if upstream == nil {
		return nil
	}
	c.connected = endpoint
	c.directions.Store(2)
	// Whoever ends the connection looks for upstream after setting ended, and here it is the other way round.
	c.upstream.Store(upstream)
	_ = upstream.SetLinger(0) // for the same reason as in resetAccepted; end closes it meanwhile at worst
	return upstream
}

// over gives back all that the connection holds, once nothing works on it any more.
func (c *conn) over() {
	if c.connected != nil {
		c.judge(c.connected)
		c.connected.Release()
	}
	if c.shares {
		c.out.shares.give(c.caller.Unit)
	}
	c.finish()
	<-c.out.slots
	c.out.drain.Release()
}

// judge tells the balancer how the endpoint has served the connection.
func (c *conn) judge(endpoint *balance.Endpoint) {
	how := c.ended.Load()
	switch {
	case c.received.Load() > 0:
		endpoint.Deliver()
	case how != nil && how.reason == mesh.ReasonEndpointReset:
		endpoint.Reset(time.Now())
	}
}

// identify finds out who called what; false when the connection has been ended because that is not known.
func (c *conn) identify() bool {
	flow, err := c.out.redirector.Flow(c.client)
	switch {
	case errors.Is(err, ErrProbe):
		c.ended.Store(&ending{mesh.ReasonDone, err}) // not end, whose reset could reach meshd before its connect returns
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

// dial connects to one endpoint after the other until one accepts, and returns it acquired; nil when the connection
// has been ended because none did.
func (c *conn) dial() (*net.TCPConn, *balance.Endpoint) {
	var tried balance.Tried
	endpoint := c.only
	if endpoint == nil {
		endpoint = c.port.Group.Pick(&tried)
	}
	if endpoint == nil {
		c.end(mesh.ReasonNoEndpoint, nil)
		return nil, nil
	}
	for {
		c.endpoint.Store(endpoint)
		endpoint.Acquire()
		upstream, err := c.out.connect(endpoint.Address)
		if err == nil {
			endpoint.Connect()
			return upstream, endpoint
		}
		endpoint.Release()
		if c.out.forced.Err() != nil {
			c.end(mesh.ReasonShutdown, err)
			return nil, nil
		}
		endpoint.Fail(time.Now(), err)
		c.pair.ConnectFailed()
		if isReset(c.client) {
			c.end(mesh.ReasonClientReset, err)
			return nil, nil
		}
		var next *balance.Endpoint
		if c.only == nil {
			next = c.port.Group.Pick(&tried)
		}
		if next == nil {
			c.end(mesh.ReasonConnectFailed, err)
			return nil, nil
		}
		endpoint = next
	}
}

// end gives the connection its reason and resets both sides, unless it has a reason already.
func (c *conn) end(reason mesh.Reason, err error) {
	if !c.ended.CompareAndSwap(nil, &ending{reason, err}) {
		return
	}
	// A direction holds its source while it writes to its destination, and closing waits for that: so both are freed first.
	upstream := c.upstream.Load()
	_ = c.client.SetDeadline(longAgo)
	if upstream != nil {
		_ = upstream.SetDeadline(longAgo)
		reset(upstream)
	}
	reset(c.client)
}

// longAgo is the deadline that ends a call at once.
var longAgo = time.Unix(1, 0)

// finish closes what is open and records the connection.
func (c *conn) finish() {
	c.out.live.Delete(c)
	c.ended.CompareAndSwap(nil, &ending{reason: mesh.ReasonDone})
	how := c.ended.Load()
	closing := reset
	if how.reason == mesh.ReasonDone {
		closing = end // both sides have got their FIN
	}
	closing(c.client)
	if upstream := c.upstream.Load(); upstream != nil {
		closing(upstream)
	}
	if errors.Is(how.err, ErrProbe) {
		return
	}
	if c.pair == nil {
		c.pair = c.out.metrics.Connections(c.source, "")
		c.pair.Open()
	}
	c.pair.Close(how.reason, time.Since(c.start))
	c.logEnd(how)
}

func (c *conn) logEnd(how *ending) {
	ctx := context.Background()
	if !c.out.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	attrs := []slog.Attr{
		slog.Uint64("id", c.id),
		slog.String("reason", string(how.reason)),
		slog.Any("client", c.client.RemoteAddr()),
		slog.Duration("duration", time.Since(c.start)),
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
	if endpoint := c.endpoint.Load(); endpoint != nil {
		attrs = append(attrs, slog.String("endpoint", endpoint.Name()))
	}
	if how.err != nil {
		attrs = append(attrs, slog.Any("error", how.err))
	}
	c.out.log.LogAttrs(ctx, slog.LevelDebug, "connection closed", attrs...)
}

// contain keeps a fault in the code of one connection from ending all of them. It must be deferred itself.
func (c *conn) contain() {
	if fault := recover(); fault != nil {
		c.out.log.Error("connection panicked", "id", c.id, "panic", fault, "stack", string(debug.Stack()))
		c.end(mesh.ReasonInternal, nil)
	}
}

// reset closes one side with RST instead of FIN, and throws away what it has not sent yet. It may be called again.
func reset(side *net.TCPConn) {
	_ = side.SetLinger(0)
	_ = side.Close()
}

// resetAccepted has connections that l accepts end with RST, whoever closes them, until [end] is called.
//
// When meshd is killed the kernel closes them. A FIN would be taken for the end of what was sent, and a half of it for
// the whole. Accepted sockets have inherited it, so there is no moment without.
func resetAccepted(l *net.TCPListener) error {
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	var errOption error
	err = raw.Control(func(fd uintptr) {
		errOption = unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	})
	return errors.Join(err, errOption)
}

// end closes one side, which still gets what it has not been sent yet.
func end(side *net.TCPConn) {
	_ = side.SetLinger(-1)
	_ = side.Close()
}

// isReset says whether the peer of side has reset it, whatever is still to be read from it.
func isReset(side *net.TCPConn) bool {
	raw, err := side.SyscallConn()
	if err != nil {
		return true
	}
	const tcpClose = 7 // TCP_CLOSE of the kernel's tcp_states.h
	var info *unix.TCPInfo
	var infoErr error
	err = raw.Control(func(fd uintptr) {
		info, infoErr = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	})
	return errors.Join(err, infoErr) != nil || info.State == tcpClose
}
