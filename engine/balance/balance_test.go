package balance

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/mesh"
)

var policies = []mesh.Balancing{mesh.RoundRobin, mesh.LeastRequest, mesh.Random}

func address(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 80)
}

func endpoints(weights ...uint32) []mesh.Endpoint {
	var es []mesh.Endpoint
	for i, w := range weights {
		es = append(es, mesh.Endpoint{Address: address(i), Weight: w})
	}
	return es
}

func equal(n int) []mesh.Endpoint {
	weights := make([]uint32, n)
	for i := range weights {
		weights[i] = 1
	}
	return endpoints(weights...)
}

func TestShareFollowsWeight(t *testing.T) {
	groups := map[string][]uint32{
		"equal":   {1, 1, 1, 1},
		"canary":  {90, 10},
		"mixed":   {1, 2, 3, 4, 5},
		"unset":   {0, 0},
		"largest": {math.MaxUint32, math.MaxUint32 / 2, math.MaxUint32 / 4},
	}
	const picks = 60_000
	for name, weights := range groups {
		for _, policy := range policies {
			t.Run(name+"/"+string(policy), func(t *testing.T) {
				g := New(Config{Policy: policy, Endpoints: endpoints(weights...)})
				var sum float64
				for _, e := range g.Endpoints() {
					sum += float64(e.Weight)
				}
				got := make(map[netip.AddrPort]int)
				for range picks {
					got[g.Pick(new(Tried)).Address]++
				}
				for _, e := range g.Endpoints() {
					want := float64(e.Weight) / sum
					share := float64(got[e.Address]) / picks
					if math.Abs(share-want) > 0.02 {
						t.Errorf("endpoint %s of weight %d has the share %.3f, want %.3f", e.Address, e.Weight, share, want)
					}
				}
			})
		}
	}
}

// In as many turns as the weights add up to, round robin is exact, wherever it begins.
func TestRoundRobinIsExact(t *testing.T) {
	g := New(Config{Policy: mesh.RoundRobin, Endpoints: endpoints(5, 1, 3)})
	got := make([]int, 3)
	for range 9 * 100 {
		got[g.Pick(new(Tried)).index]++
	}
	if want := []int{500, 100, 300}; !slices.Equal(got, want) {
		t.Errorf("endpoints were picked %d times, want %d", got, want)
	}
}

func TestRoundRobinIsSmooth(t *testing.T) {
	g := New(Config{Policy: mesh.RoundRobin, Endpoints: endpoints(5, 1)})
	longest, run := 0, 0
	for range 600 {
		if g.Pick(new(Tried)).index == 0 {
			run++
			longest = max(longest, run)
		} else {
			run = 0
		}
	}
	if longest > 5 {
		t.Errorf("the endpoint of weight 5 was picked %d times in a row, want at most 5", longest)
	}
}

func TestEveryEndpointIsPickedOnce(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 17, 256, 300} {
		for _, policy := range policies {
			g := New(Config{Policy: policy, Endpoints: equal(n)})
			var tried Tried
			seen := make(map[netip.AddrPort]bool)
			for e := g.Pick(&tried); e != nil; e = g.Pick(&tried) {
				if seen[e.Address] {
					t.Fatalf("%s of %d: %s was picked twice", policy, n, e.Address)
				}
				seen[e.Address] = true
			}
			if len(seen) != n {
				t.Errorf("%s of %d: %d endpoints were picked", policy, n, len(seen))
			}
		}
	}
}

func TestLightEndpointIsReachable(t *testing.T) {
	for _, policy := range policies {
		g := New(Config{Policy: policy, Endpoints: endpoints(1, math.MaxUint32)})
		var tried Tried
		first, second := g.Pick(&tried), g.Pick(&tried)
		if first == nil || second == nil || first == second {
			t.Errorf("%s: picked %v then %v, want both endpoints", policy, first, second)
		}
	}
}

func TestLeastRequestPrefersIdle(t *testing.T) {
	g := New(Config{Policy: mesh.LeastRequest, Endpoints: equal(2)})
	busy, idle := g.Endpoints()[0], g.Endpoints()[1]
	busy.Acquire()
	for range 100 {
		if e := g.Pick(new(Tried)); e != idle {
			t.Fatalf("picked %s, want the idle endpoint", e.Address)
		}
	}
	busy.Release()
	if busy.Active() != 0 {
		t.Errorf("endpoint counts %d connections after its release, want 0", busy.Active())
	}
}

func TestLeastRequestWeighsLoad(t *testing.T) {
	g := New(Config{Policy: mesh.LeastRequest, Endpoints: endpoints(1, 4)})
	small, large := g.Endpoints()[0], g.Endpoints()[1]
	small.Acquire()
	for range 3 {
		large.Acquire()
	}
	for range 100 {
		if e := g.Pick(new(Tried)); e != large {
			t.Fatal("picked the small endpoint, whose load is higher for its weight")
		}
	}
}

func TestCountersAreCarriedOver(t *testing.T) {
	old := New(Config{Policy: mesh.RoundRobin, Endpoints: equal(2)})
	kept := old.Endpoints()[1]
	kept.Acquire()
	kept.Connect()
	kept.Fail(time.Unix(1, 0), errors.New("refused"))

	g := New(Config{
		Policy:    mesh.LeastRequest,
		Endpoints: []mesh.Endpoint{{Address: address(7)}, {Address: address(1), Weight: 3}},
		Previous:  old,
	})
	fresh, same := g.Endpoints()[0], g.Endpoints()[1]
	if same.Active() != 1 || same.Connected() != 1 || same.Failed() != 1 || same.LastFailure().Text != "refused" {
		t.Errorf("endpoint lost its counters: active %d, connected %d, failed %d, last %v",
			same.Active(), same.Connected(), same.Failed(), same.LastFailure())
	}
	if fresh.Active() != 0 || fresh.LastFailure() != nil {
		t.Error("a new endpoint has counters of another one")
	}
	kept.Release()
	if same.Active() != 0 {
		t.Error("a connection of the old group ended unseen by the new one")
	}
}

func TestPickDoesNotAllocate(t *testing.T) {
	for _, policy := range policies {
		g := New(Config{Policy: policy, Endpoints: equal(inline)})
		allocs := testing.AllocsPerRun(100, func() {
			var tried Tried
			for range 3 {
				g.Pick(&tried)
			}
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations a connection, want 0", policy, allocs)
		}
	}
}

func TestPickIsSafeForConcurrentUse(t *testing.T) {
	for _, policy := range policies {
		g := New(Config{Policy: policy, Endpoints: endpoints(1, 2, 3)})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 1000 {
					e := g.Pick(new(Tried))
					e.Acquire()
					e.Release()
				}
			})
		}
		wg.Wait()
		for _, e := range g.Endpoints() {
			if e.Active() != 0 {
				t.Errorf("%s: endpoint %s counts %d connections, want 0", policy, e.Address, e.Active())
			}
		}
	}
}

func BenchmarkPick(b *testing.B) {
	for _, ejects := range []bool{false, true} {
		for _, policy := range policies {
			b.Run(fmt.Sprintf("%s/ejected=%v", policy, ejects), func(b *testing.B) {
				g := New(Config{Policy: policy, Endpoints: equal(100)})
				if ejects { // so that each choice looks at the clock
					fail(g.Endpoints()[0], 5)
				}
				b.ReportAllocs()
				for b.Loop() {
					var tried Tried
					g.Pick(&tried)
				}
			})
		}
	}
}
