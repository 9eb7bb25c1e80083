package balance

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/mesh"
)

var hashing = []mesh.Balancing{mesh.RingHash, mesh.Maglev}

// keys are hashes of requests, the same in every run.
func keys(n int) []uint64 {
	r := rand.New(rand.NewPCG(1, 2))
	all := make([]uint64, n)
	for i := range all {
		all[i] = r.Uint64()
	}
	return all
}

// owners returns which endpoint each key gets, by its index.
func owners(g *Group, all []uint64) []int {
	got := make([]int, len(all))
	for i, key := range all {
		got[i] = g.PickHash(new(Tried), key).index
	}
	return got
}

// moved returns how many keys have another owner.
func moved(before, after []int) int {
	n := 0
	for i := range before {
		if before[i] != after[i] {
			n++
		}
	}
	return n
}

func TestHashShareFollowsWeight(t *testing.T) {
	for _, policy := range hashing {
		for name, weights := range map[string][]uint32{
			"equal": {1, 1, 1, 1}, "canary": {90, 10}, "mixed": {1, 2, 3, 4}, "one": {7},
		} {
			g := New(Config{Policy: policy, Endpoints: endpoints(weights...)})
			var sum, n = 0.0, make([]float64, len(weights))
			for _, i := range owners(g, keys(40_000)) {
				n[i]++
			}
			for _, w := range weights {
				sum += float64(w)
			}
			for i, w := range weights {
				if share, want := n[i]/40_000, float64(w)/sum; math.Abs(share-want) > 0.03 {
					t.Errorf("%s, %s: endpoint %d has the share %.3f, want %.3f", policy, name, i, share, want)
				}
			}
		}
	}
}

// TestAddedEndpoint wants an endpoint that is added to take no more than its share, and of a ring nothing to move between the
// others. Maglev's table fills up in another order then, so that a little more of it changes its owners.
func TestAddedEndpoint(t *testing.T) {
	all := keys(500_000)
	for _, policy := range hashing {
		for _, n := range []int{2, 4, 10, 50} {
			// The share of one of n, which is more than that of one of n+1, has room for the error of the ring until n is about 25.
			most := max(1/float64(n), 1.04/float64(n+1))
			if policy == mesh.Maglev {
				most = 1/float64(n+1) + 0.006
			}
			before := owners(New(Config{Policy: policy, Endpoints: equal(n)}), all)
			after := owners(New(Config{Policy: policy, Endpoints: equal(n + 1)}), all)
			between := 0
			for i := range all {
				if before[i] != after[i] && after[i] != n {
					between++
				}
			}
			share := float64(moved(before, after)) / float64(len(all))
			t.Logf("%s: of %d endpoints to %d moves %.4f, between the others %.4f", policy, n, n+1, share, float64(between)/float64(len(all)))
			if policy == mesh.RingHash && between > 0 {
				t.Errorf("%d keys moved between endpoints that were there before", between)
			}
			if share > most {
				t.Errorf("%s: of %d endpoints to %d moves %.4f, want %.4f at most", policy, n, n+1, share, most)
			}
		}
	}
}

// TestHashWithoutOne wants only the keys of an endpoint that fails to move, to spread over the others, and to come back.
func TestHashWithoutOne(t *testing.T) {
	all := keys(20_000)
	for _, policy := range hashing {
		g := New(Config{Policy: policy, Endpoints: equal(5)})
		before := owners(g, all)
		bad := g.Endpoints()[2]
		bad.MarkDown(time.Now(), "test")
		took := make([]int, 5)
		for i, owner := range owners(g, all) {
			switch {
			case before[i] != 2 && owner != before[i]:
				t.Fatalf("%s: a key of endpoint %d moved to %d", policy, before[i], owner)
			case before[i] == 2:
				took[owner]++
			}
		}
		lost := 0
		for _, owner := range before {
			if owner == 2 {
				lost++
			}
		}
		for i, n := range took {
			if i != 2 && (n < lost/8 || n > lost/2) {
				t.Errorf("%s: of %d keys endpoint %d took %d", policy, lost, i, n)
			}
		}
		bad.MarkUp(time.Now(), "test")
		if n := moved(before, owners(g, all)); n > 0 {
			t.Errorf("%s: %d keys have not come back", policy, n)
		}
	}
}

// TestHashPanic wants keys to stay where they were when too few endpoints are up to carry all.
func TestHashPanic(t *testing.T) {
	all := keys(1000)
	for _, policy := range hashing {
		g := New(Config{Policy: policy, Endpoints: equal(5)})
		before := owners(g, all)
		for _, e := range g.Endpoints()[:3] {
			e.MarkDown(time.Now(), "test")
		}
		if n := moved(before, owners(g, all)); n > 0 {
			t.Errorf("%s: %d keys moved", policy, n)
		}
		for _, e := range g.Endpoints() {
			e.MarkDown(time.Now(), "test")
		}
		if g.PickHash(new(Tried), 1) != nil {
			t.Errorf("%s: an endpoint was chosen though all are down", policy)
		}
	}
}

