package route

import (
	"math"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/limit"
	"github.com/meshd/meshd/engine/mesh"
)

func TestFault(t *testing.T) {
	x := newRig(mesh.Catalog{Routers: []mesh.Router{{Service: "billing", Routes: []mesh.Route{{
		Destination: &mesh.Destination{Service: "billing"},
		Fault: &mesh.Fault{
			Delay: &mesh.Delay{Share: 25_00, Fixed: time.Second},
			Abort: &mesh.Abort{Share: mesh.Hundred, HTTPStatus: 418},
		},
	}}}}})
	f := x.table("billing").Routes()[0].Fault
	for draw, want := range map[uint32]time.Duration{0: time.Second, 1<<30 - 1: time.Second, 1 << 30: 0, math.MaxUint32: 0} {
		if got := f.Delay(draw); got != want {
			t.Errorf("the draw %d waits %s, want %s", draw, got, want)
		}
	}
	for _, draw := range []uint32{0, math.MaxUint32} {
		if got, ok := f.Abort(draw); !ok || got != (Abort{HTTPStatus: 418}) {
			t.Errorf("the draw %d is aborted: %v, with %+v", draw, ok, got)
		}
	}
	var none *Fault
	if _, ok := none.Abort(0); ok || none.Delay(0) != 0 {
		t.Error("something goes wrong without a fault")
	}
	never := newFault(&mesh.Fault{Abort: &mesh.Abort{HTTPStatus: 500}})
	if _, ok := never.Abort(0); ok || never.Delay(0) != 0 {
		t.Error("a fault for no request meets one")
	}
}

func TestMirror(t *testing.T) {
	x := newRig(mesh.Catalog{
		Routers: []mesh.Router{{Service: "billing", Routes: []mesh.Route{{Destination: &mesh.Destination{
			Service: "billing", Mirror: &mesh.Mirror{Target: mesh.Target{Service: "shadow"}, Share: 50_00},
		}}}}},
		Resolvers: []mesh.Resolver{{Service: "shadow", DefaultSubset: "v2"}},
	})
	routes := x.table("billing").Routes()
	m := routes[0].Mirror
	if got := m.Target.Name(); got != "shadow/v2" {
		t.Errorf("copies go to %s", got)
	}
	if !m.Takes(1<<31-1) || m.Takes(1<<31) {
		t.Error("it takes not the half of the draws")
	}
	if routes[1].Mirror.Takes(0) {
		t.Error("a route without a mirror copies")
	}
}

// TestLimits wants a target to have the limits of its own service, whose counters all of its subsets share.
func TestLimits(t *testing.T) {
	x := newRig(mesh.Catalog{Services: []mesh.Service{{Name: "billing", MaxConnections: 1, MaxPending: 2, MaxRequests: 3}}})
	limiter := limit.New(limit.Rate{PerSecond: 1, Burst: 1}, limit.Rate{}, nil)
	x.limiters = map[string]*limit.Limiter{"billing": limiter}
	target := x.table("billing").Targets()[0]
	if target.MaxConnections != 1 || target.MaxPending != 2 || target.MaxRequests != 3 || target.Limiter != limiter {
		t.Errorf("the limits are %+v", target)
	}
	if target.Load != target.Group.Load() {
		t.Error("what counts is not that of the service")
	}
	if other := x.table("reports").Targets()[0]; other.Limiter != nil {
		t.Error("a service without a limit has one")
	}
}
