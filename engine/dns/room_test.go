package dns

import "testing"

func TestLaneLeavesRoomForOthers(t *testing.T) {
	r := &room{free: 16}
	dead, living := &lane{room: r}, &lane{room: r}
	fill := func(l *lane) (n int) {
		for l.enter() {
			n++
		}
		return n
	}
	if n := fill(dead); n != 8 {
		t.Errorf("alone a lane gets %d of 16, want 8", n)
	}
	if n := fill(living); n != 4 {
		t.Errorf("the second lane gets %d of the 8 that are left, want 4", n)
	}
	living.leave()
	if !living.enter() {
		t.Error("a place that was left is not free")
	}
	for range 8 {
		dead.leave()
	}
	for range 4 {
		living.leave()
	}
	if r.free != 16 {
		t.Errorf("%d places are free at the end, want 16", r.free)
	}
}

func TestLaneOfOne(t *testing.T) {
	l := &lane{room: &room{free: 1}}
	if !l.enter() || l.enter() {
		t.Error("a room for one does not hold exactly one")
	}
}