// TestHashGoesOn wants a connection that fails to try all endpoints, each once, those that are up first, and always in the same
// order.
func TestHashGoesOn(t *testing.T) {
	for _, policy := range hashing {
		g := New(Config{Policy: policy, Endpoints: equal(6)})
		g.Endpoints()[3].MarkDown(time.Now(), "test")
		var orders [2][]int
		for i := range orders {
			var tried Tried
			for e := g.PickHash(&tried, 12345); e != nil; e = g.PickHash(&tried, 12345) {
				orders[i] = append(orders[i], e.index)
			}
		}
		if sorted := slices.Sorted(slices.Values(orders[0])); !slices.Equal(sorted, []int{0, 1, 2, 3, 4, 5}) || orders[0][5] != 3 {
			t.Errorf("%s: the endpoints %v were tried", policy, orders[0])
		}
		if !slices.Equal(orders[0], orders[1]) {
			t.Errorf("%s: the endpoints %v were tried, and then %v", policy, orders[0], orders[1])
		}
	}
}

func TestHashAcrossReload(t *testing.T) {
	for _, policy := range hashing {
		g := New(Config{Policy: policy, Endpoints: equal(3)})
		same := New(Config{Policy: policy, Endpoints: equal(3), Previous: g})
		if g.wheel != same.wheel {
			t.Errorf("%s: the same endpoints were laid out again", policy)
		}
		if other := New(Config{Policy: policy, Endpoints: endpoints(1, 1, 2), Previous: g}); other.wheel == g.wheel {
			t.Errorf("%s: another weight changed nothing", policy)
		}
		part := g.Part(func(e *Endpoint) bool { return e.index != 1 }, nil)
		for _, key := range keys(100) {
			if part.PickHash(new(Tried), key).Address == address(1) {
				t.Fatalf("%s: a part has an endpoint of the rest", policy)
			}
		}
	}
}

// TestRequestsWithoutHash wants them to be spread, and a hash to be no harm to a policy that does not look at it.
func TestRequestsWithoutHash(t *testing.T) {
	for _, policy := range hashing {
		wantFirsts(t, New(Config{Policy: policy, Endpoints: equal(3)}), string(policy), 0, 1, 2)
	}
	g, n := New(Config{Policy: mesh.RoundRobin, Endpoints: equal(2)}), make([]int, 2)
	for range 10 {
		n[g.PickHash(new(Tried), 7).index]++
	}
	if !slices.Equal(n, []int{5, 5}) {
		t.Errorf("round robin by a hash gives %v", n)
	}
}

func TestRingSize(t *testing.T) {
	for _, c := range []struct {
		balancer    mesh.Balancer
		endpoints   int
		least, most int
	}{
		{mesh.Balancer{}, 2, defaultMinRing, defaultMinRing},
		{mesh.Balancer{}, 10, 5 * defaultMinRing, 5 * defaultMinRing},
		{mesh.Balancer{MinRing: 64}, 2, 64, 64},
		{mesh.Balancer{MinRing: 1024, MaxRing: 2048}, 10, 1900, 2048},
		{mesh.Balancer{MinRing: 1, MaxRing: 5}, 10, 10, 10}, // each has an entry at least
	} {
		g := New(Config{Policy: mesh.RingHash, Balancer: c.balancer, Endpoints: equal(c.endpoints)})
		if n := len(g.wheel.owners); n < c.least || n > c.most {
			t.Errorf("%+v with %d endpoints has %d entries, want %d to %d", c.balancer, c.endpoints, n, c.least, c.most)
		}
	}
}

func TestPickHashDoesNotAllocate(t *testing.T) {
	for _, policy := range hashing {
		g := New(Config{Policy: policy, Endpoints: equal(20)})
		g.Endpoints()[3].MarkDown(time.Now(), "test")
		var key uint64
		var tried Tried
		g.PickHash(&tried, key)
		allocs := testing.AllocsPerRun(1000, func() {
			tried = Tried{}
			key += 0x9e3779b97f4a7c15
			g.PickHash(&tried, key)
			g.PickHash(&tried, key)
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations, want 0", policy, allocs)
		}
	}
}

func BenchmarkPickHash(b *testing.B) {
	for _, policy := range hashing {
		b.Run(string(policy), func(b *testing.B) {
			g := New(Config{Policy: policy, Endpoints: equal(20)})
			var key uint64
			for b.Loop() {
				key += 0x9e3779b97f4a7c15
				g.PickHash(new(Tried), key)
			}
		})
	}
}
