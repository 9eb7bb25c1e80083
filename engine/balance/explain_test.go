package balance

import (
	"fmt"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/mesh"
)

// TestExplain: what is explained is what is chosen from, in every state.
func TestExplain(t *testing.T) {
	endpoints := []mesh.Endpoint{
		{Address: address(1), Zone: "a", Weight: 3}, {Address: address(2), Zone: "a", Weight: 1}, {Address: address(3), Zone: "b"}, {Address: address(4), Zone: "b"},
	}
	g := New(Config{Policy: mesh.Random, Endpoints: endpoints, Zone: "a"})
	all := g.Endpoints()
	for _, step := range []struct {
		name string
		do   func()
		want string
	}{
		{"all up", func() {}, "75 25 - -"},
		{"one of the zone down", func() { all[0].MarkDown(time.Now(), "test") }, "- 100 - -"},
		{"the zone down", func() { all[1].MarkDown(time.Now(), "test") }, "- - 50 50"},
		{"less than half up", func() { all[2].MarkDown(time.Now(), "test") }, "50 17 17 17 panics"},
		{"none up", func() { all[3].MarkDown(time.Now(), "test") }, "- - - -"},
	} {
		step.do()
		got := ""
		x := g.Explain()
		chosen := make(map[*Endpoint]bool)
		for range 1000 {
			if e := g.Pick(new(Tried)); e != nil {
				chosen[e] = true
			}
		}
		for _, c := range x.Candidates {
			if c.First != chosen[c.Endpoint] {
				t.Errorf("%s: %s is explained as first choice: %v, and is chosen: %v", step.name, c.Address, c.First, chosen[c.Endpoint])
			}
			if c.First {
				got += fmt.Sprintf("%.0f ", c.Share)
			} else {
				got += "- "
			}
		}
		if x.Panics {
			got += "panics "
		}
		if got != step.want+" " {
			t.Errorf("%s: %q, want %q", step.name, got, step.want)
		}
	}
	part := g.Part(func(e *Endpoint) bool { return e == all[0] }, nil)
	if part.Whole() != g || g.Whole() != g || g.Hashes() {
		t.Error("a part does not know of what, or a policy hashes that does not")
	}
}
