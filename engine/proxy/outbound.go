// Package proxy carries captured connections from the applications of the host to the endpoints of services.
//
// outbound.go accepts, conn.go follows one connection from the kernel's record of it to its one reason, tcp.go moves
// the bytes, and table.go shows what is live.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshd/meshd/engine/drain"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/observe"
	"github.com/meshd/meshd/engine/snapshot"
)

// ErrProbe is what a Redirector returns for a connection that meshd has made to itself, to try out whether the kernel
// still redirects. It is closed, and neither counted nor logged.
var ErrProbe = errors.New("connection is a probe of meshd")

// Redirector knows what the kernel recorded when it redirected a connection.
type Redirector interface {
	// Flow returns the record of an accepted connection. An error means that there is none; the connection is reset.
	Flow(client *net.TCPConn) (mesh.Flow, error)
}

// Workloads knows which service a local process is.
type Workloads interface {
	// Caller returns who opened the flow: no service when it has the identity of the host. It is not ok when that cannot
	// be told any more; the connection is reset then.
	Caller(flow mesh.Flow) (caller mesh.Caller, ok bool)
}

// Config is what an Outbound is made of.
type Config struct {
	Redirector Redirector       // required
	Workloads  Workloads        // required
	Snapshots  *snapshot.Store  // required; loaded once for each connection
	Metrics    *observe.Metrics // required
	Log        *slog.Logger     // nil: nothing is logged

	// ConnectTimeout bounds the connect to one endpoint; then the next one is tried. 0: 5 s.
	ConnectTimeout time.Duration

	// MaxConnections bounds the connections that are live at once; further ones wait in the kernel's accept queue,
	// whose own bound the kernel keeps. Each takes two file descriptors. One unit may hold as many as it leaves free,
	// so alone half of them, and is reset beyond. 0: 30 000.
	MaxConnections int
}

// Outbound accepts the connections that the kernel redirects and carries each to an endpoint of the service that the
// application dialled.
//
// It is safe for concurrent use; one Outbound serves the listeners of all network namespaces.
type Outbound struct {
	redirector Redirector
	workloads  Workloads
	snapshots  *snapshot.Store
	metrics    *observe.Metrics
	log        *slog.Logger
	dialer     net.Dialer

	slots  chan struct{} // holds one element for each live connection, and for each accept that waits
	shares shares        // of the slots
	drain  *drain.Drainer
	forced context.Context // ends the dials when the drain has no patience left
	ids    atomic.Uint64
	opened atomic.Uint64 // connections to a service of the mesh, since start
	live   sync.Map      // of *conn, without values: concurrent connections do not wait for each other or for a reader
}

// New returns an Outbound that accepts nothing yet.
func New(config Config) (*Outbound, error) {
	if config.Redirector == nil || config.Workloads == nil || config.Snapshots == nil || config.Metrics == nil {
		return nil, errors.New("make outbound proxy: Redirector, Workloads, Snapshots and Metrics are required")
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 5 * time.Second
	}
	if config.MaxConnections == 0 {
		config.MaxConnections = 30_000
	}
	forced, force := context.WithCancel(context.Background())
	o := &Outbound{
		redirector: config.Redirector,
		workloads:  config.Workloads,
		snapshots:  config.Snapshots,
		metrics:    config.Metrics,
		log:        config.Log,
		dialer:     net.Dialer{Timeout: config.ConnectTimeout, KeepAlive: -1},
		slots:      make(chan struct{}, config.MaxConnections),
		forced:     forced,
	}
	o.dialer.SetMultipathTCP(false)
	o.drain = drain.New(func() {
		// First no new dial, then those that are listed: a connection is listed before it dials, so none is missed.
		force()
		for c := range o.conns {
			c.end(mesh.ReasonShutdown, context.Cause(forced))
		}
	})
	return o, nil
}

// Serve accepts connections until ctx ends or l is closed, and returns nil then. It does not close l, and does not
// wait for the connections: see Drain.
//
// Nothing else ends it: when the process is out of file descriptors or memory it tries again, at most a second later.
func (o *Outbound) Serve(ctx context.Context, l *net.TCPListener) error {
	if err := errors.Join(l.SetDeadline(time.Time{}), resetAccepted(l)); err != nil {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	stop := context.AfterFunc(ctx, func() { _ = l.SetDeadline(time.Unix(1, 0)) }) // fails only when l is closed
	defer stop()
	var trouble trouble
	for {
		if !o.reserve(ctx, l, &trouble) {
			return nil
		}
		client, err := l.AcceptTCP()
		if err == nil {
			trouble.over()
			o.begin(client)
			continue
		}
		<-o.slots
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return nil
		}
		if trouble.loud() {
			o.log.Error("accept connection", "listener", l.Addr(), "error", err)
		}
		trouble.wait(ctx)
	}
}

// reserve takes a slot for the next connection; false when ctx ended.
func (o *Outbound) reserve(ctx context.Context, l *net.TCPListener, t *trouble) bool {
	select {
	case o.slots <- struct{}{}:
		return true
	default:
	}
	if t.loud() {
		o.log.Warn("connection limit reached", "listener", l.Addr(), "limit", cap(o.slots))
	}
	select {
	case o.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// begin starts the work on an accepted connection, for which there is a slot. The drain waits for its end.
func (o *Outbound) begin(client *net.TCPConn) {
	c := &conn{out: o, id: o.ids.Add(1), start: time.Now(), client: client}
	if !o.drain.Hold() {
		c.end(mesh.ReasonShutdown, nil)
		c.finish()
		<-o.slots
		return
	}
	go c.serve()
}

// Full says whether no further connection can be accepted.
func (o *Outbound) Full() bool { return len(o.slots) == cap(o.slots) }

// Opened returns how many connections to services it has taken on since it was made.
func (o *Outbound) Opened() uint64 { return o.opened.Load() }

// Drain waits until the live connections have ended. When ctx ends before, it resets those that are left, and returns
// the cause of ctx's end.
//
// New connections are reset from the moment that it is called, so the listeners should be gone by then.
func (o *Outbound) Drain(ctx context.Context) error { return o.drain.Drain(ctx) }

// trouble paces the retries of an accept that fails, and what is logged about it.
type trouble struct {
	delay  time.Duration
	logged time.Time
}

func (t *trouble) over() { t.delay = 0 }

// wait waits for 5 ms, for twice as long each time up to a second, or until ctx ends.
func (t *trouble) wait(ctx context.Context) {
	t.delay = min(max(2*t.delay, 5*time.Millisecond), time.Second)
	select {
	case <-time.After(t.delay):
	case <-ctx.Done():
	}
}

// loud says whether there may be a log line, which there may once a second.
func (t *trouble) loud() bool {
	now := time.Now()
	if now.Sub(t.logged) < time.Second {
		return false
	}
	t.logged = now
	return true
}
