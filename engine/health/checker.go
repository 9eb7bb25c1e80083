// Package health asks endpoints again and again whether they work, and tells the balancer when one is down or up again.
package health

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/mesh"
)

// atOnce bounds the checks that run at the same time, and so their sockets; further ones wait.
const atOnce = 64

// Target is one endpoint of a service that is to be checked.
type Target struct {
	Service string
	Check   mesh.Check

	// Endpoints are the same endpoint at every port of the service. The first is asked; what it answers holds for all.
	Endpoints []*balance.Endpoint
}

// key names a target over changes of the configuration.
type key struct {
	service string
	address netip.AddrPort
}

func (t *Target) key() key { return key{t.Service, t.Endpoints[0].Address} }

// Checker checks endpoints, each at its own pace.
//
// Its methods may be called from any goroutine.
type Checker struct {
	ask     func(ctx context.Context, t *Target) error // nil: the endpoint works
	slots   chan struct{}
	mu      sync.Mutex // held by those who change workers
	workers map[key]*worker
}

// New returns a checker that checks nothing yet.
func New() *Checker {
	return &Checker{ask: newAsker().ask, slots: make(chan struct{}, atOnce), workers: make(map[key]*worker)}
}

// Set makes targets what is checked. A target whose check has not changed goes on, with what it has counted; one that is
// new counts as up until its check has failed often enough. An endpoint that is not checked any more is up.
func (c *Checker) Set(targets []Target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wanted := make(map[key]Target, len(targets))
	for _, t := range targets {
		if first, twice := wanted[t.key()]; twice { // two ports of a service at one address: one check for both
			t.Endpoints = slices.Concat(first.Endpoints, t.Endpoints)
			t.Check = first.Check
		}
		wanted[t.key()] = t
	}
	for k, w := range c.workers {
		t, kept := wanted[k]
		if kept && t.Check == w.check {
			continue
		}
		w.stop()
		delete(c.workers, k)
		if !kept {
			w.release()
		}
	}
	for k, t := range wanted {
		if w := c.workers[k]; w != nil {
			w.follow(t)
		} else {
			c.workers[k] = c.start(t)
		}
	}
}

// Close ends all checks and waits for them. The endpoints stay as they stand.
func (c *Checker) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.workers {
		w.cancel()
	}
	for k, w := range c.workers {
		w.stop()
		delete(c.workers, k)
	}
}

// worker checks one endpoint.
type worker struct {
	check  mesh.Check
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended

	mu     sync.Mutex // guards what follows
	target Target
	isDown bool
	reason string // why it is down
	row    int    // results in a row that speak against isDown
}

func (c *Checker) start(t Target) *worker {
	ctx, cancel := context.WithCancel(context.Background())
	w := &worker{check: t.Check, cancel: cancel, done: make(chan struct{}), target: t}
	if h := t.Endpoints[0].Health(); h.State == balance.Down { // by another check, before the configuration changed
		w.isDown, w.reason = true, h.History[len(h.History)-1].Reason
	}
	w.follow(t)
	go func() {
		defer close(w.done)
		w.run(ctx, c)
	}()
	return w
}

// stop ends the worker; it marks no endpoint afterwards.
func (w *worker) stop() {
	w.cancel()
	<-w.done
}

// run checks until ctx ends. The first check is at a random time, so that the checks of many endpoints, and of many
// hosts that start together, are spread.
func (w *worker) run(ctx context.Context, c *Checker) {
	due := time.Now().Add(rand.N(w.check.Interval))
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		late := time.Since(due)
		select {
		case <-ctx.Done():
			return
		case c.slots <- struct{}{}:
		}
		due = time.Now().Add(w.check.Interval)
		err := w.try(ctx, c, late)
		<-c.slots
		if ctx.Err() != nil {
			return
		}
		if !balance.OwnFault(err) {
			w.judge(time.Now(), err)
		}
		timer.Reset(time.Until(due))
	}
}

// try makes one check. When this host is so busy that the check itself began late, it has as much more time: an endpoint
// is not to blame for that.
func (w *worker) try(ctx context.Context, c *Checker, late time.Duration) error {
	timeout := w.check.Timeout + min(late, w.check.Interval)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no answer within %s", timeout.Round(time.Millisecond)))
	defer cancel()
	w.mu.Lock()
	t := w.target
	w.mu.Unlock()
	err := c.ask(ctx, &t)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// judge counts a result and marks the endpoint when there are enough of its kind in a row.
func (w *worker) judge(at time.Time, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.target.Endpoints[0].Accept()
	}
	if isDown := err != nil; isDown == w.isDown {
		w.row = 0
		return
	}
	w.row++
	switch {
	case err == nil && w.row >= w.check.Rise:
		w.isDown, w.row = false, 0
		for _, e := range w.target.Endpoints {
			e.MarkUp(at, "its check passes")
		}
	case err != nil && w.row >= w.check.Fall:
		w.isDown, w.row, w.reason = true, 0, "its check fails: "+err.Error()
		for _, e := range w.target.Endpoints {
			e.MarkDown(at, w.reason)
		}
	}
}

// follow makes t, which differs from the target before in its endpoints at most, the target. An endpoint that is new, as
// that of a listener, stands as the others do.
func (w *worker) follow(t Target) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.target = t
	for _, e := range t.Endpoints {
		if w.isDown {
			e.MarkDown(time.Now(), w.reason)
		} else if e.Health().State == balance.Down { // by a check that is not made any more
			e.MarkUp(time.Now(), "its check passes")
		}
	}
}

// release lets the endpoints of a worker that has stopped be up.
func (w *worker) release() {
	for _, e := range w.target.Endpoints {
		e.MarkUp(time.Now(), "it is not checked any more")
	}
}
