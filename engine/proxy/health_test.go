package proxy

import (
	"io"
	"net"
	"testing"

	"github.com/meshd/meshd/engine/balance"
)

// group returns the endpoints of the service that the rig has.
func (r *rig) group() *balance.Group {
	port, _, _ := r.snapshots.Load().At(virtual)
	return port.Group
}

func (r *rig) wantState(what string, e *balance.Endpoint, state balance.State) {
	r.t.Helper()
	if got := e.Health().State; got != state {
		r.t.Errorf("%s: the endpoint is %s, want %s", what, got, state)
	}
}

func TestDeadEndpointIsEjected(t *testing.T) {
	r := newRig(t, nil, dead(t), endpoint(t, echo))
	sick := r.group().Endpoints()[0]
	for range 40 {
		client := r.dial(virtual)
		send(t, client, "hello")
		want(t, client, "hello")
		client.Close()
	}
	r.wantState("after connects to both", sick, balance.Ejected)
	if n := sick.Failed(); n != 5 {
		t.Errorf("%d connects to the dead endpoint, want 5", n)
	}
}

// TestResettingEndpointIsEjected has an endpoint that accepts and resets, with and without a byte before.
func TestResettingEndpointIsEjected(t *testing.T) {
	for greeting, state := range map[string]balance.State{"": balance.Ejected, "no": balance.Up} {
		resetting := endpoint(t, func(c *net.TCPConn) {
			send(t, c, greeting)
			want(t, c, "hello")
			reset(c)
		})
		r := newRig(t, nil, resetting, endpoint(t, echo))
		sick := r.group().Endpoints()[0]
		for sick.Connected() < 5 {
			client := r.dial(virtual)
			send(t, client, "hello")
			_, _ = io.Copy(io.Discard, io.LimitReader(client, 5)) // "hello", or a reset after the greeting
			client.Close()
			r.logged("connection closed")
		}
		r.wantState("after five resets", sick, state)
	}
}
