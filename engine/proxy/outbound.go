// Package proxy carries captured connections from the applications of the host to the endpoints of services.
//
// A few event loops (loop.go) accept (accept.go), and work on the connections: conn.go follows one from the kernel's record
// of it to its one reason, stream.go and pipe.go move its bytes, and table.go shows what is live.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/meshd/meshd/engine/accesslog"
	"github.com/meshd/meshd/engine/drain"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/observe"
	"github.com/meshd/meshd/engine/snapshot"
	"github.com/meshd/meshd/engine/trace"
)

// ErrProbe is what a Redirector returns for a connection that meshd has made to itself, to try out whether the kernel
// still redirects. It is closed, and neither counted nor logged.
var ErrProbe = errors.New("connection is a probe of meshd")

// Redirector knows what the kernel recorded when it redirected a connection.
type Redirector interface {
	// Flow returns the record of a connection that was accepted from the client at one of the proxy's own addresses. An
	// error means that there is none; the connection is reset. It must not wait.
	Flow(at, client netip.AddrPort) (mesh.Flow, error)
}

// Workloads knows which service a local process is.
type Workloads interface {
	// Caller returns who opened the flow: no service when it has the identity of the host. It is not ok when that cannot
	// be told any more; the connection is reset then. It must not wait.
	Caller(flow mesh.Flow) (caller mesh.Caller, ok bool)
}

// Config is what an Outbound is made of.
type Config struct {
	Redirector Redirector       // required
	Workloads  Workloads        // required
	Snapshots  *snapshot.Store  // required; loaded once for each connection, and for each request
	Metrics    *observe.Metrics // required
	AccessLog  *accesslog.Log   // nil: none
	Tracer     *trace.Tracer    // nil: nothing is traced
	Log        *slog.Logger     // nil: nothing is logged

	// ConnectTimeout bounds the connect to one endpoint; then the next one is tried. 0: the default.
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
	accessLog  *accesslog.Log
	tracer     *trace.Tracer
	requestIDs atomic.Bool
	log        *slog.Logger

	connectTimeout time.Duration

	limit   int64        // of connections
	held    atomic.Int64 // connections, and accepts that are under way
	starved atomic.Bool  // a loop waits for one to end
	shares  shares
	clients clients
	drain   *drain.Drainer
	drains  atomic.Bool // the drain has begun
	forced  atomic.Bool // it has no patience left
	ids     atomic.Uint64
	opened  atomic.Uint64 // connections to a service of the mesh, since start

	mu      sync.Mutex
	loops   []*loop // none: not started yet, or ended
	running sync.WaitGroup
	serving int  // calls of Serve
	drained bool // there will be no more connections
}

