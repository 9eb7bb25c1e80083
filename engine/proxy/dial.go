package proxy

import (
	"context"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/engine/mesh"
)

// keepAliveAfter is the age from which a connection to an endpoint has keepalive. Most end before, and need no system
// calls for it.
const keepAliveAfter = 5 * time.Second

// towardsEndpoint is what notices that the host of an endpoint is gone while nothing is sent: after some two minutes. An
// endpoint that answers may be silent for as long as it likes.
//
// TCP_USER_TIMEOUT is left alone. It would end a connection sooner whose bytes get no answer, but Linux applies it as well
// to an endpoint that answers every probe and just does not read, and how long that may last is not ours to say.
var towardsEndpoint = net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 5}

// connect connects to an endpoint.
//
// It names the family and no local address: DialTCP would take an IPv6 socket for both families, and bind it, which takes
// a port away from all other destinations.
func (o *Outbound) connect(to netip.AddrPort) (*net.TCPConn, error) {
	network := "tcp6"
	if to.Addr().Is4() {
		network = "tcp4"
	}
	conn, err := o.dialer.DialContext(o.forced, network, to.String())
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// Tend looks after the connections that live long until ctx ends.
func (o *Outbound) Tend(ctx context.Context) {
	ticks := time.NewTicker(keepAliveAfter)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticks.C:
			o.keepAlive(now)
			o.endStuck()
		}
	}
}

// keepAlive gives keepalive to the connections that have grown old enough.
func (o *Outbound) keepAlive(now time.Time) {
	for c := range o.conns {
		upstream := c.upstream.Load()
		if upstream == nil || c.kept.Load() || now.Sub(c.start) < keepAliveAfter {
			continue
		}
		c.kept.Store(true)
		_ = upstream.SetKeepAliveConfig(towardsEndpoint) // fails only when it has just been closed
	}
}

// endStuck ends connections that have moved nothing since the last look though one side was reset. Nothing else notices
// when both directions wait for a side that does not read: a reset wakes only who reads or writes.
func (o *Outbound) endStuck() {
	for c := range o.conns {
		moved := c.sent.Load() + c.received.Load()
		upstream := c.upstream.Load()
		stuck := upstream != nil && c.directions.Load() == 2 && moved == c.seen
		c.seen = moved
		switch {
		case !stuck:
			c.suspect = false
		case isReset(c.client):
			c.endSuspect(mesh.ReasonClientReset)
		case isReset(upstream):
			c.endSuspect(mesh.ReasonEndpointReset)
		}
	}
}

// endSuspect ends a connection that is found reset at the second look: at the first, somebody may just be about to see it.
func (c *conn) endSuspect(reason mesh.Reason) {
	if c.suspect {
		c.end(reason, unix.ECONNRESET)
	}
	c.suspect = true
}
