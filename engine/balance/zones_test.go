package balance

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/mesh"
)

func inZones(zones ...string) []mesh.Endpoint {
	all := equal(len(zones))
	for i, zone := range zones {
		all[i].Zone = zone
	}
	return all
}

// TestZonesInOrder wants the zones to be used one after the other, each while the ones before have nobody who is up.
func TestZonesInOrder(t *testing.T) {
	for _, policy := range []mesh.Balancing{mesh.RoundRobin, mesh.LeastRequest, mesh.Random, mesh.RingHash, mesh.Maglev} {
		// More are up than down all the time, so that it is not for want of endpoints that all are used.
		g := New(Config{
			Policy: policy, Zone: "a", Zones: []string{"c", "b"},
			Endpoints: inZones("a", "b", "b", "c", "", "d", "d", "d", "d", "d"),
		})
		for _, step := range []struct {
			when string
			down int
			want []int
		}{
			{"all are up", none, []int{0}}, {"zone a is down", 0, []int{3}}, {"zone c is down too", 3, []int{1, 2}},
			{"half of zone b is down", 1, []int{2}}, {"zone b is down", 2, []int{4, 5, 6, 7, 8, 9}},
		} {
			if step.down != none {
				g.Endpoints()[step.down].MarkDown(time.Now(), "test")
			}
			wantFirsts(t, g, string(policy)+": "+step.when, step.want...)
		}
	}
}

// TestZonesAfterAFailure wants a connection that fails to go on in the order of the zones.
func TestZonesAfterAFailure(t *testing.T) {
	g := New(Config{Zone: "a", Zones: []string{"c", "b"}, Endpoints: inZones("d", "b", "c", "a")})
	var tried Tried
	var order []int
	for e := g.Pick(&tried); e != nil; e = g.Pick(&tried) {
		order = append(order, e.index)
	}
	if !slices.Equal(order, []int{3, 2, 1, 0}) {
		t.Errorf("tried in the order %v", order)
	}
	if all := g.Backends(); !slices.Equal(all, []netip.AddrPort{address(0), address(1), address(2), address(3)}) {
		t.Errorf("the kernel gets %v", all)
	}
}

// TestZonesOfAHostInNone wants them to count on a host that stands nowhere in particular too, and for a part that has its own.
func TestZonesOfAHostInNone(t *testing.T) {
	g := New(Config{Zones: []string{"b"}, Endpoints: inZones("a", "b", "", "a")})
	wantFirsts(t, g, "all are up", 1)
	part := g.Part(func(*Endpoint) bool { return true }, []string{"a"})
	wantFirsts(t, part, "another order", 0, 3)
	wantFirsts(t, g.Part(func(*Endpoint) bool { return true }, nil), "no order", 0, 1, 2, 3)
}

func TestChoiceCount(t *testing.T) {
	g := New(Config{Policy: mesh.LeastRequest, Balancer: mesh.Balancer{Choices: 10}, Endpoints: equal(5)})
	for _, e := range g.Endpoints()[:4] {
		e.Acquire()
	}
	idle := 0
	for range 1000 {
		if g.Pick(new(Tried)).index == 4 {
			idle++
		}
	}
	if idle < 900 { // 1 - (4/5)(3/4)^9
		t.Errorf("the idle one of five is found %d times of 1000 among ten, want about 940", idle)
	}
}
