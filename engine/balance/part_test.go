package balance

import (
	"errors"
	"testing"
	"time"
)

// TestPart: a part chooses among its own endpoints, and shares with the whole what is counted and known of them.
func TestPart(t *testing.T) {
	for _, policy := range policies {
		whole := New(Config{Policy: policy, Endpoints: endpoints(1, 2, 3, 4)})
		part := whole.Part(func(e *Endpoint) bool { return e.Weight%2 == 0 }, nil)
		picked := make(map[uint32]int)
		for range 6000 {
			picked[part.Pick(new(Tried)).Weight]++
		}
		if len(picked) != 2 || picked[2] < 1500 || picked[4] < 3000 {
			t.Errorf("%s: picks by weight %v, want twice as many of 4 as of 2 and no others", policy, picked)
		}
		var tried Tried
		for range 2 {
			if part.Pick(&tried) == nil {
				t.Errorf("%s: an endpoint of two is not tried", policy)
			}
		}
		if e := part.Pick(&tried); e != nil {
			t.Errorf("%s: a third endpoint of two is %s", policy, e.Address)
		}
		part.Endpoints()[0].Connect()
		part.Endpoints()[1].Acquire()
		if whole.Endpoints()[1].Connected() != 1 || whole.Endpoints()[3].Active() != 1 || part.Active() != 1 {
			t.Errorf("%s: the whole does not count what the part has done", policy)
		}
	}
}

// TestHasUp: a part is up as long as one of its endpoints is, by whichever group that is noticed.
func TestHasUp(t *testing.T) {
	whole := New(Config{Endpoints: equal(4)})
	part := whole.Part(func(e *Endpoint) bool { return e.index < 2 }, nil)
	if !part.HasUp() || New(Config{}).HasUp() {
		t.Error("a group with endpoints that have not failed is not up, or one without any is")
	}
	whole.Endpoints()[0].MarkDown(time.Now(), "test")
	if !part.HasUp() {
		t.Error("a part with one endpoint up is not")
	}
	for range ejectAfter {
		whole.Endpoints()[1].Fail(time.Now(), errors.New("refused"))
	}
	if part.HasUp() || !whole.HasUp() {
		t.Error("a part without an endpoint up is up, or the whole, which has two, is not")
	}
	whole.Endpoints()[0].MarkUp(time.Now(), "test")
	if !part.HasUp() {
		t.Error("a part is not up again")
	}
}
