package proxy

import (
	"math/rand/v2"
	"time"

	"github.com/meshd/meshd/engine/balance"
)

// route decides where the connection goes, once and for all; false when as many are open to that service as may be.
func (c *conn) route() bool {
	limit, load := int64(c.port.Service.MaxConnections), c.port.Service.Load
	if c.only == nil {
		c.target = c.port.Routes.DecideConnection(rand.Uint32())
		limit, load = c.target.MaxConnections, c.target.Load
	}
	return limit == 0 || load.Connections() < limit
}

// next returns the endpoint to try next; nil when all have been tried.
func (c *conn) next() *balance.Endpoint {
	if c.target != nil {
		hash := c.target.HashConnection(c.source)
		return c.target.Pick(&c.tried, &hash)
	}
	if c.endpoint.Load() != nil {
		return nil
	}
	return c.only
}

// connectTimeout is the time for one connection to an endpoint.
func (c *conn) connectTimeout() time.Duration {
	if c.target != nil {
		return c.target.ConnectTimeout
	}
	return c.port.ConnectTimeout
}