// New returns an Outbound that accepts nothing yet.
func New(config Config) (*Outbound, error) {
	if config.Redirector == nil || config.Workloads == nil || config.Snapshots == nil || config.Metrics == nil {
		return nil, errors.New("make outbound proxy: Redirector, Workloads, Snapshots and Metrics are required")
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.AccessLog == nil {
		config.AccessLog = accesslog.New()
	}
	if config.Tracer == nil {
		config.Tracer = trace.NewTracer(config.Log)
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = mesh.DefaultConnectTimeout
	}
	if config.MaxConnections == 0 {
		config.MaxConnections = 30_000
	}
	o := &Outbound{
		redirector:     config.Redirector,
		workloads:      config.Workloads,
		snapshots:      config.Snapshots,
		metrics:        config.Metrics,
		accessLog:      config.AccessLog,
		tracer:         config.Tracer,
		log:            config.Log,
		connectTimeout: config.ConnectTimeout,
		limit:          int64(config.MaxConnections),
	}
	o.drain = drain.New(o.force)
	return o, nil
}

// UseRequestIDs says whether requests get an x-request-id that have none.
func (o *Outbound) UseRequestIDs(use bool) { o.requestIDs.Store(use) }

// Listener is a listening TCP socket.
type Listener interface {
	Addr() net.Addr
	SyscallConn() (syscall.RawConn, error)
}

// Serve accepts connections until ctx ends, and returns nil then. It does not wait for the connections: see Drain. l is
// not closed, and must not be meanwhile.
//
// Nothing else ends it: when the process is out of file descriptors or memory it tries again, at most a second later.
func (o *Outbound) Serve(ctx context.Context, l Listener) error {
	raw, err := l.SyscallConn()
	if err != nil {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	loops, err := o.start()
	if err != nil {
		return err
	}
	defer o.stop(func() { o.serving-- })
	at := l.Addr().(*net.TCPAddr).AddrPort()
	at = netip.AddrPortFrom(at.Addr().WithZone("").Unmap(), at.Port())
	errControl := raw.Control(func(fd uintptr) {
		if err = forward(int(fd)); err != nil { // accepted sockets inherit it
			return
		}
		o.accept(ctx, loops, int(fd), at)
	})
	if err := errors.Join(errControl, err); err != nil {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return nil
}

// accept has all loops accept from a socket until ctx ends.
func (o *Outbound) accept(ctx context.Context, loops []*loop, fd int, at netip.AddrPort) {
	listeners := make([]*listener, len(loops))
	for i, l := range loops {
		l.do(func() { listeners[i] = l.listen(fd, at) })
	}
	<-ctx.Done()
	var gone sync.WaitGroup
	for i, l := range loops {
		gone.Add(1)
		l.do(func() {
			l.unlisten(listeners[i])
			gone.Done()
		})
	}
	gone.Wait()
}

// start returns the loops, and starts them when there are none yet. They run while somebody serves, and until a drain.
func (o *Outbound) start() ([]*loop, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.loops) == 0 {
		for range min(runtime.NumCPU(), runtime.GOMAXPROCS(0)) {
			l, err := newLoop(o)
			if err != nil {
				for _, l := range o.loops {
					l.close()
				}
				o.loops = nil
				return nil, err
			}
			o.loops = append(o.loops, l)
		}
		for _, l := range o.loops {
			l.all = o.loops
			o.running.Go(l.run)
		}
	}
	o.serving++
	return o.loops, nil
}

// stop makes a change, after which the loops may not be needed any more, and then waits for their end.
func (o *Outbound) stop(change func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change()
	if o.serving > 0 || !o.drained {
		return
	}
	for _, l := range o.loops {
		l.stop()
	}
	o.running.Wait()
	o.loops = nil
}

// current returns the loops.
func (o *Outbound) current() []*loop {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.loops)
}

// leastLoaded returns mine, unless another loop has clearly fewer connections: a connection is cheaper where it was
// accepted.
func (o *Outbound) leastLoaded(mine *loop) *loop {
	least := mine
	for _, l := range mine.all {
		if l.load.Load() < least.load.Load() {
			least = l
		}
	}
	if few := least.load.Load(); mine.load.Load() > few+few/4 {
		return least
	}
	return mine
}

// patience returns how long a connect may take for which a service has configured that; 0: it has not.
func (o *Outbound) patience(configured time.Duration) time.Duration {
	if configured > 0 {
		return configured
	}
	return o.connectTimeout
}

// reserve takes a place for one more connection; false when there is none.
func (o *Outbound) reserve() bool {
	for o.held.Add(1) > o.limit {
		o.starved.Store(true)
		if o.held.Add(-1) >= o.limit {
			return false // who gives one back from now on sees starved
		}
	}
	return true
}

// release gives a place back.
func (o *Outbound) release() { o.held.Add(-1) }

// room returns how many more connections there may be.
func (o *Outbound) room() int { return int(o.limit - o.held.Load()) }

// Full says whether no further connection can be accepted.
func (o *Outbound) Full() bool { return o.held.Load() >= o.limit }

// Opened returns how many connections to services it has taken on since it was made.
func (o *Outbound) Opened() uint64 { return o.opened.Load() }

// Drain waits until the live connections have ended. When ctx ends before, it resets those that are left, and returns
// the cause of ctx's end.
//
// New connections are reset from the moment that it is called, so nobody should be serving by then. Those of HTTP end after
// the request that they carry, or at once when they carry none.
func (o *Outbound) Drain(ctx context.Context) error {
	o.drains.Store(true)
	for _, l := range o.current() {
		l.do(func() {
			for _, c := range l.conns() {
				if c.http != nil {
					c.http.rest()
				}
			}
		})
	}
	err := o.drain.Drain(ctx)
	o.stop(func() { o.drained = true })
	return err
}

// force ends all connections: those that are there, and by forced those that are on their way.
func (o *Outbound) force() {
	o.forced.Store(true)
	for _, l := range o.current() {
		l.do(func() {
			for _, c := range l.conns() {
				c.end(mesh.ReasonShutdown, errShutdown)
			}
		})
	}
}
