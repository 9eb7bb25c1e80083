// Package route decides where an HTTP request goes, or a connection of which nothing is read: router, then splitter, then resolver.
//
// A Table is compiled once for each port of a service and never changes; a decision allocates nothing and takes no lock.
// table.go decides, compile.go builds, match.go compares, explain.go tells a person why.
package route

import (
	"net/netip"
	"slices"
	"time"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/http1"
	"github.com/meshd/meshd/engine/limit"
	"github.com/meshd/meshd/engine/mesh"
)

// Request is what a decision looks at. Its slices are only read, and only until Decide returns.
type Request struct {
	Method []byte
	Host   []byte
	Path   []byte // canonical, without the query
	Query  []byte // as received, without the question mark
	Header Header // nil: none
}

// Header is the fields of a request.
type Header interface {
	// Field returns the value of the i-th field of that name, which is in lower case, counted from 0; ok is false when there
	// are fewer.
	Field(name string, i int) (value []byte, ok bool)
}

// Table is the routes of one port of a service.
type Table struct {
	routes []*Route // in the order in which they are asked; the last one matches every request
	paths  bool     // one of them looks at paths, or changes them
}

// GovernsPaths says whether a route looks at the path of a request or changes it, so that only its canonical form may travel.
func (t *Table) GovernsPaths() bool { return t.paths }

// Route is one way for requests. Exactly one of Redirect and Respond, or a target of the decision, is set.
type Route struct {
	Name           string     // such as router "billing" route 2, for logs
	At             mesh.Place // none when nothing is written
	RequestTimeout time.Duration
	IdleTimeout    time.Duration
	Retry          *Retry      // nil: none
	Request        http1.Edits // of the head that goes to the endpoint
	Response       http1.Edits // of the head that goes to the client
	Redirect       *mesh.Redirect
	Respond        *mesh.Respond
	Fault          *Fault  // nil: none
	Mirror         *Mirror // nil: none

	match    matcher
	cut      int    // length of the beginning of the path that rewrite replaces
	rewrite  string // empty: the path stays
	branches []branch
}

// branch is a target and its share of the requests.
type branch struct {
	upTo   uint64 // the draws below it, and not below that of the branch before, are its; the last one has 1<<32
	target *Target
	origin *origin
}

// origin is how a branch came about, for people.
type origin struct {
	asked  mesh.Target  // as written
	splits []mesh.Place // that have led to it, the outermost first
}

// Target is the endpoints that a request or connection goes to. Tables of one compiler share it.
type Target struct {
	Service        string
	Subset         string
	Group          *balance.Group
	HTTP2          bool          // what its endpoints speak; else HTTP/1
	Load           *balance.Load // of the service, which what follows bounds
	MaxConnections int64         // of the service; 0: no limit
	MaxPending     int64
	MaxRequests    int64
	Limiter        *limit.Limiter // of requests to the service; nil lets all pass
	ConnectTimeout time.Duration  // 0: the default
	Failover       []*Target      // who stands in, in that order; those have none of their own
	Budget         *Budget

	hash []hashPolicy
	host uint64 // hash of the host that the tables are for
}

// Decision is where a request goes. Route is never nil; Target is nil when the route answers by itself.
type Decision struct {
	Route  *Route
	Target *Target // one with an endpoint that is up, if there is such a one
}

// Decide returns where a request goes. The draw is a random number, evenly spread over all that there are: splitters decide
// by it, and the same draw decides the same.
func (t *Table) Decide(r *Request, draw uint32) Decision {
	for _, route := range t.routes {
		if route.match.failing(r) == none {
			return Decision{route, route.target(draw)}
		}
	}
	panic("route: the last route does not match every request")
}

// DecideConnection is Decide for a connection of which nothing is read, to a port with such a table.
func (t *Table) DecideConnection(draw uint32) *Target { return t.Decide(&unread, draw).Target }

// unread is what is known of such a connection.
var unread Request

func (r *Route) target(draw uint32) *Target {
	for i := range r.branches {
		if uint64(draw) < r.branches[i].upTo {
			return r.branches[i].target.Live()
		}
	}
	return nil
}

// Live returns the target itself when one of its endpoints is up, else the first failover of which one is; else itself.
func (t *Target) Live() *Target {
	if len(t.Failover) == 0 || t.Group.HasUp() {
		return t
	}
	for _, f := range t.Failover {
		if f.Group.HasUp() {
			return f
		}
	}
	return t
}

// Name returns service/subset, or the service alone.
func (t *Target) Name() string { return mesh.Target{Service: t.Service, Subset: t.Subset}.String() }

// Rewrites says whether the service sees another path than the client asked for.
func (r *Route) Rewrites() bool { return r.rewrite != "" }

// AppendPath appends the path that the service sees; path is the canonical one of a request that takes the route.
func (r *Route) AppendPath(dst, path []byte) []byte {
	if r.rewrite == "" {
		return append(dst, path...)
	}
	dst = append(dst, r.rewrite...)
	return append(dst, path[min(r.cut, len(path)):]...)
}

// AppendLocation appends where a redirect of the route sends the client. The scheme is the one by which the request came.
func (r *Route) AppendLocation(dst []byte, scheme string, q *Request) []byte {
	to := r.Redirect
	if to.Scheme != "" {
		scheme = to.Scheme
	}
	if host := to.Host; host != "" || len(q.Host) > 0 {
		dst = append(dst, scheme...)
		dst = append(dst, "://"...)
		if host != "" {
			dst = append(dst, host...)
		} else {
			dst = append(dst, q.Host...)
		}
	}
	if to.Path != "" {
		dst = append(dst, to.Path...)
	} else {
		dst = r.AppendPath(dst, q.Path)
	}
	if len(q.Query) > 0 {
		dst = append(dst, '?')
		dst = append(dst, q.Query...)
	}
	return dst
}

// Targets returns every target that a request may go to, without those that only stand in, each once.
func (t *Table) Targets() []*Target {
	var all []*Target
	for _, route := range t.routes {
		for _, b := range route.branches {
			if !slices.Contains(all, b.target) {
				all = append(all, b.target)
			}
		}
	}
	return all
}

// Only says whether all targets, and all who stand in for them, are a group or parts of it.
func (t *Table) Only(group *balance.Group) bool {
	isOther := func(t *Target) bool { return t.Group.Whole() != group }
	return !slices.ContainsFunc(t.Targets(), func(t *Target) bool { return isOther(t) || slices.ContainsFunc(t.Failover, isOther) })
}

// Backends returns the addresses for who connects without looking at requests, as the kernel does when meshd is gone: those
// of the targets of the last route, or, when none of theirs is up, of those of all routes. None: nobody can be reached.
func (t *Table) Backends() []netip.AddrPort {
	last := &Table{routes: t.routes[len(t.routes)-1:]}
	for _, some := range []*Table{last, t} {
		var all []netip.AddrPort
		for _, target := range some.Targets() {
			for _, at := range target.Live().Group.Backends() {
				if !slices.Contains(all, at) {
					all = append(all, at)
				}
			}
		}
		if len(all) > 0 {
			return all
		}
	}
	return nil
}
