package resolve

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// Bounds of the time from one lookup of a name to the next.
const (
	minWait = time.Second // after an answer that is good for less, and after a first failure
	maxWait = time.Hour   // after an answer that is good for longer
	maxIdle = time.Minute // after a failure
)

// watch is one name that is looked up again and again.
type watch struct {
	resolver *Resolver
	name     string
	cancel   context.CancelFunc
	tried    chan struct{} // closed after the first lookup
	retry    chan struct{} // asks for a lookup at once
	failures int           // lookups in a row of which a part failed

	// The rest is guarded by Resolver.mu.
	families  [2][]netip.Addr // IPv4 and IPv6, as they were found last
	addresses []netip.Addr    // of both
	err       error           // of the last lookup, when it found no address
	failed    bool            // the last lookup, at least in part
}

// result is what a lookup found of each family.
type result [2]answer

// answer is what the name servers say about one family. No address and no error means that the name has none.
type answer struct {
	addresses []netip.Addr
	ttl       time.Duration
	err       error
}

var errNoAddress = errors.New("the name has no address")

// run looks the name up until ctx ends.
func (w *watch) run(ctx context.Context) {
	for first := true; ; first = false {
		found, ok := w.lookup(ctx)
		if !ok {
			return
		}
		if w.learn(found) {
			w.resolver.cfg.Changed()
		}
		if first {
			close(w.tried)
		}
		next := time.NewTimer(w.wait(found))
		select {
		case <-ctx.Done():
			next.Stop()
			return
		case <-w.retry:
			next.Stop()
			w.failures = 0
		case <-next.C:
		}
	}
}

// lookup is one lookup, once there is a slot for it; false when ctx has ended.
func (w *watch) lookup(ctx context.Context) (result, bool) {
	select {
	case w.resolver.slots <- struct{}{}:
		defer func() { <-w.resolver.slots }()
	case <-ctx.Done():
		return result{}, false
	}
	found := w.resolver.lookup(ctx, w.name)
	return found, ctx.Err() == nil
}

// recall makes the addresses of an earlier life those that the name has.
func (w *watch) recall(addresses []netip.Addr) {
	for _, a := range addresses[:min(len(addresses), MaxAddresses)] {
		if !a.IsValid() {
			continue
		}
		w.addresses = append(w.addresses, a)
		if a.Is4() {
			w.families[0] = append(w.families[0], a)
		} else {
			w.families[1] = append(w.families[1], a)
		}
	}
	slices.SortFunc(w.addresses, netip.Addr.Compare)
}

// learn takes over what was found, and says whether the addresses have changed.
//
// A family that could not be asked for keeps what it had, and so do both when neither has an address: that name servers
// forget a name by mistake happens more often than that a name with connections to it goes away.
func (w *watch) learn(found result) (changed bool) {
	log := w.resolver.cfg.Log
	w.resolver.mu.Lock()
	defer w.resolver.mu.Unlock()
	w.failed = found.err() != nil || found.failure() != nil
	families := w.families
	for i, a := range found {
		if a.err == nil {
			families[i] = a.addresses
		}
	}
	if err := found.failure(); err != nil {
		if w.err == nil {
			log.Warn("name outside the mesh not found", "name", w.name, "error", err, "kept", len(w.addresses))
		}
		w.err = err
		return false
	}
	if w.err != nil {
		log.Info("name outside the mesh found again", "name", w.name)
	}
	w.err, w.families = nil, families
	addresses := slices.Concat(families[0], families[1])
	slices.SortFunc(addresses, netip.Addr.Compare)
	addresses = slices.Compact(addresses)
	addresses = addresses[:min(len(addresses), MaxAddresses)]
	if slices.Equal(addresses, w.addresses) {
		return false
	}
	log.Info("name outside the mesh resolved", "name", w.name, "addresses", addresses)
	w.addresses = addresses
	return true
}

// failure returns why a lookup found no address; nil when it found some.
func (r *result) failure() error {
	if len(r[0].addresses)+len(r[1].addresses) > 0 {
		return nil
	}
	if err := r.err(); err != nil {
		return err
	}
	return errNoAddress
}

// err returns why a family could not be looked up; both most often for the same reason, so the first will do.
func (r *result) err() error {
	if r[0].err != nil {
		return r[0].err
	}
	return r[1].err
}

// wait returns the time until the next lookup: for as long as the answer is good, and after a lookup that failed at least
// in part no longer than a pause that doubles each time, half of it left to chance so that names do not fail in step.
func (w *watch) wait(found result) time.Duration {
	wait := maxWait
	for _, a := range found {
		if len(a.addresses) > 0 {
			wait = min(wait, max(a.ttl, minWait))
		}
	}
	if found.err() == nil && found.failure() == nil {
		w.failures = 0
		return wait
	}
	idle := min(minWait<<min(w.failures, 10), maxIdle)
	w.failures++
	return min(wait, idle/2+rand.N(idle/2))
}
