package dns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	defaultInflight = 1024
	defaultTimeout  = 5 * time.Second // what glibc waits: a later answer finds nobody

	// lastCall is how much longer a query in flight may take once the server has been told to stop. A resolver that is
	// alive answers within it, and a query that is lost costs the application its own timeout.
	lastCall = 500 * time.Millisecond

	maxConns = 256 // TCP connections of clients, all bindings together
)

// longAgo is a deadline that ends a blocked read or accept at once.
var longAgo = time.Unix(1, 0)

// The closed list of results of a query, for metrics.
const (
	ResultAnswered       = "answered"        // by meshd, with a record
	ResultNegative       = "negative"        // by meshd, without one: no such name, or no such record of the name
	ResultForwarded      = "forwarded"       // the resolver's answer was passed back
	ResultOverflow       = "overflow"        // shed for a newer one: UDP unanswered, TCP answered SERVFAIL, connection closed
	ResultUpstreamFailed = "upstream-failed" // the resolver refused, or gave no answer in time
	ResultMalformed      = "malformed"       // not a query at all: dropped
)

// Results lists every result, for metrics that must exist before the first query.
func Results() []string {
	return []string{
		ResultAnswered, ResultNegative, ResultForwarded, ResultOverflow, ResultUpstreamFailed, ResultMalformed,
	}
}

// Names is a picture of the mesh's names at one moment.
type Names interface {
	// Virtual returns the virtual addresses of the service of that name, which is in lower case.
	//
	// An address that is invalid does not exist: the name then has no record of that family. A service with neither
	// only calls others, and to DNS there is no such name.
	Virtual(service string) (v4, v6 netip.Addr, ok bool)

	// ListenerPort returns the port of a further listener of a service; both names are in lower case.
	ListenerPort(service, listener string) (port uint16, ok bool)

	// Hostname returns the virtual addresses of the service that has declared a name outside the mesh, which is in
	// lower case and without a dot at its end.
	Hostname(name string) (v4, v6 netip.Addr, ok bool)
}

// Config says what a server answers and what it may use.
type Config struct {
	// Domain returns the mesh's domain as of now, in lower case and without dots at either end. Empty while there is
	// no mesh: every query is then forwarded. Required.
	Domain func() string

	// Names returns the names as of now; never nil while Domain returns a domain. Required.
	Names func() Names

	// Log receives what an operator should know of; nil discards it.
	Log *slog.Logger

	// Observe is told the result of every query, from many goroutines at once; nil means that nobody asks.
	Observe func(result string)

	// MaxInflight bounds the queries that wait for a resolver, of all bindings together; 0 means 1024. At the bound the
	// query that has waited longest is shed for the next one.
	//
	// One binding gets at most as much room as it leaves free, alone so half of it: a resolver that is dead holds each
	// query until its timeout, and must not take the room of the next one in resolv.conf.
	MaxInflight int

	// Timeout bounds the wait for a resolver's answer; 0 means 5 s.
	Timeout time.Duration
}

// Binding is the pair of sockets at which the queries to one resolver arrive.
type Binding struct {
	Resolver netip.AddrPort   // the one that was asked: where everything that is not the mesh's is forwarded
	UDP      *net.UDPConn     // unconnected, bound to one address, so that answers leave from it
	TCP      *net.TCPListener // of the same address and port
}

// Server answers the queries of any number of bindings.
type Server struct {
	cfg     Config
	log     *slog.Logger
	room    *room
	streams *streams
}

// New returns a server that waits for its bindings.
func New(cfg Config) (*Server, error) {
	if cfg.Domain == nil || cfg.Names == nil {
		return nil, errors.New("new dns server: Domain and Names are required")
	}
	if cfg.MaxInflight < 0 || cfg.Timeout < 0 {
		return nil, fmt.Errorf("new dns server: negative bound: %d in flight, timeout %s", cfg.MaxInflight, cfg.Timeout)
	}
	if cfg.MaxInflight == 0 {
		cfg.MaxInflight = defaultInflight
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Observe == nil {
		cfg.Observe = func(string) {}
	}
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Server{
		cfg:     cfg,
		log:     log,
		room:    &room{free: cfg.MaxInflight},
		streams: &streams{max: maxConns},
	}, nil
}

// Serve answers the queries of a binding until ctx ends, and then returns nil once its goroutines have ended.
//
// Both sockets stay open and may be served again. An error means that one of them was closed under the server.
func (s *Server) Serve(ctx context.Context, b Binding) error {
	if !b.Resolver.IsValid() || b.UDP == nil || b.TCP == nil {
		return fmt.Errorf("serve dns for resolver %s: a resolver, a UDP socket and a TCP listener are required", b.Resolver)
	}
	f := &front{
		Server:  s,
		Binding: b,
		lane:    lane{room: s.room},
		log:     s.log.With("resolver", b.Resolver.String()),
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return f.serveUDP(ctx) })
	g.Go(func() error { return f.serveTCP(ctx, b.TCP.Accept) })
	g.Go(func() error {
		<-ctx.Done()
		f.setDeadlines(longAgo)
		return nil
	})
	err := g.Wait()
	f.setDeadlines(time.Time{})
	if err != nil {
		return fmt.Errorf("serve dns for resolver %s: %w", b.Resolver, err)
	}
	return nil
}

// front is the server as the clients of one resolver see it.
type front struct {
	*Server
	Binding
	lane     lane
	forwards sync.WaitGroup // of UDP
	log      *slog.Logger
}

// setDeadlines bounds what waits for clients. A socket that was closed needs no bound, so errors do not matter.
func (f *front) setDeadlines(t time.Time) {
	f.UDP.SetReadDeadline(t)
	f.TCP.SetDeadline(t)
}

// expire gives conn d to finish and, once ctx has ended, no more than lastCall, or nothing when the query was shed. Stop
// it when conn has finished.
func expire(ctx context.Context, conn net.Conn, d time.Duration) (stop func() bool) {
	conn.SetDeadline(time.Now().Add(d))
	return context.AfterFunc(ctx, func() {
		if wasShed(ctx) {
			conn.SetDeadline(longAgo)
			return
		}
		conn.SetDeadline(time.Now().Add(lastCall))
	})
}
