package balance

import (
	"slices"
	"time"
)

// Standing is how an endpoint stands, in a form that outlives the process.
type Standing struct {
	State     State         `json:"state"`
	Until     time.Time     `json:"until,omitzero"` // when the last ejection ends or ended
	Lasts     time.Duration `json:"lasts,omitzero"`
	Ejections int           `json:"ejections,omitzero"`
	History   []Transition  `json:"history,omitempty"`
	Failing   bool          `json:"failing,omitzero"`
	Failure   *Failure      `json:"failure,omitempty"` // the last one
}

// Standing returns how the endpoint stands; false when there is nothing to remember, as of one that never failed.
func (e *Endpoint) Standing() (Standing, bool) {
	s := e.group.standing
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &e.health
	now := Standing{
		State: h.current(), Until: h.until, Lasts: h.lasts, Ejections: h.ejections, History: slices.Clone(h.history),
		Failing: e.failing.Load(), Failure: e.last.Load(),
	}
	return now, now.Failing || len(now.History) > 0
}

// Recall makes an endpoint of which nothing is known yet stand as it did. An ejection goes on for what was left of it, and
// no longer than it was meant to last, whatever has become of the clock.
func (e *Endpoint) Recall(was Standing, now time.Time) {
	s := e.group.standing
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &e.health
	known := was.State == Up || (was.State == Down || was.State == Ejected) && len(was.History) > 0
	if len(h.history) > 0 || !known {
		return
	}
	_, most := e.group.ejection()
	lasts := min(max(was.Lasts, 0), most)
	until := was.Until
	if latest := now.Add(lasts); until.After(latest) {
		until = latest
	}
	*h = health{state: was.State, until: until, lasts: lasts, ejections: max(was.Ejections, 0)}
	h.history = slices.Clone(was.History[max(0, len(was.History)-historyLength):])
	if was.Failure != nil {
		e.last.Store(was.Failure)
		e.failing.Store(was.Failing)
	}
	s.version.Add(1)
}
