package balance

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meshd/meshd/engine/mesh"
)

var errRefused = errors.New("connection refused")

// fail makes n connects to the endpoint fail.
func fail(e *Endpoint, n int) {
	for range n {
		e.Fail(time.Now(), errRefused)
	}
}

// firsts returns which endpoints 1000 connections get first.
func firsts(g *Group) []int {
	seen := make([]int, len(g.endpoints))
	for range 1000 {
		if e := g.Pick(new(Tried)); e != nil {
			seen[e.index]++
		}
	}
	var all []int
	for i, n := range seen {
		if n > 0 {
			all = append(all, i)
		}
	}
	return all
}

func wantFirsts(t *testing.T, g *Group, when string, want ...int) {
	t.Helper()
	if got := firsts(g); !slices.Equal(got, want) {
		t.Errorf("%s: connections get the endpoints %v, want %v", when, got, want)
	}
}

func TestEjection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Config{Endpoints: equal(4)})
		bad := g.Endpoints()[1]
		fail(bad, 4)
		bad.Connect()
		fail(bad, 4)
		wantFirsts(t, g, "four failures in a row", 0, 1, 2, 3)
		fail(bad, 1)
		wantFirsts(t, g, "five failures in a row", 0, 2, 3)
		if h := bad.Health(); h.State != Ejected || time.Until(h.Until) != 30*time.Second {
			t.Errorf("the endpoint is %s until %s, want ejected for 30 s", h.State, h.Until)
		}
		time.Sleep(30*time.Second - 1)
		wantFirsts(t, g, "right before the end", 0, 2, 3)
		time.Sleep(time.Nanosecond)
		wantFirsts(t, g, "after the end", 0, 1, 2, 3)
		start := time.Now().Add(-30 * time.Second)
		want := []Transition{
			{start, Ejected, "connections fail: connection refused"},
			{start.Add(30 * time.Second), Up, "the ejection is over"},
		}
		if diff := cmp.Diff(want, bad.Health().History); diff != "" {
			t.Error(diff)
		}
	})
}

// TestEjectionGrows fails an endpoint whenever it is back, then leaves it alone for a while.
func TestEjectionGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Config{Endpoints: equal(2)})
		bad := g.Endpoints()[0]
		for i := range 12 {
			fail(bad, 5)
			lasts := time.Until(bad.Health().Until)
			if want := min(time.Duration(i+1)*30*time.Second, 300*time.Second); lasts != want {
				t.Fatalf("ejection %d lasts %s, want %s", i+1, lasts, want)
			}
			time.Sleep(lasts)
		}
		if n := len(bad.Health().History); n != historyLength {
			t.Errorf("%d transitions are remembered, want %d", n, historyLength)
		}
		time.Sleep(300*time.Second + 1)
		fail(bad, 5)
		if lasts := time.Until(bad.Health().Until); lasts != 30*time.Second {
			t.Errorf("after it worked for long, an ejection lasts %s, want 30s", lasts)
		}
	})
}

func TestOwnFaultsDoNotEject(t *testing.T) {
	g := New(Config{Endpoints: equal(2)})
	e := g.Endpoints()[0]
	for range 20 {
		e.Fail(time.Now(), &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)})
	}
	if state := e.Health().State; state != Up || !e.Failing() || e.Failed() != 20 {
		t.Errorf("for want of ports the endpoint became %s, failing %v, failed %d", state, e.Failing(), e.Failed())
	}
	fail(e, 4)
	e.Accept()
	if e.Failing() {
		t.Error("an endpoint that has accepted a check is failing")
	}
	fail(e, 1)
	if state := e.Health().State; state != Ejected {
		t.Errorf("a check between the failures of clients left the endpoint %s", state)
	}
}

func TestResetsEject(t *testing.T) {
	g := New(Config{Endpoints: equal(2)})
	bad := g.Endpoints()[0]
	for range 4 {
		bad.Connect()
		bad.Reset(time.Now())
	}
	bad.Deliver()
	for range 4 {
		bad.Reset(time.Now())
	}
	wantFirsts(t, g, "four resets in a row", 0, 1)
	bad.Connect()
	bad.Reset(time.Now())
	wantFirsts(t, g, "five resets in a row", 1)
}

