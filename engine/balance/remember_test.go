package balance

import (
	"encoding/json"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meshd/meshd/engine/mesh"
)

func groupOf(addresses ...string) *Group {
	var c Config
	for _, a := range addresses {
		c.Endpoints = append(c.Endpoints, mesh.Endpoint{Address: netip.MustParseAddrPort(a)})
	}
	return New(c)
}

// again is the endpoint of a process that knows only what another wrote of it.
func again(t *testing.T, e *Endpoint, now time.Time) *Endpoint {
	t.Helper()
	standing, ok := e.Standing()
	if !ok {
		t.Fatal("nothing to remember")
	}
	text, err := json.Marshal(standing)
	if err != nil {
		t.Fatal(err)
	}
	var read Standing
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	next := groupOf("10.0.0.1:80", "10.0.0.2:80").Endpoints()[e.index]
	next.Recall(read, now)
	return next
}

func TestHealthyEndpointNeedsNoMemory(t *testing.T) {
	e := groupOf("10.0.0.1:80").Endpoints()[0]
	e.Connect()
	if standing, ok := e.Standing(); ok {
		t.Errorf("remembered: %+v", standing)
	}
}

func TestDownIsRemembered(t *testing.T) {
	now := time.Now()
	e := groupOf("10.0.0.1:80", "10.0.0.2:80").Endpoints()[0]
	e.MarkDown(now, "its check fails")
	next := again(t, e, now.Add(time.Second))
	if diff := cmp.Diff(e.Health(), next.Health()); diff != "" {
		t.Error(diff)
	}
	if got := next.group.Pick(new(Tried)); got == next {
		t.Error("an endpoint that is down is chosen")
	}
	next.MarkUp(now.Add(2*time.Second), "its check passes")
	if got := next.Health().State; got != Up {
		t.Errorf("after a good check it is %s", got)
	}
}

func ejectedAt(at time.Time) *Endpoint {
	e := groupOf("10.0.0.1:80", "10.0.0.2:80").Endpoints()[0]
	for range ejectAfter {
		e.Fail(at, errors.New("refused"))
	}
	return e
}

func TestEjectionGoesOn(t *testing.T) {
	now := time.Now()
	e := ejectedAt(now)
	for about, c := range map[string]struct{ at, until time.Time }{
		"within it":              {now.Add(10 * time.Second), now.Add(ejectFor)},
		"the clock was set back": {now.Add(-time.Hour), now.Add(-time.Hour + ejectFor)},
	} {
		next := again(t, e, c.at)
		if got := next.health.until; !got.Equal(c.until) {
			t.Errorf("%s: until %v, want %v", about, got, c.until)
		}
		if !next.Failing() || next.LastFailure().Text != "refused" {
			t.Errorf("%s: the failure is forgotten", about)
		}
	}
	if h := again(t, e, now).Health(); h.State != Ejected {
		t.Errorf("right after it began: %+v", h)
	}
	if h := again(t, ejectedAt(now.Add(-time.Hour)), now).Health(); h.State != Up {
		t.Errorf("an hour after it began: %+v", h)
	}
}

func TestNewsAreNotOverridden(t *testing.T) {
	now := time.Now()
	e := groupOf("10.0.0.1:80", "10.0.0.2:80").Endpoints()[0]
	e.MarkDown(now, "its check fails")
	was, _ := e.Standing()
	e.MarkUp(now, "its check passes")
	e.Recall(was, now)
	if got := e.Health().State; got != Up {
		t.Errorf("it is %s", got)
	}
}

func TestNonsenseIsNotRecalled(t *testing.T) {
	e := groupOf("10.0.0.1:80").Endpoints()[0]
	for _, was := range []Standing{{State: Down}, {State: Ejected}, {State: "asleep", History: []Transition{{State: "asleep"}}}} {
		e.Recall(was, time.Now())
		if h := e.Health(); h.State != Up || len(h.History) > 0 {
			t.Errorf("%+v made it %+v", was, h)
		}
	}
}
