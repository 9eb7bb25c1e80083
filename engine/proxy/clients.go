package proxy

import (
	"sync"
	"sync/atomic"
)

// What one identity may have under way to a service with hardening "edge", on this host. It is as much as Envoy lets all callers of a
// cluster have.
const (
	edgeConnections = 1024
	edgeRequests    = 1024
)

// clients counts what each calling identity has under way to each service that counts it.
type clients struct {
	mu   sync.Mutex
	held map[clientKey]*client
}

type clientKey struct{ service, source string }

// client is one identity as the caller of one service.
type client struct {
	key         clientKey
	connections int // guarded by clients.mu
	requests    atomic.Int64
}

// take counts one more connection of a client, and says whether that may be.
func (s *clients) take(key clientKey) (*client, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.held[key]
	if c == nil {
		if s.held == nil {
			s.held = map[clientKey]*client{}
		}
		c = &client{key: key}
		s.held[key] = c
	}
	c.connections++
	return c, c.connections <= edgeConnections
}

// give takes back one take.
func (s *clients) give(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.connections--; c.connections == 0 {
		delete(s.held, c.key)
	}
}

// begin counts one more request, if there may be one.
func (c *client) begin() bool {
	if c.requests.Add(1) <= edgeRequests {
		return true
	}
	c.end()
	return false
}

// end takes back one begin.
func (c *client) end() { c.requests.Add(-1) }