func TestHalfIsNotEjected(t *testing.T) {
	for n, most := range []int{0, 0, 1, 1, 2, 2, 3} {
		g := New(Config{Endpoints: equal(n)})
		for _, e := range g.Endpoints() {
			fail(e, 20)
		}
		got := 0
		for _, e := range g.Endpoints() {
			if e.Health().State == Ejected {
				got++
			}
		}
		if got != most {
			t.Errorf("%d of %d endpoints are ejected, want %d", got, n, most)
		}
	}
}

func TestLastIsNotEjected(t *testing.T) {
	g := New(Config{Endpoints: equal(4)})
	for _, e := range g.Endpoints()[:3] {
		e.MarkDown(time.Now(), "check failed")
	}
	last := g.Endpoints()[3]
	fail(last, 20)
	if state := last.Health().State; state != Up {
		t.Errorf("the last endpoint that is up became %s", state)
	}
}

func TestPanic(t *testing.T) {
	g := New(Config{Endpoints: equal(5)})
	es := g.Endpoints()
	for i, want := range [][]int{{1, 2, 3, 4}, {2, 3, 4}, {0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}, nil} {
		es[i].MarkDown(time.Now(), "check failed")
		wantFirsts(t, g, fmt.Sprintf("%d of 5 are down", i+1), want...)
	}
	if all := g.Backends(); all != nil {
		t.Errorf("a service that is down has the backends %v", all)
	}
	es[4].MarkUp(time.Now(), "check passed")
	if all := g.Backends(); !slices.Equal(all, []netip.AddrPort{es[4].Address}) {
		t.Errorf("backends %v, want the one that is up", all)
	}
}

func TestBackendsEjected(t *testing.T) {
	g := New(Config{Endpoints: equal(2)})
	one, two := g.Endpoints()[0], g.Endpoints()[1]
	fail(one, 5)
	if all := g.Backends(); !slices.Equal(all, []netip.AddrPort{two.Address}) {
		t.Errorf("backends %v, want the one that is up", all)
	}
	two.MarkDown(time.Now(), "check failed")
	if all := g.Backends(); !slices.Equal(all, []netip.AddrPort{one.Address}) {
		t.Errorf("backends %v, want the one that is only ejected", all)
	}
}

func TestZone(t *testing.T) {
	es := equal(4)
	es[1].Zone, es[2].Zone, es[3].Zone = "a", "a", "b"
	g := New(Config{Endpoints: es, Zone: "a"})
	wantFirsts(t, g, "all are up", 1, 2)
	var tried Tried
	for i, zone := range []string{"a", "a"} {
		if e := g.Pick(&tried); e.Zone != zone {
			t.Errorf("try %d goes to zone %q, want %q", i+1, e.Zone, zone)
		}
	}
	if e := g.Pick(&tried); e == nil || e.Zone == "a" {
		t.Error("a connection that the zone has failed did not leave it")
	}
	g.Endpoints()[1].MarkDown(time.Now(), "check failed")
	wantFirsts(t, g, "one of the zone is up", 2)
	g.Endpoints()[2].MarkDown(time.Now(), "check failed")
	wantFirsts(t, g, "none of the zone is up", 0, 3)
	if all := g.Backends(); len(all) != 2 {
		t.Errorf("backends %v, want both that are up", all)
	}
	elsewhere := New(Config{Endpoints: es, Zone: "c"})
	wantFirsts(t, elsewhere, "the zone has no endpoint", 0, 1, 2, 3)
}

// TestStateIsShared has a connection of an old group find out what the new group must know, and the other way round.
func TestStateIsShared(t *testing.T) {
	old := New(Config{Endpoints: equal(2)})
	g := New(Config{Endpoints: equal(3), Previous: old})
	before := g.Version()
	fail(old.Endpoints()[0], 5)
	wantFirsts(t, g, "the old group saw failures", 1, 2)
	if g.Version() == before {
		t.Error("the version did not tell of it")
	}
	g.Endpoints()[1].MarkDown(time.Now(), "check failed")
	if state := old.Endpoints()[1].Health().State; state != Down {
		t.Errorf("to the old group the endpoint is %s", state)
	}
}

func TestChecks(t *testing.T) {
	g := New(Config{Endpoints: equal(2)})
	e := g.Endpoints()[0]
	at := time.Unix(100, 0)
	e.MarkUp(at, "was never down")
	e.MarkDown(at, "timeout")
	e.MarkDown(at.Add(time.Second), "refused")
	fail(e, 7) // while it is down it is not ejected
	e.MarkUp(at.Add(2*time.Second), "check passed")
	want := Health{State: Up, History: []Transition{{at, Down, "timeout"}, {at.Add(2 * time.Second), Up, "check passed"}}}
	if diff := cmp.Diff(want, e.Health()); diff != "" {
		t.Error(diff)
	}
	if e.Failing() {
		t.Error("an endpoint whose check passes has failures from before")
	}
}

