package proxy

import (
	"testing"

	"github.com/meshd/meshd/engine/mesh"
)

// TestOneCallerLeavesRoom has one unit open connections until it is refused: the others are still served.
func TestOneCallerLeavesRoom(t *testing.T) {
	const room = 20
	r := newRig(t, func(c *Config) { c.MaxConnections = room }, endpoint(t, echo))
	held := 0
	for ; held < room; held++ {
		greedy := r.dial(virtual)
		if _, err := greedy.Write([]byte("x")); err != nil {
			break // the reset may come as early as this
		}
		if _, err := greedy.Read(make([]byte, 1)); err != nil {
			break
		}
	}
	r.wantEnd(mesh.ReasonOverload)
	if held < room/3 || held > room*2/3 {
		t.Errorf("one unit holds %d of %d connections, want about half", held, room)
	}
	other := r.dialWith(result{flow: mesh.Flow{Destination: virtual, UID: quiet}})
	send(t, other, "y")
	want(t, other, "y")
}

func TestSharesForgetUnits(t *testing.T) {
	var s shares
	for _, unit := range []string{"a.service", "b.service"} {
		if !s.take(unit, 1) {
			t.Errorf("%s gets nothing of what is free", unit)
		}
		s.give(unit)
	}
	if len(s.held) != 0 {
		t.Errorf("units without connections are remembered: %v", s.held)
	}
}

// TestUnknownCallerIsReset wants a caller that cannot be told to be refused, not to be taken for its host.
func TestUnknownCallerIsReset(t *testing.T) {
	r := newRig(t, nil, endpoint(t, echo))
	wantReset(t, r.dialWith(result{flow: mesh.Flow{Destination: virtual, UID: vanished}}))
	r.wantEnd(mesh.ReasonFlowUnknown)
}
