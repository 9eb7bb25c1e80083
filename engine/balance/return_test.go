package balance

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshd/meshd/engine/mesh"
)

// rotate returns the group that follows, with the endpoints at these addresses.
func rotate(g *Group, addresses ...int) *Group {
	c := Config{Previous: g}
	for _, i := range addresses {
		c.Endpoints = append(c.Endpoints, mesh.Endpoint{Address: address(i)})
	}
	return New(c)
}

// TestConnectionsOutlastAddress has the address of a connection go, and come back while it is open and after its end.
func TestConnectionsOutlastAddress(t *testing.T) {
	g := rotate(nil, 0, 1)
	first := g.Endpoints()[0]
	first.Acquire()
	first.Connect()
	for range 3 {
		g = rotate(g, 1, 2)
		if g.Active() != 1 {
			t.Errorf("%d connections are open to the group, want the one to the address that is away", g.Active())
		}
	}
	g = rotate(g, 2, 0)
	if e := g.Endpoints()[1]; e.Active() != 1 || e.Connected() != 1 || g.Active() != 1 {
		t.Errorf("the address is back with %d connections open of %d, and %d of the group; want 1, 1, 1", e.Active(), e.Connected(), g.Active())
	}
	g = rotate(g, 2)
	first.Release()
	if g.Active() != 0 {
		t.Errorf("%d connections are open to the group after the last has ended", g.Active())
	}
	g = rotate(g, 2)
	if n := len(g.departed); n != 0 {
		t.Errorf("%d addresses are kept that nothing holds", n)
	}
	if e := rotate(g, 0).Endpoints()[0]; e.Connected() != 0 {
		t.Error("an address that nothing has held is known still")
	}
}

// TestLateConnection has a connection to an endpoint counted only when the group that follows, which lacks it, is made.
func TestLateConnection(t *testing.T) {
	before := rotate(nil, 0)
	next := rotate(before, 1)
	before.Endpoints()[0].Acquire()
	if next.Active() != 1 {
		t.Errorf("%d connections are open to the group, want 1", next.Active())
	}
	if e := rotate(next, 0).Endpoints()[0]; e.Active() != 1 {
		t.Errorf("%d connections are open to the endpoint, want 1", e.Active())
	}
}

// TestEjectionOutlastsAddress has an endpoint that is ejected go, and come back before it is over, and by when it would
// make the next one longer.
func TestEjectionOutlastsAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := rotate(nil, 0, 1)
		fail(g.Endpoints()[0], 5)
		for range 3 {
			g = rotate(g, 1, 2)
		}
		g = rotate(g, 1, 0)
		if h := g.Endpoints()[1].Health(); h.State != Ejected || len(h.History) != 1 {
			t.Errorf("the endpoint is back and %s, history %v", h.State, h.History)
		}
		wantFirsts(t, g, "the endpoint is back", 0)

		for range 3 {
			g = rotate(g, 1, 2)
			time.Sleep(ejectFor / 2)
		}
		g = rotate(g, 1, 0)
		wantFirsts(t, g, "the ejection is over", 0, 1)
		fail(g.Endpoints()[1], 5)
		if h := g.Endpoints()[1].Health(); time.Until(h.Until) != 2*ejectFor {
			t.Errorf("the second ejection in succession lasts %s", time.Until(h.Until))
		}

		g = rotate(rotate(g, 1), 1)
		time.Sleep(2*2*ejectFor + 1)
		g = rotate(g, 1)
		if n := len(g.departed); n != 0 {
			t.Errorf("%d addresses are kept that nothing holds", n)
		}
	})
}
