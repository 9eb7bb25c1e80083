package balance

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// How connections that fail take an endpoint out of use for a while.
const (
	ejectAfter = 5 // failures in a row; failures beyond try again at each multiple
	ejectFor   = 30 * time.Second
	ejectMost  = 300 * time.Second
)

// historyLength is how many transitions of an endpoint are remembered.
const historyLength = 8

// State is how an endpoint stands.
type State string

// The states of an endpoint. Only one that is up is usable.
const (
	Up      State = "up"
	Down    State = "down"    // its active check fails
	Ejected State = "ejected" // connections to it failed; it is up again after a while
)

// Transition is a change of the state of an endpoint.
type Transition struct {
	Time   time.Time
	State  State // that began
	Reason string
}

// health is the state of an endpoint, guarded by standing.mu. Its zero value is up.
type health struct {
	state     State         // empty: up
	until     time.Time     // when the last ejection ends or ended
	lasts     time.Duration // the last ejection
	ejections int           // in succession
	history   []Transition  // the oldest first; at most historyLength
}

// standing is what successive groups of a service share beside the counters.
type standing struct {
	mu      sync.Mutex    // held by those who look at or change health
	version atomic.Uint64 // grows with every transition; written under mu
	due     atomic.Int64  // when statistics are judged next, in nanoseconds since 1970; 0: they begin
}

func (h *health) current() State {
	if h.state == "" {
		return Up
	}
	return h.state
}

// enter begins a state.
func (s *standing) enter(h *health, at time.Time, state State, reason string) {
	h.state = state
	if len(h.history) == historyLength {
		h.history = slices.Delete(h.history, 0, 1)
	}
	h.history = append(h.history, Transition{at, state, reason})
	s.version.Add(1)
}

// settle ends the ejection if its time is over.
func (s *standing) settle(h *health, now time.Time) {
	if h.state == Ejected && !now.Before(h.until) {
		s.enter(h, h.until, Up, "the ejection is over")
	}
}

// isRemembered says whether the last ejection makes the next one longer.
func (h *health) isRemembered(at time.Time) bool { return at.Sub(h.until) <= h.lasts }

// MarkDown notes that the active check of the endpoint fails. Nothing is noted of one that is down already.
func (e *Endpoint) MarkDown(at time.Time, reason string) {
	s := e.group.standing
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle(&e.health, at)
	if e.health.state != Down {
		s.enter(&e.health, at, Down, reason)
	}
}

// MarkUp notes that the active check of an endpoint that was down passes. It begins afresh: failures from before are
// forgotten. It does not end an ejection, as a port that accepts a check may still fail its clients.
func (e *Endpoint) MarkUp(at time.Time, reason string) {
	s := e.group.standing
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.health.state == Down {
		e.failing.Store(false)
		e.refusals.Store(0)
		e.resets.Store(0)
		e.forget()
		s.enter(&e.health, at, Up, reason)
	}
}

// eject takes the endpoint out of use for 30 s, for 30 s longer when the ejection before it ended only as long ago as
// it had lasted, and for 300 s at most; with outlier detection as that says.
func (e *Endpoint) eject(at time.Time, reason string) {
	s := e.group.standing
	s.mu.Lock()
	defer s.mu.Unlock()
	ejected, up := 0, 0
	for _, other := range e.group.endpoints {
		s.settle(&other.health, at)
		switch other.health.current() {
		case Ejected:
			ejected++
		case Up:
			up++
		}
	}
	h := &e.health
	if h.current() != Up || !e.group.mayEject(ejected, up) {
		return
	}
	h.ejections = e.group.successive(h, at) + 1
	base, most := e.group.ejection()
	h.lasts = min(time.Duration(h.ejections)*base, most)
	h.until = at.Add(h.lasts)
	e.forget()
	s.enter(h, at, Ejected, reason)
}

// Health is how an endpoint stands and how it came to it.
type Health struct {
	State   State
	Until   time.Time    // when an ejection ends; zero in other states
	History []Transition // the last eight, the oldest first; empty when it was always up
}

// Health returns how the endpoint stands.
func (e *Endpoint) Health() Health {
	s := e.group.standing
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle(&e.health, time.Now())
	h := Health{State: e.health.current(), History: slices.Clone(e.health.history)}
	if h.State == Ejected {
		h.Until = e.health.until
	}
	return h
}
