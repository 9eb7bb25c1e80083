// Package resolve keeps the addresses of names outside the mesh up to date.
//
// It asks the name servers of the host itself instead of through the C library or package net, because those do not
// tell how long an answer is good for.
package resolve

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
)

// MaxAddresses is how many addresses of a name are kept, the lowest first.
const MaxAddresses = 64

// maxLookups is how many names are asked for at a time.
const maxLookups = 16

// Config says where a Resolver asks and whom it tells.
type Config struct {
	Servers func(name string) []netip.AddrPort // in the order in which they are asked; called for each question
	Changed func()                             // called after addresses have changed; must not block. Nil: nobody is told
	Log     *slog.Logger                       // nil: no log
}

// Resolver knows the addresses of names. It is safe for concurrent use.
type Resolver struct {
	cfg    Config
	lookup func(ctx context.Context, name string) result
	slots  chan struct{} // holds one element for each lookup on its way

	mu       sync.Mutex
	watches  map[string]*watch
	recalled map[string][]netip.Addr
	running  sync.WaitGroup
}

// New returns a Resolver that watches no name yet.
func New(c Config) *Resolver {
	if c.Changed == nil {
		c.Changed = func() {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	r := &Resolver{cfg: c, slots: make(chan struct{}, maxLookups), watches: make(map[string]*watch)}
	r.lookup = r.ask
	return r
}

// Recall has names that are watched later begin with the addresses that they had in an earlier life of the process. They
// are kept until the name is found, as those of a name that cannot be looked up any more.
func (r *Resolver) Recall(addresses map[string][]netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.recalled = maps.Clone(addresses)
}

// Retry has the names whose last lookup failed looked up at once, as the network may be there now.
func (r *Resolver) Retry() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.watches {
		if w.failed {
			select {
			case w.retry <- struct{}{}:
			default:
			}
		}
	}
}

// Watch makes the names those that are looked up, again and again as their answers run out. A name that was watched
// before keeps its addresses. The names are full ones: search domains do not count.
func (r *Resolver) Watch(names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, w := range r.watches {
		if !slices.Contains(names, name) {
			w.cancel()
			delete(r.watches, name)
		}
	}
	for _, name := range names {
		if r.watches[name] != nil {
			continue
		}
		ctx, cancel := context.WithCancel(context.Background())
		w := &watch{resolver: r, name: name, cancel: cancel, tried: make(chan struct{}), retry: make(chan struct{}, 1)}
		w.recall(r.recalled[name])
		delete(r.recalled, name)
		r.watches[name] = w
		r.running.Go(func() { w.run(ctx) })
	}
}

// Settle waits until each watched name has been looked up once, whether it was found or not, or until ctx ends. It does not
// wait for one that has addresses already.
func (r *Resolver) Settle(ctx context.Context) {
	r.mu.Lock()
	watches := slices.Collect(maps.Values(r.watches))
	watches = slices.DeleteFunc(watches, func(w *watch) bool { return len(w.addresses) > 0 })
	r.mu.Unlock()
	for _, w := range watches {
		select {
		case <-w.tried:
		case <-ctx.Done():
			return
		}
	}
}

// Addresses returns the addresses of the watched names, those of each sorted. A name that was not found yet has none; one
// that cannot be looked up any more keeps those that it had.
func (r *Resolver) Addresses() map[string][]netip.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[string][]netip.Addr, len(r.watches))
	for name, w := range r.watches {
		if len(w.addresses) > 0 {
			all[name] = w.addresses
		}
	}
	return all
}

// Failure is a name whose last lookup found no address.
type Failure struct {
	Name string
	Err  error
	Kept int // addresses that it keeps from before
}

// Failures returns the names whose last lookup found no address, sorted.
func (r *Resolver) Failures() []Failure {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Failure
	for name, w := range r.watches {
		if w.err != nil {
			all = append(all, Failure{name, w.err, len(w.addresses)})
		}
	}
	slices.SortFunc(all, func(a, b Failure) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// Close ends all lookups and waits for them. It is the last call.
func (r *Resolver) Close() {
	r.Watch(nil)
	r.running.Wait()
}