// TestPickProperties walks through random states of random groups. Whatever they are, a connection gets first what the
// rules say, and in the end every endpoint once.
func TestPickProperties(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		es := equal(1 + r.IntN(9))
		for i := range es {
			es[i].Zone, es[i].Weight = []string{"", "a", "b"}[r.IntN(3)], uint32(1+r.IntN(5))
		}
		g := New(Config{Policy: policies[r.IntN(len(policies))], Endpoints: es, Zone: []string{"", "a"}[r.IntN(2)]})
		for range 30 {
			switch e := g.Endpoints()[r.IntN(len(es))]; r.IntN(4) {
			case 0:
				e.MarkDown(time.Now(), "check failed")
			case 1:
				e.MarkUp(time.Now(), "check passed")
			case 2:
				fail(e, 5)
			default:
				e.Connect()
			}
			checkPick(t, g)
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
	}
}

func checkPick(t *testing.T, g *Group) {
	t.Helper()
	var up, near, ejected, down int
	for _, e := range g.Endpoints() {
		switch e.Health().State {
		case Down:
			down++
		case Ejected:
			ejected++
		default:
			up++
			if e.Zone == g.zone {
				near++
			}
		}
	}
	n := len(g.Endpoints())
	var tried Tried
	first := g.Pick(&tried)
	if first == nil {
		if down < n {
			t.Errorf("%d of %d are down, and nothing was picked", down, n)
		}
		return
	}
	switch state := first.Health().State; {
	case down == n:
		t.Error("all are down, and one was picked")
	case 2*ejected > n:
		t.Errorf("%d of %d are ejected", ejected, n)
	case 2*up < n: // anything goes
	case state != Up:
		t.Errorf("picked one that is %s first", state)
	case g.zone != "" && near > 0 && first.Zone != g.zone:
		t.Error("left the zone")
	}
	ranks := []rank{}
	for e := g.Pick(&tried); e != nil; e = g.Pick(&tried) {
		ranks = append(ranks, g.choice().rank[e.index])
	}
	if len(ranks) != n-1 || !slices.IsSorted(ranks) {
		t.Errorf("after the first of %d, endpoints of the ranks %v were picked", n, ranks)
	}
}

// TestWeightsAreExactAmongUsable has round robin keep the weights of those that are left.
func TestWeightsAreExactAmongUsable(t *testing.T) {
	g := New(Config{Policy: mesh.RoundRobin, Endpoints: endpoints(5, 2, 1, 3)})
	g.Endpoints()[1].MarkDown(time.Now(), "check failed")
	got := make([]int, 4)
	for range 9 * 100 {
		got[g.Pick(new(Tried)).index]++
	}
	if want := []int{500, 0, 100, 300}; !slices.Equal(got, want) {
		t.Errorf("endpoints were picked %d times, want %d", got, want)
	}
}

func TestPickWhileStatesChange(t *testing.T) {
	for _, policy := range policies {
		g := New(Config{Policy: policy, Endpoints: equal(4)})
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for n := range 500 {
					e := g.Pick(new(Tried))
					if e == nil {
						t.Error("nothing was picked while three are up")
						return
					}
					switch n % 3 {
					case 0:
						fail(g.Endpoints()[i], 5)
					case 1:
						e.Connect()
					}
					if i == 0 {
						g.Endpoints()[0].MarkDown(time.Now(), "check failed")
						g.Endpoints()[0].MarkUp(time.Now(), "check passed")
					}
					g.Version()
				}
			})
		}
		wg.Wait()
	}
}

func TestPickWithEjectionDoesNotAllocate(t *testing.T) {
	for _, policy := range policies {
		g := New(Config{Policy: policy, Endpoints: equal(inline)})
		fail(g.Endpoints()[3], 5)
		g.Pick(new(Tried))
		if allocs := testing.AllocsPerRun(100, func() {
			var tried Tried
			for range 3 {
				g.Pick(&tried)
			}
		}); allocs != 0 {
			t.Errorf("%s: %v allocations a connection, want 0", policy, allocs)
		}
	}
}
