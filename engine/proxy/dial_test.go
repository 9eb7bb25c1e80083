package proxy

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestOldConnectionsHaveKeepAlive wants it on those that live, and no call for it on those that do not.
func TestOldConnectionsHaveKeepAlive(t *testing.T) {
	r, _, server := connected(t)
	send(t, server, "x")
	r.eventually("the connection is open", func() bool { return r.Connections()[0].State == Open })
	tend := func(now time.Time) {
		r.inLoops(func(l *loop) {
			for _, c := range l.conns() {
				c.tend(now)
			}
		})
	}
	tend(time.Now())
	if upstreamOption(t, r, unix.SOL_SOCKET, unix.SO_KEEPALIVE) != 0 {
		t.Error("a connection that has just begun has keepalive")
	}
	tend(time.Now().Add(keepAliveAfter))
	if upstreamOption(t, r, unix.SOL_SOCKET, unix.SO_KEEPALIVE) == 0 {
		t.Error("an old connection has no keepalive")
	}
	if idle := upstreamOption(t, r, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE); idle != keepAliveIdle {
		t.Errorf("it begins after %d s", idle)
	}
	if domain := upstreamOption(t, r, unix.SOL_SOCKET, unix.SO_DOMAIN); domain != unix.AF_INET {
		t.Errorf("a socket of family %d goes to an IPv4 endpoint", domain)
	}
}

// upstreamOption reads an option of the only connection's socket to the endpoint.
func upstreamOption(t *testing.T, r *rig, level, option int) (value int) {
	t.Helper()
	r.inLoops(func(l *loop) {
		for _, c := range l.conns() {
			var err error
			if value, err = unix.GetsockoptInt(c.server.fd, level, option); err != nil {
				t.Error(err)
			}
		}
	})
	return value
}
